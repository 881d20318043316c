
/*
 * What an allocation hook leaves of a sampled allocation: registers and stack
 * of the allocating thread.
 *
 * It runs inside malloc() of any thread: it does not unwind, lock, wait,
 * allocate or log, and leaves errno alone. On the event loop's thread it copies
 * the stack itself; of any other's stack nobody has told it the bounds, so it
 * asks the kernel to copy (process_vm_readv()), which stops at the end of what
 * is mapped.
 */


#ifndef NPROF_HEAP_CAPTURE_H
#define NPROF_HEAP_CAPTURE_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* The functions that a sample's leaf frames may be: they are cut off. */
#define HEAP_HOOK_CODE __attribute__((noinline, section("nprof_heap_hook")))


struct heap_counters {
    /* Sampled allocations that found the ring full, and what they stand for
       (heap_weight.h). */
    _Atomic uint64_t dropped;
    _Atomic int64_t  dropped_objects;
    _Atomic int64_t  dropped_bytes;
};


/* What the hooks read; set up before the first sample, by
   heap_capture_setup.c. */
struct heap_state {
    /* Whether samples are taken. Stored by the main thread, and by a child
       after fork; loaded by the hooks. */
    _Atomic bool active;

    /* Written before that, on the main thread. The main thread's stack is as
       far as it is known to be mapped when SP is in it. */
    uint64_t  interval;
    pid_t     pid;
    uintptr_t main_lo;
    uintptr_t main_hi;
};


extern struct heap_counters heap_counters;
extern struct heap_state    heap_state;


/* Makes what a sample needs, once. Main thread. Returns 0 or -errno. */
int heap_capture_prepare(void);

/* Why the stacks of threads can't be copied here but for some bytes, the main
   one's aside: a static text, or NULL. Main thread. */
const char *heap_capture_missing(void);

/*
 * From now on allocations are sampled, one in interval bytes; in a child that is
 * forked none is. Main thread.
 */
void heap_capture_start(uint64_t interval);

/* Ends that. Main thread. */
void heap_capture_stop(void);

/* The mean number of bytes between samples. Any thread. */
uint64_t heap_capture_interval(void);

/* Whether the calling thread's allocation that was not passed over is one to
   capture. */
bool heap_capture_wanted(uint64_t size);

/* Takes the sample of a block that the allocator gave. */
void heap_capture(const void *block, size_t size);

/* The bounds of the hooks' code. Any thread. */
void heap_capture_code(uintptr_t *start, uintptr_t *end);


#endif /* NPROF_HEAP_CAPTURE_H */
