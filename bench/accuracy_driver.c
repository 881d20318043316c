
/*
 * What bench/accuracy measures: a process with the profiler in it, as the nginx
 * module loads it, whose main thread spends known shares of its CPU time in
 * functions leaf_00 to leaf_60.
 *
 * Usage: accuracy_driver LIBRARY ENGINE RATE CPU-SECONDS PATTERN SHARES PROFILE
 *
 *   ENGINE   timers or jitter
 *   PATTERN  burn: without a pause; random: bursts of 50 us to 3 ms with
 *            random pauses; locked:N: bursts of two thirds of a scheduler's
 *            tick every second tick, N eighths of a tick after it
 *   SHARES   of the leaves, in their order in a burst: "50,30,20"
 *   PROFILE  the file that the profile is written to
 *
 * Prints a JSON object: the rounds of each leaf, of which each takes the same
 * time, the CPU nanoseconds of the thread in all, and the profiler's status.
 */


#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "nprof.h"


#define LEAVES 61

/* A shorter call of a leaf is put off: the way to it would count, too. */
#define LEAF_NS_MIN 10000

#define BURST_NS_MIN 50000
#define BURST_NS_MAX 3000000
#define PAUSE_NS_MAX 6000000

/* For the profiler to open a window, or to close one, before work goes on. */
#define SETTLE_NS 100000000


/* What a leaf runs; the functions differ in one number, or they would be one
   to the compiler. */
