
/*
 * The set of live blocks; see live_set.h. What this object may call is checked
 * by the build.
 *
 * An address has PROBES places in each of two tables, and is in any of them;
 * a place is 0 or address and entry in one word, so that a block is put in and
 * taken out by one atomic operation. The first table is small: it is all that
 * is touched while there are few blocks.
 */


#include <stddef.h>

#include "live_set.h"


#define PROBES 16

/* A place: the address, of which the lowest three bits are 0 and the upper 17
   too, and a number of an entry. */
#define ENTRY_BITS 20
#define ENTRY_MASK ((1u << ENTRY_BITS) - 1)
#define ADDRESS_LIMIT (UINT64_C(1) << 47)

/* A count of the filter that is so high takes no more, so that it can't
   overflow, though threads add to it before they look. */
#define FILTER_LIMIT 192


struct live_counters live_counters;
struct live_memory   live_memory;
_Atomic uint8_t      live_filter[1 << LIVE_FILTER_BITS];

/* Entries that were never used begin here; 0 is none. */
static _Atomic uint32_t unused = 1;

/* Entries that were given back: the first one, and in the upper half a number
   that changes with each take, so that an old head is never taken for a new
   one. */
static _Atomic uint64_t spare;

/* Entries of blocks that were freed. */
static _Atomic uint32_t freed;


void
live_set_orphan(void)
{
    uint32_t entry;

    for (entry = 1; entry < atomic_load(&unused); entry++) {
        live_memory.entries[entry].stack = LIVE_STACK_NONE;
    }
}


struct live_entry *
live_entry_at(uint32_t entry)
{
    return &live_memory.entries[entry];
}


