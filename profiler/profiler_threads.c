
/*
 * Begin and end of the library's threads; see profiler_threads.h.
 */


#include <signal.h>

#include "export_thread.h"
#include "futex_wait.h"
#include "instance/instance_memory.h"
#include "nprof_clock.h"
#include "profiler_thread.h"
#include "profiler_threads.h"
#include "sample/signal_handler.h"
#include "thread_context.h"
#include "trace_thread.h"


#define PROFILER_STACK_SIZE (256 * 1024)


/* Of the time to stop: what the last period may take; and, of what is left after
   that, how much stays for the uploader alone once the other threads have ended,
   and then how much for its thread to end: a processor that has other work, too,
   may let it wait for its turn. */
#define PERIOD_PART 2
#define UPLOAD_PART 4
#define UPLOAD_END_PART 4


/* Asks them to end: they wait for nothing any more, nor for other workers. */
static void
threads_end(struct nprof *nprof)
{
    atomic_store(&nprof->stopping, true);
    signal_wake_profiler();
    peer_limit_waits(0);
    futex_flag_wake(nprof->export_wake);
}


/* Before there is a profiler thread, which reports of it. */
static void
tracing_start(struct nprof *nprof)
{
    if (nprof->trace != NULL && !trace_thread_start(nprof->trace)) {
        trace_thread_destroy(nprof->trace);
        nprof->trace = NULL;
    }
}


/* Of a tracer that has had no spans yet. */
static void
tracing_end(struct nprof *nprof)
{
    if (nprof->trace != NULL) {
        trace_thread_end(nprof->trace, 0);
        (void) trace_thread_join(nprof->trace, INT64_MAX);
    }
}


/*
 * Our threads block all signals from their start on: nginx's are for its main
 * thread. They unblock the sampler's own, so that their CPU is seen too.
 */
int
profiler_threads_start(struct nprof *nprof)
{
    int      rc;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    rc = thread_context_create(&nprof->export_thread, SYMBOLIZER_STACK_SIZE,
                               export_thread_main, nprof);

    if (rc == 0) {
        /* now: the profiler thread may look before the other one gets to run */
        (void) pthread_setname_np(nprof->export_thread, EXPORT_THREAD_NAME);
        tracing_start(nprof);

        rc = thread_context_create(&nprof->profiler_thread, PROFILER_STACK_SIZE,
                                   profiler_thread_main, nprof->profiler);
        if (rc != 0) {
            threads_end(nprof);
            tracing_end(nprof);
            pthread_join(nprof->export_thread, NULL);
        }
    }

    pthread_sigmask(SIG_SETMASK, &before, NULL);

    return rc;
}


void
profiler_period_finish(struct nprof *nprof)
{
    if (atomic_exchange(&nprof->finishing, false)) {
        instance_leader_finish(&nprof->leader);
        futex_flag_wake(&nprof->finished);
    }
}


/* While the profiler threads of all workers still answer. */
static void
last_period(struct nprof *nprof, int64_t until_ns)
{
    int64_t left;

    if (nprof->leader.handlers.n == 0) {
        return;
    }

    peer_limit_waits(until_ns);
    atomic_store(&nprof->finishing, true);
    futex_flag_wake(nprof->export_wake);

    /* a signal ends a wait */
    do {
        left = until_ns - clock_ns(CLOCK_MONOTONIC);
    } while (left > 0 && !futex_flag_wait(&nprof->finished, left));

    /* where it has not begun it is too late */
    atomic_store(&nprof->finishing, false);
}


/* What is left but for that part of it. */
static int64_t
time_before(int64_t until_ns, int64_t part)
{
    return until_ns - (until_ns - clock_ns(CLOCK_MONOTONIC)) / part;
}


/*
 * The uploader sends what the export thread made last. Where that one does not
 * end in time it has to stop soon, and gets a moment of its own for that.
 */
static bool
threads_join(struct nprof *nprof, int64_t until_ns)
{
    bool    joined, counted;
    int64_t early;

    early = nprof->uploader == NULL ? until_ns
                                    : time_before(until_ns, UPLOAD_PART);

    counted = thread_context_join(nprof->profiler_thread, early);
    joined = counted && thread_context_join(nprof->export_thread, early);

    if (nprof->uploader != NULL) {
        uploader_end(nprof->uploader, time_before(until_ns, UPLOAD_END_PART));
    }

    if (nprof->trace != NULL && !trace_thread_join(nprof->trace, early)) {
        joined = false;
    }

    /* before it ends: then it parks */
    if (!joined) {
        atomic_store(&nprof->abandoned, true);
    }

    joined
        = (nprof->uploader == NULL || uploader_join(nprof->uploader, until_ns))
          && joined;

    /* what was counted is safe, whatever the others wait for */
    if (!joined && counted && nprof->left) {
        instance_mark_left();
    }

    return joined;
}


bool
profiler_threads_stop(struct nprof *nprof, int64_t until_ns)
{
    last_period(nprof, time_before(until_ns, PERIOD_PART));

    threads_end(nprof);

    if (threads_join(nprof, until_ns)) {
        return true;
    }

    atomic_store(&nprof->abandoned, true);

    return false;
}
