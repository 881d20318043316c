
/*
 * A byte ring of sampled allocations, with any number of producers and one
 * consumer.
 *
 * The producers are the allocation hooks, on any thread: threads have no slot
 * (thread_slot.h) before they are a second old, and samples of the heap are
 * few, so that one ring serves them all. Nobody ever waits: a full ring refuses
 * the record, and the caller counts that. A producer that the scheduler stops
 * in the middle of a record holds up what comes after it, not the others.
 *
 * The consumer is the profiler thread. It leaves zeros behind: a record is
 * there when its length is.
 */


#ifndef NPROF_HEAP_RING_H
#define NPROF_HEAP_RING_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../sample/sample_record.h"


/* Of each tenth of a second, some hundred stacks of usual depth. */
#define HEAP_RING_SIZE (512 * 1024)

/* A sampled allocation. */
struct heap_record {
    /* Bytes that were asked for. */
    uint64_t size;

    /* Its entry in the live set, or LIVE_NONE. */
    uint32_t entry;

    pid_t tid;

    /* Last: the stack is at its end. */
    struct sample_record sample;
};


struct heap_ring {
    unsigned char *data;

    /* Bytes ever reserved, by producers, and ever released. */
    _Atomic uint64_t reserved;
    _Atomic uint64_t read;
};


extern struct heap_ring heap_ring;


/* Maps the ring's memory, once; it stays. Returns 0 or -errno. */
int heap_ring_open(void);

/*
 * Room for a record with so many bytes of stack, or NULL. To be committed
 * soon. Any thread.
 */
struct heap_record *heap_ring_reserve(size_t stack_size);

/* Publishes a record; true if the ring is half full. Who reserved it. */
bool heap_ring_commit(struct heap_record *record);

/* Where the newest record ends now. Profiler thread. */
uint64_t heap_ring_end(void);

/* The oldest record before end, if it is published, or NULL. It stays until
   heap_ring_release(). Profiler thread. */
struct heap_record *heap_ring_peek(uint64_t end);

/* Gives the space of the record that was peeked at back. Profiler thread. */
void heap_ring_release(void);


#endif /* NPROF_HEAP_RING_H */
