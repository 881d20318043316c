/*
 * The set of live blocks: alone against a model, and with threads that free
 * what others have put in.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heap/live_set.h"


#define BLOCKS 40000
#define THREADS 4
#define TURNS 100000


static void
set_open(void)
{
    cr_assert_eq(live_set_open(), 0);
}


TestSuite(live_set, .init = set_open, .timeout = 60);


/* An address as an allocator gives it; nothing is there. */
static const void *
block_at(size_t i)
{
    return (const void *) (uintptr_t) (0x7f0000000000u + i * 48);
}


static uint32_t
insert(size_t i)
{
    uint32_t entry;

    entry = live_entry_take(i);
    cr_assert_neq(entry, LIVE_NONE);
    cr_assert(live_set_insert(block_at(i), entry));

    return entry;
}


/* Counts the list of what was freed, and gives the entries back. */
static unsigned
freed_take(void)
{
    unsigned n;
    uint32_t entry, next;

    n = 0;

    for (entry = live_set_take_freed(); entry != LIVE_NONE; entry = next) {
        next = live_entry_at(entry)->next;
        live_entry_give(entry);
        n++;
    }

    return n;
}


Test(live_set, has_what_was_put_in_and_nothing_else)
{
    size_t          i, b;
    unsigned        hits;
    static uint32_t entries[BLOCKS];

    for (i = 0; i < BLOCKS; i++) {
        entries[i] = insert(i);
    }

    cr_expect_eq(live_counters.live, BLOCKS);

    for (i = 0; i < BLOCKS; i++) {
        cr_assert(live_set_may_have(block_at(i)));
        cr_assert_eq(live_set_remove(block_at(BLOCKS + i)), LIVE_NONE);
    }

    /* in another order than they came */
    for (i = 0; i < BLOCKS; i++) {
        b = i * 7919 % BLOCKS;
        cr_assert_eq(live_set_remove(block_at(b)), entries[b]);
        cr_assert_eq(live_entry_at(entries[b])->size, b);
        cr_assert_eq(live_set_remove(block_at(b)), LIVE_NONE);
        live_set_freed(entries[b]);
    }

    cr_expect_eq(freed_take(), BLOCKS);
    cr_expect_eq(live_counters.live, 0);

    for (hits = 0, i = 0; i < sizeof(live_filter); i++) {
        hits += live_filter[i];
    }

    cr_expect_eq(hits, 0, "the filter is empty again");
}


Test(live_set, the_filter_passes_nearly_all_that_is_not_in_it)
{
    size_t   i;
    unsigned hits;

    for (i = 0; i < 300; i++) {
        insert(i * 1001);
    }

    for (hits = 0, i = 0; i < 100000; i++) {
        hits += live_set_may_have(block_at(1000000 + i));
    }

    cr_expect_leq(hits, 1500, "%u: 300 of 32,768 are expected", hits);
}


Test(live_set, a_block_whose_end_was_missed_gives_way)
{
    uint32_t first, second;

    first = insert(1);
    second = insert(1);

    cr_expect_eq(live_counters.missed_free, 1);
    cr_expect_eq(live_set_take_freed(), first);
    cr_expect_eq(live_set_remove(block_at(1)), second);
    cr_expect_eq(live_set_remove(block_at(1)), LIVE_NONE);
}


Test(live_set, takes_no_more_than_there_is_room_for)
{
    size_t   i, in;
    uint32_t entry;

    for (in = 0, i = 0; i < 2 * LIVE_SET_MAX; i++) {
        entry = live_entry_take(1);
        if (entry == LIVE_NONE) {
            break;
        }

        cr_assert_leq(entry, LIVE_SET_MAX);
        in += live_set_insert(block_at(i), entry);
    }

    cr_expect_eq(i, LIVE_SET_MAX);
    cr_expect_geq(in, LIVE_SET_MAX * 99 / 100, "%zu", in);

    for (i = 0; i < LIVE_SET_MAX; i++) {
        entry = live_set_remove(block_at(i));
        if (entry != LIVE_NONE) {
            live_set_freed(entry);
        }
    }

    cr_expect_eq(freed_take(), in);
}


/* Addresses that all have one byte of the filter, or one place. */
Test(live_set, stays_bounded_where_all_addresses_collide)
{
    size_t      i, in, n;
    uint32_t    entry;
    const void *block;

    for (n = 0, in = 0, i = 0; n < 1000; i++) {
        block = block_at(i);
        if (live_set_hash(block) >> (64 - LIVE_FILTER_BITS) != 77) {
            continue;
        }

        n++;
        entry = live_entry_take(1);
        in += live_set_insert(block, entry);
    }

    cr_expect(in > 100 && in < 256, "%zu", in);
}


static void *
churn(void *data)
{
    size_t   i, base, b;
    uint32_t entry;

    base = (size_t) data * 1000;

    for (i = 0; i < TURNS; i++) {
        b = base + i % 500;

        /* each address has one owner at a time, as an allocator sees to */
        entry = live_set_remove(block_at(b));
        if (entry != LIVE_NONE) {
            live_set_freed(entry);
        }

        while ((entry = live_entry_take(b)) == LIVE_NONE) {
            sched_yield();
        }

        if (!live_set_insert(block_at(b), entry)) {
            abort();
        }
    }

    return NULL;
}


Test(live_set, threads_lose_no_entry)
{
    size_t    i;
    unsigned  taken;
    uint32_t  entry;
    pthread_t threads[THREADS];

    for (i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *) i), 0);
    }

    /* the last round of each stays in it */
    for (taken = 0; taken < THREADS * (TURNS - 500);) {
        taken += freed_take();
    }

    for (i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }

    cr_expect_eq(live_counters.live, THREADS * 500);
    cr_expect_eq(live_counters.missed_free, 0);

    for (i = 0; i < THREADS * 1000; i++) {
        entry = live_set_remove(block_at(i));
        cr_expect_eq(entry != LIVE_NONE, i % 1000 < 500, "%zu", i);
    }
}
