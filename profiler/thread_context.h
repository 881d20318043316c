
/*
 * What is common to the library's threads: how they begin, and how they end
 * when the process does not wait for them.
 */


#ifndef NPROF_THREAD_CONTEXT_H
#define NPROF_THREAD_CONTEXT_H


#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler_job.h"


/* By how much what is in no hurry yields to the worker. */
#define THREAD_CONTEXT_NICE 5


/*
 * The time slice that thread_context_hurry() asks of the scheduler: the shorter,
 * the sooner it lets a thread that wakes up take over, from Linux 6.12 on.
 * Nobody's share of the processor changes by it. There is no shorter one.
 */
#define THREAD_CONTEXT_SLICE_NS 100000


/*
 * Whether the process has a thread of that name, for longer than one takes to
 * vanish that was joined: at most some milliseconds. No thread of ours runs.
 */
bool thread_context_in_use(const char *name);

/*
 * Called first on a thread of ours, which has all signals blocked: takes the
 * name, unblocks the sampler's signal (our CPU shows in the profile too), runs
 * on all processors (a pinned worker must not share its one with us) and is
 * nicer than the worker by nice_increment.
 */
void thread_context_enter(const char *name, int nice_increment);

/*
 * Makes the calling thread one that wakes up at once: asks for the shortest time
 * slice, and for timers without slack, which would let the kernel move its
 * wake-up to that of another sleeper, and so to the begin of work that a timer
 * starts.
 */
void thread_context_hurry(void);

/* Creates a thread with a stack of so many bytes. Returns 0 or -errno. */
int thread_context_create(pthread_t *thread, size_t    stack_size,
                          void *(*body)(void *), void *data);

/* Waits for the thread's end, until that time (CLOCK_MONOTONIC) at most; returns
   whether it has come. */
bool thread_context_join(pthread_t thread, int64_t until_ns);

/*
 * Called last. Where stop() gave up on the thread it never returns: the
 * process exits, and its memory may be gone.
 */
void thread_context_leave(struct nprof *nprof);


#endif /* NPROF_THREAD_CONTEXT_H */
