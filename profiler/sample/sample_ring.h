
/*
 * A byte ring of records with one producer and one consumer.
 *
 * The producer is the signal handler on the thread that owns the ring, the
 * consumer is the profiler thread. Neither ever waits: a full ring refuses the
 * record, and the caller counts that. Records are contiguous, so that both
 * sides use them in place.
 */


#ifndef NPROF_SAMPLE_RING_H
#define NPROF_SAMPLE_RING_H


#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>


struct sample_ring {
    /*
     * Bytes ever written and ever read. written: stored by the producer
     * (release), loaded by the consumer (acquire). read: the other way round.
     */
    _Atomic uint64_t written;
    _Atomic uint64_t read;

    /* The bytes of data, a power of two. */
    size_t         size;
    unsigned char *data;

    /* Bytes reserved and not yet committed; the producer's own. */
    size_t reserved;

    /* How much of it sample_ring_prefault() was called for; the consumer's
       own. */
    size_t prefaulted;
};


/*
 * Maps size bytes, a power of two. Returns 0 or -errno. Any thread, not from a
 * signal handler.
 */
int sample_ring_init(struct sample_ring *ring, size_t size);

/*
 * Gives the first bytes of the ring their memory, so that the producer meets
 * no page fault there; of each page once. The producer may be at work
 * meanwhile. Consumer only.
 */
void sample_ring_prefault(struct sample_ring *ring, size_t bytes);

/* Unmaps the data. Nobody may use the ring any more. */
void sample_ring_destroy(struct sample_ring *ring);

/*
 * Room for a record of length bytes, aligned to 16, or NULL if there is none.
 * The record is the consumer's only after sample_ring_commit(). Producer only;
 * async-signal-safe.
 */
void *sample_ring_reserve(struct sample_ring *ring, size_t length);

/* The longest record that an empty ring has room for wherever it stands.
   Producer or consumer; async-signal-safe. */
size_t sample_ring_longest(const struct sample_ring *ring);

/* Publishes the reserved record. Producer only; async-signal-safe. */
void sample_ring_commit(struct sample_ring *ring);

/* Bytes in use; producer or consumer; async-signal-safe. */
size_t sample_ring_used(struct sample_ring *ring);

/* Where the newest record ends now, for sample_ring_peek(). Consumer only. */
uint64_t sample_ring_end(struct sample_ring *ring);

/*
 * The oldest record before end, or NULL. It stays valid until
 * sample_ring_release(). Consumer only.
 */
const void *sample_ring_peek(struct sample_ring *ring, uint64_t end);

/* Gives the space of the record that was peeked at back. Consumer only. */
void sample_ring_release(struct sample_ring *ring);


#endif /* NPROF_SAMPLE_RING_H */
