
/*
 * The ring of sampled allocations; see heap_ring.h. What this object may call
 * is checked by the build.
 */


#include <string.h>

#include "heap_ring.h"


#define RING_ALIGN 16


/* Precedes each record. */
struct ring_header {
    /* Its length with header and padding; 0 until it is published. */
    _Atomic uint32_t total;

    /* The same, from its reservation on; the producer's. */
    uint32_t reserved;

    /* No record: the rest of the ring is unused. */
    uint64_t skip;
};


struct heap_ring heap_ring;


static struct ring_header *
header_at(uint64_t position)
{
    return (struct ring_header *) (heap_ring.data + position % HEAP_RING_SIZE);
}


static void
header_publish(struct ring_header *header)
{
    /* release: pairs with heap_ring_peek() */
    atomic_store_explicit(&header->total, header->reserved,
                          memory_order_release);
}


struct heap_record *
heap_ring_reserve(size_t stack_size)
{
    uint64_t            read, start, skip, total, to_end;
    struct ring_header *header;

    total = sizeof(*header) + sizeof(struct heap_record) + stack_size;
    total = (total + RING_ALIGN - 1) & ~(uint64_t) (RING_ALIGN - 1);

    do {
        /* first: what is read was reserved before.
           acquire: pairs with heap_ring_release(), which leaves zeros */
        read = atomic_load_explicit(&heap_ring.read, memory_order_acquire);
        start = atomic_load_explicit(&heap_ring.reserved, memory_order_relaxed);

        to_end = HEAP_RING_SIZE - start % HEAP_RING_SIZE;
        skip = total > to_end ? to_end : 0;

        if (start + skip + total - read > HEAP_RING_SIZE) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &heap_ring.reserved, &start, start + skip + total, memory_order_relaxed,
        memory_order_relaxed));

    if (skip != 0) {
        header = header_at(start);
        header->reserved = (uint32_t) skip;
        header->skip = 1;
        header_publish(header);
    }

    header = header_at(start + skip);
    header->reserved = (uint32_t) total;
    header->skip = 0;

    return (struct heap_record *) (header + 1);
}


bool
heap_ring_commit(struct heap_record *record)
{
    header_publish((struct ring_header *) record - 1);

    return atomic_load_explicit(&heap_ring.reserved, memory_order_relaxed)
               - atomic_load_explicit(&heap_ring.read, memory_order_relaxed)
           > HEAP_RING_SIZE / 2;
}


uint64_t
heap_ring_end(void)
{
    return atomic_load_explicit(&heap_ring.reserved, memory_order_acquire);
}


struct heap_record *
heap_ring_peek(uint64_t end)
{
    uint64_t            read;
    struct ring_header *header;

    for (;;) {
        read = atomic_load_explicit(&heap_ring.read, memory_order_relaxed);
        if (read == end) {
            return NULL;
        }

        header = header_at(read);

        /* acquire: pairs with header_publish() */
        if (atomic_load_explicit(&header->total, memory_order_acquire) == 0) {
            return NULL;
        }

        if (!header->skip) {
            return (struct heap_record *) (header + 1);
        }

        heap_ring_release();
    }
}


void
heap_ring_release(void)
{
    uint32_t            total;
    uint64_t            read;
    struct ring_header *header;

    read = atomic_load_explicit(&heap_ring.read, memory_order_relaxed);
    header = header_at(read);
    total = atomic_load_explicit(&header->total, memory_order_relaxed);
    memset(header, 0, total);

    /* release: pairs with heap_ring_reserve() */
    atomic_store_explicit(&heap_ring.read, read + total, memory_order_release);
}
