
/*
 * The producer's and consumer's half of the sample ring. This object is linked
 * into the signal handler's path: what it calls is checked by the build.
 */


#include "sample_ring.h"


/* Precedes each record; total counts the header and the padding. */
struct ring_header {
    uint64_t total;

    /* The rest of the ring up to its end is unused: go on at the start. */
    uint64_t skip;
};


#define RING_ALIGN 16


static struct ring_header *
ring_header_at(struct sample_ring *ring, uint64_t position)
{
    return (struct ring_header *) (ring->data + (position & (ring->size - 1)));
}


size_t
sample_ring_longest(const struct sample_ring *ring)
{
    return ring->size / 2 - sizeof(struct ring_header);
}


void *
sample_ring_reserve(struct sample_ring *ring, size_t length)
{
    uint64_t            written, used, total, to_end;
    struct ring_header *header;

    total = sizeof(struct ring_header) + length;
    total = (total + RING_ALIGN - 1) & ~(uint64_t) (RING_ALIGN - 1);

    written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    /* acquire: pairs with sample_ring_release(), which ends the reads */
    used = written - atomic_load_explicit(&ring->read, memory_order_acquire);
    to_end = ring->size - (written & (ring->size - 1));

    if (total > to_end) {
        if (used + to_end + total > ring->size) {
            return NULL;
        }

        header = ring_header_at(ring, written);
        header->total = to_end;
        header->skip = 1;
        written += to_end;
        /* release: pairs with sample_ring_end() */
        atomic_store_explicit(&ring->written, written, memory_order_release);

    } else if (used + total > ring->size) {
        return NULL;
    }

    header = ring_header_at(ring, written);
    header->total = total;
    header->skip = 0;
    ring->reserved = total;

    return header + 1;
}


void
sample_ring_commit(struct sample_ring *ring)
{
    uint64_t written;

    written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    /* release: pairs with sample_ring_end() */
    atomic_store_explicit(&ring->written, written + ring->reserved,
                          memory_order_release);
}


size_t
sample_ring_used(struct sample_ring *ring)
{
    uint64_t read;

    /* read first: it never overtakes written */
    read = atomic_load_explicit(&ring->read, memory_order_acquire);

    return atomic_load_explicit(&ring->written, memory_order_acquire) - read;
}


uint64_t
sample_ring_end(struct sample_ring *ring)
{
    /* acquire: pairs with sample_ring_commit(), which ends the writes */
    return atomic_load_explicit(&ring->written, memory_order_acquire);
}


const void *
sample_ring_peek(struct sample_ring *ring, uint64_t end)
{
    uint64_t            read;
    struct ring_header *header;

    read = atomic_load_explicit(&ring->read, memory_order_relaxed);

    if (read == end) {
        return NULL;
    }

    header = ring_header_at(ring, read);

    if (header->skip) {
        read += header->total;
        atomic_store_explicit(&ring->read, read, memory_order_release);

        if (read == end) {
            return NULL;
        }

        header = ring_header_at(ring, read);
    }

    return header + 1;
}


void
sample_ring_release(struct sample_ring *ring)
{
    uint64_t read;

    read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    /* release: pairs with sample_ring_reserve() */
    atomic_store_explicit(&ring->read, read + ring_header_at(ring, read)->total,
                          memory_order_release);
}
