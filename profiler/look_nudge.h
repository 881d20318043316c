
/*
 * The thread "nprof-nudge", which makes the scheduler think again where a look
 * would come late.
 *
 * A thread that wakes up takes the processor from the one that runs there if it
 * has the earlier deadline. The looker asks for the shortest time slice there
 * is, and so has it, but for the last tenth of a millisecond of the other one's
 * slice (which was the case for 2 to 4 of 100 looks into bursts of work). Then
 * it waits until the next of the scheduler's ticks, since nothing looks at
 * deadlines before. A second thread that wakes up there is such a thing: by then
 * the slice is over.
 *
 * It sleeps until the time that was set last, which each look in time puts off.
 * Its calls belong to the looker's thread, but for what says otherwise.
 */


#ifndef NPROF_LOOK_NUDGE_H
#define NPROF_LOOK_NUDGE_H


#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "profiler_job.h"


#define LOOK_NUDGE_NAME "nprof-nudge"


struct look_nudge {
    struct nprof *nprof;

    /* What the thread sleeps in; -1 where there is none. */
    int timer_fd;

    pthread_t thread;

    /* The thread's id, 0 until it runs. */
    _Atomic pid_t tid;

    /* Its CPU time as it ended, nanoseconds. */
    _Atomic int64_t ended_cpu_ns;

    /* It is to end. */
    _Atomic bool ended;

    /* The processor that it was bound to, or -1. */
    int bound;
};


/* Starts the thread. Returns 0 or -errno; the calls below then do nothing. */
int look_nudge_start(struct look_nudge *nudge, struct nprof *nprof);

/* It wakes up shortly after this point in time (CLOCK_MONOTONIC), unless it is
   called again before. */
void look_nudge_set(const struct look_nudge *nudge, int64_t point_ns);

/* Binds the thread, once it runs, to a processor: the one of the looker. To be
   called after each look. */
void look_nudge_bind(struct look_nudge *nudge, int cpu);

/* CPU time of the thread, nanoseconds. */
uint64_t look_nudge_cpu_ns(const struct look_nudge *nudge);

/* Ends the thread, if it was started. */
void look_nudge_join(struct look_nudge *nudge);


#endif /* NPROF_LOOK_NUDGE_H */
