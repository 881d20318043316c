
/*
 * Finds the threads of the process and keeps a slot for each.
 *
 * All of this runs on the profiler thread, but for what lock says. It polls
 * /proc/self/task, so it sees the threads of every module and language, and
 * needs no hook.
 */


#ifndef NPROF_THREAD_LIST_H
#define NPROF_THREAD_LIST_H


#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thread_slot.h"


struct thread_list {
    /* /proc/self/task. */
    int task_fd;

    /* Nanoseconds of CPU time between two samples of a thread; 0: CPU time is
       not sampled, and threads have no timer. */
    uint64_t period_ns;

    /* Only the main thread is sampled. */
    bool main_only;

    /* Whether the "jitter" engine looks at the threads, from which thread (0: it
       does not run yet); else each has a timer. */
    bool  jitter;
    pid_t looker;

    /*
     * Held while a slot is given out or back, and by the thread that looks
     * while it looks. No other lock is taken under it.
     */
    pthread_mutex_t lock;

    /* The slots from here on were never used; protected by lock. */
    size_t n_slots;

    /* Whether all threads of the last scan have a slot: one that has none yet
       came after it. */
    bool all_known;

    /* Threads that are sampled; those without slot, ring or timer, and the last
       errno. */
    uint32_t sampled;
    uint32_t unsampled;
    int      last_error;
};


/*
 * Opens the list; no slot is used yet. jitter is set by the caller before the
 * first scan. Returns 0 or -errno.
 */
int thread_list_open(struct thread_list *list, uint64_t period_ns);

/* Stops all timers, and gives back rings and descriptors. */
void thread_list_close(struct thread_list *list);

/*
 * Takes new threads in. What one has run since the scan before, in which it was
 * not there, is lost. before_reuse is called for the slot of each thread
 * that is gone, before the slot is given back: its ring may still hold samples.
 */
void thread_list_scan(struct thread_list *list,
                      void (*before_reuse)(void               *data,
                                           struct thread_slot *slot),
                      void *data);

/*
 * From now on each thread has a timer, though jitter was set: no thread looks,
 * nor has one yet. A thread that gets none has no CPU samples; last_error says
 * why.
 */
void thread_list_use_timers(struct thread_list *list);

/* Stops all timers for good: threads that come get none. */
void thread_list_disarm(struct thread_list *list);

/*
 * To be called for a sample that has SAMPLE_NO_BOUNDS, with its
 * thread_pointer: looks the thread's stack up, unless it is known, and SP was
 * on another one.
 */
void thread_list_no_bounds(struct thread_slot *slot, uint64_t thread_pointer);


#endif /* NPROF_THREAD_LIST_H */
