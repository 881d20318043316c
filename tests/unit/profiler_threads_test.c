/*
 * Threads that can't be made.
 */

#include "other_workers.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "nprof.h"


/* Workers that do not answer: each would be waited for. */
#define SILENT 10

/* As words of areas are (peer_exchange.c): asked for. */
#define ASKED 2


extern const struct nprof_library nprof_library;


/* The threads that can yet be made; all, while it is negative. The one after
   them can't, nor, unless it is just that one, any other. */
static _Atomic int  threads_left = -1;
static _Atomic bool just_one;


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


/* That of the C library; where none can be made any more they fail once the
   thread before them waits for other workers. */
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
               void *(*body)(void *), void             *data)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *),
                void *);

    if (atomic_load(&threads_left) == 0) {
        if (atomic_load(&just_one)) {
            atomic_store(&threads_left, -1);
            return EAGAIN;
        }

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


static const struct nprof_config config = {
    .rate = NPROF_RATE_DEFAULT,
    .types = NPROF_TYPE(NPROF_JOB_WALL),
    .stall_threshold_ms = NPROF_STALL_THRESHOLD_MIN,
    .period_ms = NPROF_PERIOD_MIN,
    .history_size = 1 << 20,
};

/* Before the profiler thread there are the export thread and this one. */
static struct nprof_config traced;


static void
setup(void)
{
    char                        message[256];
    const struct nprof_identity identity = {.service = "app"};

    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(nprof_library.identify(&identity, message, sizeof(message)),
                 0);
    traced = config;
    traced.trace = 1;
}


TestSuite(profiler_threads, .init = setup, .timeout = 30);


static void
expect_start_and_stop(const struct nprof_config *started)
{
    uint64_t      unsent;
    struct nprof *nprof;

    cr_assert_eq(nprof_library.start(started, &nprof), 0);
    cr_expect_null(nprof_library.warning(nprof));
    cr_assert_eq(nprof_library.stop(nprof, 20000, &unsent), 0);
}


/* 40 seconds if those that run waited for the others. */
Test(profiler_threads, thread_that_can_not_be_made)
{
    unsigned      i;
    struct nprof *nprof;

    for (i = 0; i < SILENT; i++) {
        (void) other_worker(NULL);
    }

    atomic_store(&threads_left, 1);
    cr_assert_eq(nprof_library.start(&config, &nprof), -EAGAIN);

    atomic_store(&threads_left, 2);
    cr_assert_eq(nprof_library.start(&traced, &nprof), -EAGAIN);

    /* once they can be made it starts */
    atomic_store(&threads_left, -1);
    expect_start_and_stop(&config);
}


/* The text of the only job that was started. */
static void
expect_in_answer(struct nprof *nprof, const char *text)
{
    size_t            len;
    const void       *data;
    struct pollfd     readable;
    struct nprof_job *job;

    readable.fd = nprof_library.event_fd(nprof);
    readable.events = POLLIN;

    while ((job = nprof_library.next_done(nprof)) == NULL) {
        cr_assert_geq(poll(&readable, 1, -1), 0);
    }

    cr_assert_eq(nprof_library.job_result(job, &data, &len), 0);
    cr_expect_not_null(memmem(data, len, text, strlen(text)), "%.*s", (int) len,
                       (const char *) data);
    nprof_library.job_free(job);
}


/* Requests are not traced, all else works, and it is said. */
Test(profiler_threads, trace_thread_that_can_not_be_made)
{
    uint64_t          unsent;
    struct nprof     *nprof;
    struct nprof_job *job;

    atomic_store(&just_one, true);
    atomic_store(&threads_left, 1);
    cr_assert_eq(nprof_library.start(&traced, &nprof), 0);
    cr_assert_eq(atomic_load(&threads_left), -1);
    cr_assert_not_null(nprof_library.warning(nprof));
    cr_expect_str_eq(nprof_library.warning(nprof),
                     "no traces: no thread to send them (11: Resource "
                     "temporarily unavailable)");

    cr_assert_eq(
        nprof_library.job_start(nprof, NPROF_JOB_STATUS, NULL, 0, NULL, &job),
        0);
    expect_in_answer(nprof,
                     "\"traces\": {\"degraded\": \"no traces: no thread");
    cr_assert_eq(nprof_library.stop(nprof, 20000, &unsent), 0);
    expect_start_and_stop(&traced);
}
