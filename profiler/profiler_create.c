
/*
 * Makes the profiler thread's state, and finds out what can't work here. All of
 * it runs on the event loop's thread, before there is a profiler thread.
 */


#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate/request_counts.h"
#include "heap/heap_capture.h"
#include "profile_types.h"
#include "profiler_state.h"
#include "profiler_thread.h"
#include "sample/io_hook.h"
#include "sample/loop_hook.h"
#include "sample/request_scope.h"
#include "sample/sample_request.h"
#include "sample/thread_label.h"


static void labels_start(struct profiler *profiler);
static void stall_start(struct profiler *profiler);
static void wall_start(struct profiler *profiler);
static void sampling_start(struct profiler *profiler);
static void heap_start(struct profiler *profiler);
static void warnings_join(struct profiler *profiler);


/* Says what of a type can't work here, unless it is said already. */
__attribute__((format(printf, 3, 4))) static void
warn(struct profiler *profiler, enum nprof_job_kind kind, const char *format,
     ...)
{
    char   *warning;
    va_list arguments;

    warning = profiler->warnings[kind];

    if (!profiler_collects(profiler, kind) || warning[0] != '\0') {
        return;
    }

    va_start(arguments, format);
    vsnprintf(warning, sizeof(profiler->warnings[0]), format, arguments);
    va_end(arguments);
}


static int
tables_create(struct profiler *profiler)
{
    unsigned kind;

    request_counts_reset();

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (!profiler_collects(profiler, kind)) {
            continue;
        }

        profiler->tables[kind]
            = stack_table_create(&profiler_modules, profile_type_shape(kind));
        if (profiler->tables[kind] == NULL) {
            return -ENOMEM;
        }

        if (profiler->nprof->trace != NULL && kind != NPROF_JOB_HEAP
            && stack_table_keep_spans(profiler->tables[kind]) != 0) {
            return -ENOMEM;
        }
    }

    return 0;
}


int
profiler_create(struct nprof *nprof, struct profiler **created)
{
    int              rc;
    struct profiler *profiler;

    profiler = calloc(1, sizeof(*profiler));
    if (profiler == NULL) {
        return -ENOMEM;
    }

    profiler->nprof = nprof;
    profiler->period_ns = 1000000000 / nprof->config.rate;
    profiler->threads.task_fd = -1;

    rc = tables_create(profiler);
    if (rc == 0) {
        rc = stack_unwinder_create(&profiler_modules, &profiler->unwinder);
    }

    if (rc != 0) {
        profiler_destroy(profiler);
        return rc;
    }

    labels_start(profiler);
    stall_start(profiler);
    wall_start(profiler);
    sampling_start(profiler);
    heap_start(profiler);
    warnings_join(profiler);

    *created = profiler;

    return 0;
}


/* What is missing to look at threads that are blocked and at those that run. */
static const char *
look_missing(void)
{
    const char *missing;

    missing = blocked_stack_missing();

    return missing != NULL ? missing : sample_request_missing();
}


/*
 * The labels of requests need both hooks: one says whose work begins, the other
 * when it ends. Where one fails requests must have no scope, else their labels
 * would stay; so the tables are last. The loop is not timed for their sake.
 */
static void
labels_start(struct profiler *profiler)
{
    int rc;

    thread_label_start();

    if (!profiler->nprof->config.request_labels) {
        return;
    }

    rc = loop_hook_start(LOOP_UNTIMED);

    if (rc == 0) {
        rc = io_hook_install();
    }

    if (rc == 0) {
        rc = request_scope_prepare();
    }

    if (rc != 0) {
        thread_label_stop();
        snprintf(profiler->labels_warning, sizeof(profiler->labels_warning),
                 "no labels: the I/O of requests can't be hooked (%d: %s)", -rc,
                 strerrordesc_np(-rc));
    }
}


static void
stall_start(struct profiler *profiler)
{
    int         rc;
    int64_t     threshold_ns;
    const char *missing;

    if (!profiler_collects(profiler, NPROF_JOB_STALL)) {
        return;
    }

    threshold_ns
        = (int64_t) profiler->nprof->config.stall_threshold_ms * 1000000;
    stall_watch_init(&profiler->stalls, profiler->tables[NPROF_JOB_STALL],
                     profiler->unwinder, threshold_ns);

    rc = loop_hook_start(threshold_ns);
    if (rc != 0) {
        warn(profiler, NPROF_JOB_STALL,
             "no stalls: the wait of the event loop can't be hooked (%d: %s)",
             -rc, strerrordesc_np(-rc));
        return;
    }

    missing = look_missing();
    if (missing != NULL) {
        warn(profiler, NPROF_JOB_STALL, "stalls lack stacks: %s", missing);
    }
}


