/*
 * libnprof in a process that is all of one sanitizer, since nginx can't be: an
 * event loop that stalls now and then, pool threads that burn and wait, others
 * that come and go, a plug-in that is opened and closed, and captures of all
 * types that are finished, abandoned, or cut short. Workers are forked one
 * after the other, as at reloads.
 *
 * Usage: worker_stress LIBNPROF PLUG-IN SECONDS
 *
 * Exits with 1 if a call fails that must not, or a profile is not what it has
 * to be; what the sanitizer finds is its own to report.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nprof.h"


/* A worker's life: until it has fetched a profile of each type, at least and at
   most: under ThreadSanitizer the first takes 40 s of a busy machine. */
#define WORKER_MS 2000
#define WORKER_MAX_MS 240000

#define STOP_TIMEOUT_MS 60000
#define POOL_THREADS 4
#define JOBS 6

/* Every so many turns of the loop one is a stall. */
#define STALL_TURNS 50
#define STALL_MS 12
#define THRESHOLD_MS 5

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                       \
        }                                                                   \
    } while (0)


/* A sanitizer has malloc() itself: there is no heap profile. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TYPES (NPROF_TYPE(NPROF_PROFILES) - 1 - NPROF_TYPE(NPROF_JOB_HEAP))
#else
#define TYPES (NPROF_TYPE(NPROF_PROFILES) - 1)
#endif


/* What the loop keeps of a job. */
struct capture {
    struct nprof_job   *job;
    enum nprof_job_kind kind;
};


static const struct nprof_library *library;
static const char                 *plugin_path;

/* The worker's threads end. */
static _Atomic bool leaving;

static unsigned random_state;

/* Profiles that were fetched, by type. */
static unsigned fetched[NPROF_PROFILES];


static int64_t
clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


#ifdef __SANITIZE_THREAD__

/*
 * gcc 12's run-time sees no end of a thread in this call of libnprof's; it does
 * in the other one, which is of another clock.
 */
__attribute__((visibility("default"))) int
pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                     const struct timespec *end)
{
    int64_t         end_ms;
    struct timespec realtime;

    end_ms = (int64_t) end->tv_sec * 1000 + end->tv_nsec / 1000000
             - clock_ms(clock) + clock_ms(CLOCK_REALTIME);
    realtime.tv_sec = end_ms / 1000;
    realtime.tv_nsec = end_ms % 1000 * 1000000;

    return pthread_timedjoin_np(thread, result, &realtime);
}

#endif


static void
sleep_ms(int64_t ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0) {
        CHECK(errno == EINTR);
    }
}


static void
burn_ms(int64_t ms)
{
    int64_t           end = clock_ms(CLOCK_THREAD_CPUTIME_ID) + ms;
    volatile unsigned n = 0;

    while (n % 10000 != 0 || clock_ms(CLOCK_THREAD_CPUTIME_ID) < end) {
        n++;
    }
}


/* The main thread's. */
static unsigned
random_below(unsigned n)
{
    random_state = random_state * 1103515245 + 12345;

    return (random_state >> 16) % n;
}


static void *
short_lived(void *data)
{
    pthread_setname_np(pthread_self(), "short-lived");
    burn_ms((intptr_t) data);

    return NULL;
}


/* Makes threads that live for milliseconds, until the worker leaves. */
static void *
thread_maker(void *data)
{
    intptr_t  ms = 0;
    pthread_t thread;

    while (!atomic_load(&leaving)) {
        ms = (ms + 7) % 20;
        CHECK(pthread_create(&thread, NULL, short_lived, (void *) ms) == 0);
        sleep_ms(3);
        pthread_join(thread, NULL);
    }

    return data;
}


/* As of nginx: all signals are blocked, what the library's hook allows aside. */
static void *
pool_thread(void *data)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);

    while (!atomic_load(&leaving)) {
        burn_ms(2);
        sleep_ms(8);
    }

    return data;
}


/* Opens and closes the plug-in, until the worker leaves. */
static void *
plugin_opener(void *data)
{
    void *plugin;

    while (!atomic_load(&leaving)) {
        plugin = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
        CHECK(plugin != NULL);
        sleep_ms(10);
        dlclose(plugin);
        sleep_ms(10);
    }

    return data;
}


static void
job_start(struct nprof *nprof, struct capture *capture)
{
    int         rc;
    const char *input = NULL;

    do {
        capture->kind
            = (enum nprof_job_kind) random_below(NPROF_JOB_STATUS + 1);
    } while (capture->kind < NPROF_PROFILES
             && !(TYPES & NPROF_TYPE(capture->kind)));

    if (capture->kind == NPROF_JOB_SYMBOL) {
        input = "0x1+0x2";
    }

    rc = library->job_start(nprof, capture->kind, input,
                            input == NULL ? 0 : strlen(input), capture,
                            &capture->job);

    /* those that were given up are jobs until a thread comes by */
    CHECK(rc == 0 || rc == -EAGAIN);
}