/* One of those that were given back. */
static uint32_t
spare_pop(void)
{
    uint64_t head, next;
    uint32_t entry;

    /* acquire: pairs with live_entry_give() */
    head = atomic_load_explicit(&spare, memory_order_acquire);

    do {
        entry = (uint32_t) head;
        if (entry == LIVE_NONE) {
            return LIVE_NONE;
        }

        /* another's by now, maybe: then the exchange fails */
        next = atomic_load_explicit(&live_memory.entries[entry].next,
                                    memory_order_relaxed);
        next |= ((head >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak_explicit(
        &spare, &head, next, memory_order_acquire, memory_order_acquire));

    return entry;
}


uint32_t
live_entry_take(uint64_t size)
{
    uint32_t entry;

    entry = spare_pop();

    if (entry == LIVE_NONE) {
        entry = atomic_load_explicit(&unused, memory_order_relaxed);

        do {
            if (entry > LIVE_SET_MAX) {
                return LIVE_NONE;
            }
        } while (!atomic_compare_exchange_weak_explicit(
            &unused, &entry, entry + 1, memory_order_relaxed,
            memory_order_relaxed));
    }

    live_memory.entries[entry].size = size;
    live_memory.entries[entry].stack = LIVE_STACK_UNKNOWN;
    atomic_fetch_add_explicit(&live_counters.live, 1, memory_order_relaxed);

    return entry;
}


void
live_entry_give(uint32_t entry)
{
    uint64_t head;

    atomic_fetch_sub_explicit(&live_counters.live, 1, memory_order_relaxed);
    head = atomic_load_explicit(&spare, memory_order_relaxed);

    do {
        atomic_store_explicit(&live_memory.entries[entry].next, (uint32_t) head,
                              memory_order_relaxed);
        /* release: pairs with spare_pop() */
    } while (!atomic_compare_exchange_weak_explicit(
        &spare, &head, (head >> 32) << 32 | entry, memory_order_release,
        memory_order_relaxed));
}


static _Atomic uint8_t *
filter_of(const void *block)
{
    return &live_filter[live_set_hash(block) >> (64 - LIVE_FILTER_BITS)];
}


/* The i-th place of an address in a table. */
static _Atomic uint64_t *
place_of(const struct live_table *table, const void *block, uint32_t i)
{
    /* not the bits that the filter has */
    return &table->places[((uint32_t) (live_set_hash(block) >> 16) + i)
                          & table->mask];
}


static uint64_t
place_value(const void *block, uint32_t entry)
{
    return ((uint64_t) (uintptr_t) block >> 3) << ENTRY_BITS | entry;
}


static bool
place_has(uint64_t value, const void *block)
{
    return value >> ENTRY_BITS == (uint64_t) (uintptr_t) block >> 3
           && value != 0;
}


static bool
place_claim(const struct live_table *table, const void *block, uint32_t entry)
{
    uint32_t          i;
    uint64_t          none;
    _Atomic uint64_t *place;

    for (i = 0; i < PROBES; i++) {
        place = place_of(table, block, i);
        none = 0;

        /* release: pairs with live_set_remove() */
        if (atomic_load_explicit(place, memory_order_relaxed) == 0
            && atomic_compare_exchange_strong_explicit(
                place, &none, place_value(block, entry), memory_order_release,
                memory_order_relaxed)) {
            return true;
        }
    }

    return false;
}


/* Whether the filter counts the block from here on. */
static bool
filter_add(const void *block)
{
    if (atomic_fetch_add_explicit(filter_of(block), 1, memory_order_relaxed)
        < FILTER_LIMIT) {
        return true;
    }

    atomic_fetch_sub_explicit(filter_of(block), 1, memory_order_relaxed);

    return false;
}


bool
live_set_insert(const void *block, uint32_t entry)
{
    uint32_t before;

    if (live_set_may_have(block)) {
        before = live_set_remove(block);

        if (before != LIVE_NONE) {
            atomic_fetch_add_explicit(&live_counters.missed_free, 1,
                                      memory_order_relaxed);
            live_set_freed(before);
        }
    }

    if ((uint64_t) (uintptr_t) block >= ADDRESS_LIMIT || !filter_add(block)) {
        return false;
    }

    if (place_claim(&live_memory.tables[0], block, entry)
        || place_claim(&live_memory.tables[1], block, entry)) {
        return true;
    }

    atomic_fetch_sub_explicit(filter_of(block), 1, memory_order_relaxed);

    return false;
}


uint32_t
live_set_remove(const void *block)
{
    uint32_t          i, t;
    uint64_t          value;
    _Atomic uint64_t *place;

    for (t = 0; t < 2; t++) {
        for (i = 0; i < PROBES; i++) {
            place = place_of(&live_memory.tables[t], block, i);
            /* acquire: pairs with place_claim() */
            value = atomic_load_explicit(place, memory_order_acquire);

            /* it fails for a block that two free at once: one of them has it */
            if (place_has(value, block)
                && atomic_compare_exchange_strong_explicit(
                    place, &value, 0, memory_order_acq_rel,
                    memory_order_relaxed)) {
                atomic_fetch_sub_explicit(filter_of(block), 1,
                                          memory_order_relaxed);
                return (uint32_t) value & ENTRY_MASK;
            }
        }
    }

    return LIVE_NONE;
}


void
live_set_freed(uint32_t entry)
{
    uint32_t head;

    head = atomic_load_explicit(&freed, memory_order_relaxed);

    do {
        atomic_store_explicit(&live_memory.entries[entry].next, head,
                              memory_order_relaxed);
        /* release: pairs with live_set_take_freed() */
    } while (!atomic_compare_exchange_weak_explicit(
        &freed, &head, entry, memory_order_release, memory_order_relaxed));
}


uint32_t
live_set_take_freed(void)
{
    /* acquire: pairs with live_set_freed() */
    return atomic_exchange_explicit(&freed, LIVE_NONE, memory_order_acquire);
}


size_t
live_set_memory(void)
{
    return (atomic_load_explicit(&unused, memory_order_relaxed) - 1)
           * (sizeof(struct live_entry) + sizeof(uint64_t));
}
