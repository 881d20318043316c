/*
 * Collects and merges the parcels of many workers as the export thread does,
 * and prints what that took.
 *
 * Usage: merge_driver WORKERS STACKS SAME [step]
 *
 * WORKERS workers with STACKS different stacks of 20 frames each, the same in
 * all of them if SAME is 1, else different everywhere. All of them answer by a
 * thread of this process, which the CPU time that is printed leaves out: it is
 * that of the merging thread alone, of a window's beginning and of its end, with
 * the encoding. Prints workers, stacks, nanoseconds of the beginning, of the
 * end, the most memory that it took (by growth of the peak resident set) and
 * that the answers took (of the instance's file), bytes, and samples and bytes
 * of the profile.
 *
 * With "step" it is a turn of the leader instead, at which a step of the history
 * and a period end, with profiles of all types, as large as their tables are at
 * most: the beginning is that of the two windows, and of the profile there is
 * nothing to print.
 */

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "encode/pprof_encode.h"
#include "instance/instance_collect.h"
#include "instance/instance_leader.h"
#include "nprof_clock.h"
#include "profile_types.h"


#define FRAMES 20
#define SYMBOLS 20000

/* Where the program lies. */
#define TEXT 0x1000


static struct module_identity nginx_module = {
    .path = "/nginx",
    .build_id = {1},
    .build_id_len = 1,
    .text_start = TEXT,
    .text_end = 0x1000000,
    .fd = -1,
};

static uint32_t n_workers, n_stacks, same;
static unsigned window_number;

static _Atomic bool ended;


static uint64_t
mix(uint64_t number)
{
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9ull;
    number = (number ^ number >> 27) * 0x94d049bb133111ebull;

    return number ^ number >> 31;
}


static struct stack_frame    *frames;
static struct profile_sample *samples;

/* Each turn ends what a turn began. */
static const struct nprof_config config = {
    .rate = 99,
    .types = NPROF_TYPE(NPROF_PROFILES) - 1,
    .heap_interval = NPROF_HEAP_INTERVAL_DEFAULT,
    .period_ms = 1,
    .history_size = 16 << 20,
};

/* The most of the instance's file that was in use, bytes. */
static _Atomic int64_t file_peak;


static void
stacks_make(void)
{
    uint32_t i, f;

    frames = calloc((size_t) n_stacks * FRAMES, sizeof(*frames));
    samples = calloc(n_stacks, sizeof(*samples));
    if (frames == NULL || samples == NULL) {
        abort();
    }

    for (i = 0; i < n_stacks; i++) {
        for (f = 0; f < FRAMES; f++) {
            frames[i * FRAMES + f].address
                = TEXT + mix((uint64_t) i << 32 | f) % SYMBOLS * 16;
        }

        samples[i].frames = &frames[i * FRAMES];
        samples[i].n_frames = FRAMES;
        samples[i].thread = "main";
    }
}


/* What a worker has of a type: no more stacks than there is room for. */
static void
answer_type(struct parcel_writer *writer, unsigned kind)
{
    uint32_t                most = profile_type_shape(kind)->stacks_max;
    struct stack_profile    profile = {0};
    struct module_identity *modules[1] = {&nginx_module};

    profile.modules = modules;
    profile.n_modules = 1;
    profile.n_value_types = profile_type_shape(kind)->n_values;
    profile.samples = samples;
    profile.n_samples = n_stacks < most ? n_stacks : most;

    parcel_add(writer, kind, &profile);
}


/* Of peer_answer_all(); data is the number of the worker. */
static int
answer(void *data, uint32_t types, struct parcel_file *file)
{
    int                  rc;
    uint32_t             i, worker = *(uint32_t *) data;
    unsigned             kind;
    struct stat          status;
    struct parcel_writer writer;

    for (i = 0; i < n_stacks; i++) {
        /* the leaf makes the difference */
        frames[i * FRAMES].address
            = TEXT + (same ? i : (uint64_t) worker * n_stacks + i);
        samples[i].values[0] = 1 + window_number;
        samples[i].values[1] = 10000000 * (1 + (int64_t) window_number);
    }

    parcel_begin(&writer, worker + 1, 0, parcel_file_sink, file);

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (types & NPROF_TYPE(kind)) {
            answer_type(&writer, kind);
        }
    }

    rc = parcel_end(&writer);

    if (fstat(instance.fd, &status) == 0
        && status.st_blocks * 512 > atomic_load(&file_peak)) {
        atomic_store(&file_peak, status.st_blocks * 512);
    }

    return rc != 0 ? rc : file->error;
}


/* The workers: a thread that answers for one after the other. */
static void *
workers_run(void *data)
{
    uint32_t worker;

    (void) data;

    while (!atomic_load(&ended)) {
        for (worker = 0; worker < n_workers; worker++) {
            peer_accept_all(worker);
            peer_answer_all(worker, answer, &worker);
        }

        usleep(500);
    }

    return NULL;
}


/* A process that has a slot, and does nothing: a thread here answers for it. */
static void
worker_join(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (instance_join() != 0) {
        _exit(EXIT_FAILURE);
    }

    for (;;) {
        pause();
    }
}


