
/*
 * A slot for each thread that is sampled: what its signal handler needs.
 *
 * The profiler thread owns the slots; it fills one before it arms the timer or
 * sends the signal that names it, and empties it after the thread is gone. The
 * handler, on the slot's own thread, reads the bounds, writes the ring and the
 * counters.
 */


#ifndef NPROF_THREAD_SLOT_H
#define NPROF_THREAD_SLOT_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "sample_ring.h"


/* nginx's own pools have 32 threads by default; more are left unsampled. */
#define THREAD_SLOTS 256

/* comm is at most 15 bytes and a NUL. */
#define THREAD_NAME_MAX 16

/*
 * Rings: the main thread's holds 20 of the largest samples. Any other's holds
 * two of half its size, and deeper stacks are cut; it takes no memory but a
 * page until its thread's first sample. Our own six threads, known by their
 * names, get deep ones: libdw's stacks are as deep as they come. Of the others
 * as many get large ones as a pool of nginx has threads by default. With all
 * slots in use and all threads at work the rings have 7.1 MB; with that pool,
 * 3.8 MB.
 */
#define THREAD_RING_MAIN (1024 * 1024)
#define THREAD_RING_DEEP (128 * 1024)
#define THREAD_RING_LARGE (64 * 1024)
#define THREAD_RING_SMALL (16 * 1024)
#define THREAD_RINGS_DEEP 6
#define THREAD_RINGS_LARGE 32

/* Points in time that one look is for, at most. */
#define LOOK_POINTS 8


struct thread_slot {
    struct sample_ring ring;

    /*
     * Whether samples are taken. Stored by the profiler thread (release) when
     * all is there that the handler uses, before the timer is armed, and when
     * the thread is gone; loaded by the handler (acquire).
     */
    _Atomic bool ready;

    /*
     * The mapping of the thread's stack, [lo, hi), or 0, 0 while it is not
     * known. Written by the profiler thread, hi first to 0, so that the handler
     * sees a matching pair or none; loaded by the handler.
     */
    _Atomic uint64_t stack_lo;
    _Atomic uint64_t stack_hi;

    /* Read by the profiler thread. Periods of CPU time of which there is no
       stack, added to by whoever knows of them; and CPU samples that found the
       ring full, counted by the handler: their periods are lost, too. */
    _Atomic uint64_t lost_expiries;
    _Atomic uint64_t dropped;

    /*
     * SAMPLE_FOR_WALL and others: what the thread's next sample is wanted for.
     * Set by the thread that asks (sample_request.h), taken by the handler.
     */
    _Atomic uint32_t wanted;

    /* Samples that the handler left in the ring: its last store to the slot
       (release). */
    _Atomic uint64_t taken;

    /*
     * Looks of the "jitter" engine that the thread has not yet taken as a
     * sample. hits: it was on a processor; added to by the looker, taken by the
     * handler. doubtful_points: it waited for one. They are the handler's, with
     * the fields below, from the looker's store (release) to its own of 0
     * (release).
     */
    _Atomic uint32_t hits;
    _Atomic uint32_t doubtful_points;

    /*
     * Of the doubtful look: its points (CLOCK_MONOTONIC) and what each stands
     * for, run_delay_ns() then, the CPU nanoseconds that the thread had used
     * since the look before, and how much later than a point its stack may be.
     */
    int64_t  doubt_points_ns[LOOK_POINTS];
    uint32_t doubt_weight;
    int64_t  doubt_waited_ns;
    int64_t  doubt_used_ns;
    int64_t  doubt_late_ns;

    /* The thread's schedstat file, -1 if it is not looked at. */
    int schedstat_fd;

    /* Set before the slot is ready; read by the handler, too. */
    bool          main_thread;
    _Atomic pid_t tid;

    /* The rest is the profiler thread's; the looker reads it, under the list's
       lock. */

    bool    used;
    bool    has_timer;
    timer_t timer;

    /* A file of /proc/self/task/TID: reads fail once the thread is gone, even
       if its id is used again. */
    int proc_fd;

    /* Its CPU clock as it was taken in, nanoseconds; from then on the looker's:
       at the last look of the "jitter" engine. */
    int64_t cpu_ns;

    char name[THREAD_NAME_MAX];

    /* Whether the name is of one of the library's own threads, which run in an
       idle process, too: no sign of work. Stored with the name, loaded by who
       looks. */
    _Atomic bool own_work;

    /* How often it was asked for. */
    unsigned named;

    /* How much of lost_expiries is in the profile already. */
    uint64_t lost_seen;

    /* Up to where the ring is drained in this turn. */
    uint64_t drain_end;
};


extern struct thread_slot thread_slots[THREAD_SLOTS];


#endif /* NPROF_THREAD_SLOT_H */
