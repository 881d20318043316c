/*
 * Threads that can't be made.
 */

#include "other_workers.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "nprof.h"


/* Workers that do not answer: each would be waited for. */
#define SILENT 10

/* As words of areas are (peer_exchange.c): asked for. */
#define ASKED 2


extern const struct nprof_library nprof_library;


/* The threads that can yet be made; all, while it is negative. */
static _Atomic int threads_left = -1;


static bool
somebody_is_asked(void)
{
    unsigned i;

    for (i = 0; i < INSTANCE_AREAS; i++) {
        if ((atomic_load(&instance_own_slot()->areas[i].word) & 0xff)
            == ASKED) {
            return true;
        }
    }

    return false;
}


/* That of the C library; what can't be made fails once the thread before it
   waits for other workers. */
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
               void *(*body)(void *), void             *data)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *),
                void *);

    if (atomic_load(&threads_left) == 0) {
        while (!somebody_is_asked()) {
            usleep(1000);
        }

        return EAGAIN;
    }

    if (atomic_load(&threads_left) > 0) {
        atomic_fetch_sub(&threads_left, 1);
    }

    *(void **) &real = dlsym(RTLD_NEXT, "pthread_create");

    return real(thread, attributes, body, data);
}


/* 40 seconds if the one that runs waited for the others. */
Test(profiler_threads, thread_that_can_not_be_made, .timeout = 30)
{
    unsigned                  i;
    uint64_t                  unsent;
    struct nprof             *nprof;
    const struct nprof_config config = {
        .rate = NPROF_RATE_DEFAULT,
        .types = NPROF_TYPE(NPROF_JOB_WALL),
        .stall_threshold_ms = NPROF_STALL_THRESHOLD_MIN,
        .period_ms = NPROF_PERIOD_MIN,
        .history_size = 1 << 20,
    };

    cr_assert_eq(instance_prepare(), 0);

    for (i = 0; i < SILENT; i++) {
        (void) other_worker(NULL);
    }

    atomic_store(&threads_left, 1);
    cr_assert_eq(nprof_library.start(&config, &nprof), -EAGAIN);

    /* once they can be made it starts */
    atomic_store(&threads_left, -1);
    cr_assert_eq(nprof_library.start(&config, &nprof), 0);
    cr_assert_eq(nprof_library.stop(nprof, 20000, &unsent), 0);
}
