
/*
 * The thread that looks; see looker_thread.h.
 */


#include <unistd.h>

#include "futex_wait.h"
#include "looker_thread.h"
#include "nprof_clock.h"
#include "thread_context.h"


#define LOOKER_STACK_SIZE (64 * 1024)


void
looker_init(struct looker *looker, struct nprof *nprof,
            struct thread_list *threads, int64_t period_ns)
{
    looker->nprof = nprof;
    looker->threads = threads;
    looker->period_ns = period_ns;
    cpu_follow_init(&looker->follow);
}


static void *
looker_main(void *data)
{
    struct looker *looker = data;

    /* not nicer than the worker: a look that comes late sees other work */
    thread_context_enter(LOOKER_THREAD_NAME, 0);
    thread_context_hurry();

    cpu_jitter_start(&looker->jitter, looker->period_ns, &looker->wake);
    looker->threads->looker = gettid();
    futex_flag_wake(&looker->began);

    while (!atomic_load(&looker->nprof->stopping)) {
        if (!cpu_follow_there(&looker->follow)) {
            atomic_fetch_add_explicit(&looker->elsewhere, 1,
                                      memory_order_relaxed);
        }

        cpu_jitter_look(&looker->jitter, looker->threads);

        cpu_follow_move(&looker->follow);
        look_nudge_bind(&looker->nudge, looker->follow.bound);
        look_nudge_set(&looker->nudge, cpu_jitter_due(&looker->jitter));

        if (futex_flag_wait(&looker->wake, cpu_jitter_due(&looker->jitter)
                                               - clock_ns(CLOCK_MONOTONIC))) {
            cpu_jitter_turned(&looker->jitter);
        }
    }

    atomic_store(&looker->ended_cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID));
    thread_context_leave(looker->nprof);

    return NULL;
}


int
looker_start(struct looker *looker)
{
    int rc;

    /* best effort: without it some looks come too late */
    (void) look_nudge_start(&looker->nudge, looker->nprof);

    rc = thread_context_create(&looker->thread, LOOKER_STACK_SIZE, looker_main,
                               looker);
    if (rc != 0) {
        look_nudge_join(&looker->nudge);
        return rc;
    }

    looker->runs = true;

    while (!futex_flag_wait(&looker->began, INT64_MAX)) {
        /* a signal of ours */
    }

    return 0;
}


uint64_t
looker_cpu_ns(const struct looker *looker)
{
    int64_t ns;

    ns = thread_clock_ns(looker->threads->looker);

    if (ns < 0) {
        /* as the worker stops, before the last of it is asked for */
        ns = atomic_load(&looker->ended_cpu_ns);
    }

    return (uint64_t) ns + look_nudge_cpu_ns(&looker->nudge);
}


void
looker_join(struct looker *looker)
{
    if (looker->runs) {
        futex_flag_wake(&looker->wake);
        pthread_join(looker->thread, NULL);
        look_nudge_join(&looker->nudge);
    }
}