#define LEAF(n)                                                     \
    __attribute__((noinline)) static void leaf_##n(uint64_t rounds) \
    {                                                               \
        uint64_t value, round;                                      \
        value = UINT64_C(1##n);                                     \
        for (round = 0; round < rounds; round++) {                  \
            value ^= value >> 29;                                   \
            value *= UINT64_C(0x9e3779b97f4a7c15);                  \
        }                                                           \
        sink = value;                                               \
    }

#define LEAF_TEN(t) \
    LEAF(t##0)      \
    LEAF(t##1)      \
    LEAF(t##2)      \
    LEAF(t##3)      \
    LEAF(t##4)      \
    LEAF(t##5) LEAF(t##6) LEAF(t##7) LEAF(t##8) LEAF(t##9)

#define NAME_TEN(t)                                                  \
    leaf_##t##0, leaf_##t##1, leaf_##t##2, leaf_##t##3, leaf_##t##4, \
        leaf_##t##5, leaf_##t##6, leaf_##t##7, leaf_##t##8, leaf_##t##9


static volatile uint64_t sink;

static int timer_fd;
static int epoll_fd;

/* Waits that a signal ended. */
static uint64_t interrupted;

LEAF_TEN(0)
LEAF_TEN(1)
LEAF_TEN(2)
LEAF_TEN(3)
LEAF_TEN(4)
LEAF_TEN(5)
LEAF(60)


static void (*const leaves[LEAVES])(uint64_t rounds)
    = {NAME_TEN(0), NAME_TEN(1), NAME_TEN(2), NAME_TEN(3),
       NAME_TEN(4), NAME_TEN(5), leaf_60};


struct work {
    unsigned n;
    double   shares[LEAVES];

    /* Rounds: put off, and done; those of all leaves. */
    double   due[LEAVES];
    uint64_t done[LEAVES];
    uint64_t done_all;

    /* Of a leaf's loop. */
    double rounds_per_ns;
};


static void
fail(const char *what, int error)
{
    fprintf(stderr, "accuracy_driver: %s failed (%s)\n", what, strerror(error));
    exit(EXIT_FAILURE);
}


static int64_t
clock_read(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0) {
        fail("clock_gettime()", errno);
    }

    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}


/* Sleeps until then, CLOCK_MONOTONIC, as an event loop does: in epoll_wait(). */
static void
sleep_until(int64_t then)
{
    int                n;
    uint64_t           expired;
    struct itimerspec  time;
    struct epoll_event event;

    memset(&time, 0, sizeof(time));
    time.it_value.tv_sec = (time_t) (then / 1000000000);
    time.it_value.tv_nsec = (long) (then % 1000000000);

    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &time, NULL) != 0) {
        fail("timerfd_settime()", errno);
    }

    do {
        n = epoll_wait(epoll_fd, &event, 1, -1);
        interrupted += n < 0;
    } while (n < 0 && errno == EINTR);

    if (n != 1 || read(timer_fd, &expired, sizeof(expired)) < 0) {
        fail("epoll_wait()", errno);
    }
}


static void
loop_open(void)
{
    struct epoll_event event = {.events = EPOLLIN};

    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (timer_fd < 0 || epoll_fd < 0
        || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) != 0) {
        fail("opening the event loop", errno);
    }
}


static void
sleep_for(int64_t ns)
{
    sleep_until(clock_read(CLOCK_MONOTONIC) + ns);
}


static double
uniform(void)
{
    return (double) random() / ((double) RAND_MAX + 1);
}


static void
shares_parse(struct work *work, char *text)
{
    char    *share;
    double   sum;
    unsigned i;

    sum = 0;

    for (share = strtok(text, ","); share != NULL; share = strtok(NULL, ",")) {
        if (work->n == LEAVES) {
            fail("parsing shares", E2BIG);
        }

        work->shares[work->n] = atof(share);
        sum += work->shares[work->n++];
    }

    for (i = 0; i < work->n; i++) {
        work->shares[i] /= sum;
    }
}


static void
calibrate(struct work *work)
{
    int64_t start;

    leaf_00(1000000);
    start = clock_read(CLOCK_THREAD_CPUTIME_ID);
    leaf_00(20000000);
    work->rounds_per_ns
        = 20000000.0 / (double) (clock_read(CLOCK_THREAD_CPUTIME_ID) - start);
}


/*
 * Spends about ns nanoseconds, in the order of the leaves. What each spends is
 * known by its rounds: to read the thread's CPU clock is a system call, and one
 * in which the scheduler decides anew who runs.
 */
static void
burst(struct work *work, double ns)
{
    double   least;
    uint64_t rounds;
    unsigned i;

    least = LEAF_NS_MIN * work->rounds_per_ns;

    for (i = 0; i < work->n; i++) {
        work->due[i] += work->shares[i] * ns * work->rounds_per_ns;

        if (work->due[i] >= least) {
            rounds = (uint64_t) work->due[i];
            leaves[i](rounds);
            work->due[i] -= (double) rounds;
            work->done[i] += rounds;
            work->done_all += rounds;
        }
    }
}


/*
 * When ticks are: their length, and the phase of the earliest that was seen.
 * The coarse clock is the time of the last tick.
 */
static int64_t
tick_phase(int64_t *length)
{
    int             i;
    int64_t         coarse, seen, first, offset, earliest;
    struct timespec resolution;

    if (clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0) {
        fail("clock_getres()", errno);
    }

    *length = resolution.tv_nsec;
    first = earliest = 0;

    for (i = 0; i < 32; i++) {
        coarse = clock_read(CLOCK_MONOTONIC_COARSE);
        while (clock_read(CLOCK_MONOTONIC_COARSE) == coarse) {
            /* void */
        }

        seen = clock_read(CLOCK_MONOTONIC);
        first = i == 0 ? seen : first;

        /* in [-length / 2, length / 2) of the first */
        offset = (seen - first + *length / 2) % *length - *length / 2;
        earliest = offset < earliest ? offset : earliest;
    }

    return (first + earliest) % *length;
}


static void
run_locked(struct work *work, uint64_t rounds, int eighths)
{
    int64_t length, phase, now;

    phase = tick_phase(&length);
    phase += length * eighths / 8;

    while (work->done_all < rounds) {
        now = clock_read(CLOCK_MONOTONIC) - phase;
        sleep_until((now / (2 * length) + 1) * 2 * length + phase);
        burst(work, (double) length * 0.675);
    }
}


static void
run(struct work *work, int64_t cpu_ns, const char *pattern)
{
    uint64_t rounds;

    rounds = (uint64_t) ((double) cpu_ns * work->rounds_per_ns);

    if (strncmp(pattern, "locked:", 7) == 0) {
        run_locked(work, rounds, atoi(pattern + 7));
        return;
    }

    while (work->done_all < rounds) {
        burst(work, BURST_NS_MIN + uniform() * (BURST_NS_MAX - BURST_NS_MIN));

        if (strcmp(pattern, "random") == 0) {
            sleep_for((int64_t) (uniform() * PAUSE_NS_MAX));
        }
    }
}


static const struct nprof_library *
library_open(const char *path)
{
    void                       *handle;
    const struct nprof_library *library;

    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    library = handle == NULL ? NULL : dlsym(handle, NPROF_SYMBOL);

    if (library == NULL) {
        fprintf(stderr, "accuracy_driver: %s\n", dlerror());
        exit(EXIT_FAILURE);
    }

    if (library->abi != NPROF_ABI || library->size != sizeof(*library)) {
        fail("the library's descriptor", ELIBBAD);
    }

    return library;
}


/* Waits for the job, and hands its result to print. */
static void
job_wait(const struct nprof_library *library, struct nprof *nprof, FILE *out)
{
    int               rc;
    size_t            len;
    const void       *data;
    struct pollfd     ready;
    struct nprof_job *job;

    ready.fd = library->event_fd(nprof);
    ready.events = POLLIN;

    while ((job = library->next_done(nprof)) == NULL) {
        if (poll(&ready, 1, -1) < 0 && errno != EINTR) {
            fail("poll()", errno);
        }
    }

    rc = library->job_result(job, &data, &len);
    if (rc != 0 || fwrite(data, 1, len, out) != len || fflush(out) != 0) {
        fail("the profiler's job", rc != 0 ? -rc : errno);
    }

    library->job_free(job);
}


static struct nprof_job *
job_start(const struct nprof_library *library, struct nprof *nprof,
          enum nprof_job_kind kind)
{
    int               rc;
    struct nprof_job *job;

    rc = library->job_start(nprof, kind, NULL, 0, NULL, &job);
    if (rc != 0) {
        fail("job_start()", -rc);
    }

    return job;
}


static void
leaves_print(const struct work *work)
{
    unsigned i;

    printf("\"leaf_rounds\": [");
    for (i = 0; i < work->n; i++) {
        printf("%s%" PRIu64, i == 0 ? "" : ", ", work->done[i]);
    }

    printf("]");
}


/* The profile of the window in which run() works. */
static void
measure(const struct nprof_library *library, struct nprof *nprof, char **argv)
{
    FILE             *out;
    int64_t           cpu, wall;
    struct work       work;
    struct nprof_job *job;

    memset(&work, 0, sizeof(work));
    shares_parse(&work, argv[6]);
    calibrate(&work);

    job = job_start(library, nprof, NPROF_JOB_CPU);
    sleep_for(SETTLE_NS);

    wall = clock_read(CLOCK_MONOTONIC);
    cpu = clock_read(CLOCK_THREAD_CPUTIME_ID);
    run(&work, (int64_t) (atof(argv[4]) * 1e9), argv[5]);
    cpu = clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu;
    wall = clock_read(CLOCK_MONOTONIC) - wall;

    sleep_for(SETTLE_NS);
    library->job_finish(job);

    out = fopen(argv[7], "wb");
    if (out == NULL) {
        fail(argv[7], errno);
    }

    job_wait(library, nprof, out);
    fclose(out);

    printf("{\"cpu_ns\": %" PRId64 ", \"wall_ns\": %" PRId64
           ", \"interrupted\": %" PRIu64 ", ",
           cpu, wall, interrupted);
    leaves_print(&work);
    printf(", \"status\": ");
    fflush(stdout);
    job_start(library, nprof, NPROF_JOB_STATUS);
    job_wait(library, nprof, stdout);
    printf("}\n");
}


int
main(int argc, char **argv)
{
    int                         rc;
    uint64_t                    unsent;
    struct nprof               *nprof;
    struct nprof_config         config;
    const struct nprof_library *library;

    if (argc != 8) {
        fprintf(stderr, "usage: accuracy_driver LIBRARY ENGINE RATE "
                        "CPU-SECONDS PATTERN SHARES PROFILE\n");
        return EXIT_FAILURE;
    }

    srandom((unsigned) clock_read(CLOCK_REALTIME));
    loop_open();
    library = library_open(argv[1]);

    memset(&config, 0, sizeof(config));
    config.rate = (uint32_t) atoi(argv[3]);
    config.types = NPROF_TYPE(NPROF_JOB_CPU);
    config.stall_threshold_ms = NPROF_STALL_THRESHOLD_MIN;
    config.period_ms = NPROF_PERIOD_DEFAULT;
    config.cpu_engine
        = strcmp(argv[2], "jitter") == 0 ? NPROF_CPU_JITTER : NPROF_CPU_TIMERS;

    rc = library->prepare();
    if (rc == 0) {
        rc = library->start(&config, &nprof);
    }

    if (rc != 0) {
        fail("starting the profiler", -rc);
    }

    sleep_for(SETTLE_NS);
    measure(library, nprof, argv);

    return library->stop(nprof, 1000, &unsent) == 0 ? EXIT_SUCCESS
                                                    : EXIT_FAILURE;
}
