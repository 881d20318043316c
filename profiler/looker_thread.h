
/*
 * The thread "nprof-looker" of the "jitter" CPU engine: it looks at random
 * times what all other threads do (sample/cpu_jitter.h), from the processor of
 * the main thread (sample/cpu_follow.h), and does nothing else, since that
 * would keep the main thread waiting.
 *
 * Made and joined by the profiler thread.
 */


#ifndef NPROF_LOOKER_THREAD_H
#define NPROF_LOOKER_THREAD_H


#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "look_nudge.h"
#include "profiler_job.h"
#include "sample/cpu_follow.h"
#include "sample/cpu_jitter.h"
#include "sample/thread_list.h"


#define LOOKER_THREAD_NAME "nprof-looker"


struct looker {
    struct nprof       *nprof;
    struct thread_list *threads;
    int64_t             period_ns;

    pthread_t thread;
    bool      runs;

    /* The thread itself waits on the futex word wake; its maker, until it has
       begun, on began. */
    _Atomic uint32_t wake;
    _Atomic uint32_t began;

    /* Its CPU time as it ended, nanoseconds. */
    _Atomic int64_t ended_cpu_ns;

    struct look_nudge nudge;
    struct cpu_follow follow;
    struct cpu_jitter jitter;

    /* Looks from another processor than the main thread's. Written by the
       thread, read by others. */
    _Atomic uint64_t elsewhere;
};


/* Prepares it; on the main thread, which it will follow. */
void looker_init(struct looker *looker, struct nprof *nprof,
                 struct thread_list *threads, int64_t period_ns);

/*
 * Starts the thread; samples come from its first look on, and the list knows
 * which thread it is. Returns 0 or -errno. Profiler thread, before it becomes
 * nicer than the worker.
 */
int looker_start(struct looker *looker);

/* CPU time of the thread and its nudge, nanoseconds, once they were started;
   profiler thread. */
uint64_t looker_cpu_ns(const struct looker *looker);

/* Ends the thread, if it runs; nprof's stopping is set. Profiler thread. */
void looker_join(struct looker *looker);


#endif /* NPROF_LOOKER_THREAD_H */