static void
wall_start(struct profiler *profiler)
{
    const char *missing;

    if (!profiler_collects(profiler, NPROF_JOB_WALL)) {
        return;
    }

    wall_poll_init(&profiler->wall, profiler->tables[NPROF_JOB_WALL],
                   profiler->unwinder);

    missing = look_missing();
    if (missing != NULL) {
        warn(profiler, NPROF_JOB_WALL, "wall time is lost: %s", missing);
    }
}


static void
engine_choose(struct profiler *profiler)
{
    const char *missing;

    if (profiler->nprof->config.cpu_engine != NPROF_CPU_JITTER) {
        return;
    }

    missing = cpu_jitter_probe();
    if (missing == NULL) {
        missing = sample_request_missing();
    }

    if (missing != NULL) {
        warn(profiler, NPROF_JOB_CPU, "CPU engine timers instead of jitter: %s",
             missing);
        return;
    }

    profiler->threads.jitter = true;

    if (!profiler_collects(profiler, NPROF_JOB_STALL)) {
        /* without it the engine takes some waits for work */
        (void) loop_hook_start(INT64_MAX);
    }

    looker_init(&profiler->looker, profiler->nprof, &profiler->threads,
                profiler->period_ns);
}


/*
 * The first look for threads is taken on the main thread, before ours exists:
 * where the main thread gets no timer the engine can't work here.
 */
static void
sampling_start(struct profiler *profiler)
{
    int      rc;
    bool     cpu;
    unsigned kind;

    cpu = profiler_collects(profiler, NPROF_JOB_CPU);

    rc = thread_list_open(&profiler->threads,
                          cpu ? (uint64_t) profiler->period_ns : 0);
    if (rc != 0) {
        for (kind = 0; kind < NPROF_JOB_HEAP; kind++) {
            warn(profiler, kind,
                 "no %s samples: open(/proc/self/task) failed (%d: %s)",
                 kind == NPROF_JOB_CPU ? "CPU" : profile_type_name(kind), -rc,
                 strerrordesc_np(-rc));
        }
        return;
    }

    if (cpu) {
        engine_choose(profiler);
    }

    profiler->threads.main_only
        = !cpu && !profiler_collects(profiler, NPROF_JOB_WALL);
    thread_list_scan(&profiler->threads, profiler_drain_slot, profiler);

    if (profiler->threads.sampled == 0) {
        rc = profiler->threads.last_error;
        warn(profiler, NPROF_JOB_CPU,
             "no CPU samples: no %s for the main thread (%d: %s)",
             profiler->threads.jitter ? "schedstat" : "timer", rc,
             strerrordesc_np(rc));
    }
}


/* After the first look for threads: that knows the bounds of the main thread's
   stack. */
static void
heap_start(struct profiler *profiler)
{
    int         rc;
    const char *missing;

    if (!profiler_collects(profiler, NPROF_JOB_HEAP)) {
        return;
    }

    rc = heap_profile_start(&profiler->heap,
                            profiler->nprof->config.heap_interval,
                            profiler->tables[NPROF_JOB_HEAP],
                            profiler->unwinder, &profiler->stack, &missing);

    if (missing != NULL) {
        warn(profiler, NPROF_JOB_HEAP, "no heap samples: %s", missing);

    } else if (rc != 0) {
        warn(profiler, NPROF_JOB_HEAP,
             "heap samples lack: malloc() can't be hooked everywhere (%d: %s)",
             -rc, strerrordesc_np(-rc));

    } else if (heap_capture_missing() != NULL) {
        warn(profiler, NPROF_JOB_HEAP,
             "heap samples of threads lack stacks: %s", heap_capture_missing());
    }
}


void
profiler_warning_add(struct profiler *profiler, const char *warning)
{
    size_t len;

    len = strlen(profiler->warning);

    if (warning[0] != '\0') {
        snprintf(profiler->warning + len, sizeof(profiler->warning) - len,
                 "%s%s", len == 0 ? "" : "; ", warning);
    }
}


/* One text of all. */
static void
warnings_join(struct profiler *profiler)
{
    unsigned kind;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        profiler_warning_add(profiler, profiler->warnings[kind]);
    }

    profiler_warning_add(profiler, profiler->labels_warning);
}


void
profiler_destroy(struct profiler *profiler)
{
    unsigned kind;

    thread_list_close(&profiler->threads);

    if (profiler->unwinder != NULL) {
        stack_unwinder_destroy(profiler->unwinder);
    }

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (profiler->tables[kind] != NULL) {
            stack_table_destroy(profiler->tables[kind]);
        }
    }

    free(profiler);
}


const char *
profiler_warning(const struct profiler *profiler)
{
    return profiler->warning[0] == '\0' ? NULL : profiler->warning;
}