/* Takes in what is done: status and symbols are texts, profiles are gzipped. */
static void
jobs_fetch(struct nprof *nprof)
{
    size_t               len;
    const void          *data;
    struct capture      *capture;
    const unsigned char *bytes;
    struct nprof_job    *job;

    while ((job = library->next_done(nprof)) != NULL) {
        capture = library->job_owner(job);
        CHECK(capture->job == job);
        CHECK(library->job_result(job, &data, &len) == 0);
        bytes = data;
        CHECK(len > 10);

        if (capture->kind < NPROF_PROFILES) {
            CHECK(bytes[0] == 0x1f && bytes[1] == 0x8b);
            fetched[capture->kind]++;

        } else {
            CHECK(bytes[0] == (capture->kind == NPROF_JOB_STATUS ? '{' : 'n'));
        }

        library->job_free(job);
        capture->job = NULL;
    }
}


/* One of the captures begins, goes on, ends, or is given up. */
static void
jobs_shuffle(struct nprof *nprof, struct capture *captures)
{
    struct capture *capture = &captures[random_below(JOBS)];

    if (capture->job == NULL) {
        job_start(nprof, capture);
        return;
    }

    switch (random_below(4)) {
    case 0:
        library->job_abandon(capture->job);
        capture->job = NULL;
        break;
    case 1:
        library->job_finish(capture->job);
        break;
    default:
        break;
    }
}


static bool
all_fetched(void)
{
    unsigned kind;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (fetched[kind] == 0 && TYPES & NPROF_TYPE(kind)) {
            return false;
        }
    }

    return true;
}


static void
loop_run(struct nprof *nprof)
{
    int                epoll;
    int64_t            age_ms, start_ms;
    unsigned           turn;
    struct capture     captures[JOBS];
    struct epoll_event event = {.events = EPOLLIN};

    memset(captures, 0, sizeof(captures));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll >= 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, library->event_fd(nprof), &event)
          == 0);

    start_ms = clock_ms(CLOCK_MONOTONIC);
    age_ms = 0;

    for (turn = 1; age_ms < WORKER_MS || !all_fetched(); turn++) {
        age_ms = clock_ms(CLOCK_MONOTONIC) - start_ms;
        CHECK(age_ms < WORKER_MAX_MS);

        (void) epoll_wait(epoll, &event, 1, 5);
        jobs_fetch(nprof);

        jobs_shuffle(nprof, captures);

        if (turn % STALL_TURNS == 0) {
            burn_ms(STALL_MS);
        } else if (turn % STALL_TURNS == STALL_TURNS / 2) {
            sleep_ms(STALL_MS);
        }
    }

    close(epoll);
}


/* A worker: its threads come before the profiler and after it. */
static int
worker_run(unsigned number)
{
    size_t        i;
    uint64_t      unsent;
    struct nprof *nprof;
    pthread_t     threads[POOL_THREADS + 2];

    const struct nprof_config config = {
        .rate = 1000,
        .types = TYPES,
        .heap_interval = NPROF_HEAP_INTERVAL_MIN,
        .stall_threshold_ms = THRESHOLD_MS,
        .period_ms = NPROF_PERIOD_MIN,
        .history_size = 1024 * 1024,
    };

    random_state = number;
    CHECK(library->start(&config, &nprof) == 0);
    CHECK(library->warning(nprof) == NULL);

    for (i = 0; i < POOL_THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, pool_thread, NULL) == 0);
    }

    CHECK(pthread_create(&threads[i++], NULL, thread_maker, NULL) == 0);
    CHECK(pthread_create(&threads[i], NULL, plugin_opener, NULL) == 0);

    loop_run(nprof);

    /* with captures and threads of all states, as at exit_process */
    CHECK(library->stop(nprof, STOP_TIMEOUT_MS, &unsent) == 0);

    atomic_store(&leaving, true);

    for (i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        pthread_join(threads[i], NULL);
    }

    return 0;
}


int
main(int argc, char **argv)
{
    int      status;
    void    *handle;
    pid_t    pid;
    int64_t  end_ms;
    unsigned number;

    if (argc != 4) {
        fprintf(stderr, "Usage: %s LIBNPROF PLUG-IN SECONDS\n", argv[0]);
        return 2;
    }

    handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(handle != NULL);
    library = dlsym(handle, NPROF_SYMBOL);
    CHECK(library != NULL);
    plugin_path = argv[2];
    end_ms = clock_ms(CLOCK_MONOTONIC) + atol(argv[3]) * 1000;

    for (number = 1; clock_ms(CLOCK_MONOTONIC) < end_ms; number++) {
        CHECK(library->prepare() == 0);

        pid = fork();
        CHECK(pid >= 0);

        if (pid == 0) {
            exit(worker_run(number));
        }

        CHECK(waitpid(pid, &status, 0) == pid);

        if (status != 0) {
            fprintf(stderr, "worker %u: status %#x\n", number,
                    (unsigned) status);
            return 1;
        }
    }

    printf("%u workers\n", number - 1);

    return 0;
}