/* All of them, one after the other; the first is this process. */
static int
workers_join(void)
{
    uint32_t i;
    pid_t    pid;

    if (instance_prepare() != 0 || instance_join() != 0 || instance.slot != 0) {
        return -1;
    }

    for (i = 1; i < n_workers; i++) {
        pid = fork();

        if (pid == 0) {
            instance.slot = INSTANCE_SLOTS;
            worker_join();
        }

        while (atomic_load(&instance.directory->slots[i].state)
               != INSTANCE_LIVE) {
            if (pid < 0 || waitpid(pid, NULL, WNOHANG) != 0) {
                return -1;
            }

            usleep(100);
        }
    }

    return 0;
}


static void
window(const struct window_base *base, struct window_base *next,
       struct stack_merge *merge)
{
    static struct peer_question question;
    static struct collection    c;

    memset(&c, 0, sizeof(c));
    c.question = &question;
    c.next = next;

    if (merge != NULL) {
        c.window.base = base;
        c.window.merges[NPROF_JOB_CPU] = merge;
    }

    peer_ask_all(&question, NPROF_TYPE(NPROF_JOB_CPU), 0);
    if (collect(&c) != 0 || c.answered != n_workers) {
        fprintf(stderr, "%u of %u answered\n", c.answered, n_workers);
        exit(EXIT_FAILURE);
    }

    collect_end(&c);
}


static int64_t
peak_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);

    return usage.ru_maxrss * 1024L;
}


/* What is measured. */
struct figures {
    /* CPU time of this thread: before, between beginning and end, after. */
    int64_t times[3];

    size_t samples;
    size_t bytes;
};


/* A profile that somebody asks for. */
static void
measure_window(struct symbolizer *symbolizer, struct figures *figures)
{
    uint8_t                      *bytes;
    struct stack_merge            merge;
    struct window_base            base = {0};
    struct stack_profile          profile;
    static struct module_registry registry;

    window(NULL, &base, NULL);
    window_number = 1;
    figures->times[1] = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    if (stack_merge_init(&merge, &registry, &nginx_module) != 0) {
        exit(EXIT_FAILURE);
    }

    window(&base, NULL, &merge);
    stack_merge_settle(&merge, 0);
    stack_merge_profile(&merge, &profile);
    profile_type_describe(&profile, NPROF_JOB_CPU, 0, &config);
    if (pprof_encode(&profile, symbolizer, 5, &bytes, &figures->bytes) != 0) {
        exit(EXIT_FAILURE);
    }

    figures->samples = profile.n_samples;
}


/* The one who wants periods; what that does with them is not measured. */
static void
period_end(void *data, const struct period *period)
{
    unsigned        kind;
    struct figures *figures = data;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        figures->samples += period->profiles[kind]->n_samples;
    }
}


/* A step of the history and a period, both of which end. */
static void
measure_step(struct symbolizer *symbolizer, struct figures *figures)
{
    static struct module_registry registry;
    static struct instance_leader leader
        = {.config = &config, .main = &nginx_module, .registry = &registry};

    leader.symbolizer = symbolizer;
    (void) period_subscribe(&leader.handlers, period_end, figures);

    instance_leader_turn(&leader);
    window_number = 1;
    figures->times[1] = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    leader.next_ns = 0;
    instance_leader_turn(&leader);

    if (figures->samples == 0
        || atomic_load(&instance.directory->unanswered) != 0) {
        fprintf(stderr, "no period ended\n");
        exit(EXIT_FAILURE);
    }
}


int
main(int argc, char **argv)
{
    bool               step = argc == 5 && strcmp(argv[4], "step") == 0;
    int64_t            before;
    pthread_t          workers;
    struct figures     figures = {.samples = 0};
    struct symbolizer *symbolizer;

    if (argc != 4 && !step) {
        fprintf(stderr, "usage: merge_driver WORKERS STACKS SAME [step]\n");
        return EXIT_FAILURE;
    }

    n_workers = (uint32_t) atoi(argv[1]);
    n_stacks = (uint32_t) atoi(argv[2]);
    same = (uint32_t) atoi(argv[3]);

    symbolizer = symbolizer_create(NULL);

    if (n_workers == 0 || n_workers > INSTANCE_SLOTS || symbolizer == NULL
        || workers_join() != 0) {
        return EXIT_FAILURE;
    }

    peer_begin();
    stacks_make();
    pthread_create(&workers, NULL, workers_run, NULL);

    before = peak_bytes();
    figures.times[0] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    (step ? measure_step : measure_window)(symbolizer, &figures);
    figures.times[2] = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    printf("%u %u %ld %ld %ld %ld %zu %zu\n", n_workers, n_stacks,
           (long) (figures.times[1] - figures.times[0]),
           (long) (figures.times[2] - figures.times[1]),
           (long) (peak_bytes() - before), (long) file_peak, figures.samples,
           figures.bytes);

    atomic_store(&ended, true);
    pthread_join(workers, NULL);

    return EXIT_SUCCESS;
}
