
/*
 * The library's descriptor: life cycle and jobs, on the event loop's thread.
 */


#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "aggregate/request_counts.h"
#include "encode/pprof_encode.h"
#include "export_thread.h"
#include "futex_wait.h"
#include "heap/heap_capture.h"
#include "instance/instance_memory.h"
#include "instance_uploads.h"
#include "nprof_build_id.h"
#include "nprof_clock.h"
#include "profile_types.h"
#include "profiler_member.h"
#include "profiler_threads.h"
#include "profiler_thread.h"
#include "sample/loop_hook.h"
#include "sample/mask_hook.h"
#include "sample/request_scope.h"
#include "sample/signal_handler.h"
#include "sample/signal_setup.h"
#include "sample/thread_label.h"
#include "symbolize/symbolizer.h"
#include "thread_context.h"
#include "trace/endpoint_counts.h"
#include "trace_thread.h"
#include "unwind/module_table.h"
#include "window_job.h"
#include "work_labels.h"
#include "worker_counters.h"


#define RATE_MAX 1000

/* Of the time to stop: what spans may be sent in. */
#define TRACE_END_PART 2


struct module_table profiler_modules;

/* How requests are traced: made in the master, as the former. */
static struct trace_config profiler_tracing;

/* Of this process, or NULL; the event loop's. */
static struct nprof *nprof_running;

static int
profiler_prepare(void)
{
    int rc;

    /* a single process that reloads: the table is the profiler thread's */
    if (nprof_running != NULL) {
        return 0;
    }

    rc = instance_prepare();
    if (rc != 0) {
        return rc;
    }

    (void) module_table_update(&profiler_modules);
    module_table_compact(&profiler_modules);
    module_table_open_files(&profiler_modules);

    return profiler_modules.n_modules == 0 ? -ENOEXEC : 0;
}


static int
profiler_identify(const struct nprof_identity *identity, char *message,
                  size_t size)
{
    int  rc;
    bool uploaded;

    message[0] = '\0';

    if (nprof_running != NULL) {
        return 0;
    }

    uploaded = instance_identity.n_targets != 0;
    rc = upload_settings_make(&instance_identity, identity, message, size);
    trace_config_read(&profiler_tracing, identity->environment,
                      &instance_identity);

    /* the first upload is not of what was before it was asked for */
    if (!uploaded) {
        endpoint_counts_discard();
    }

    return rc;
}


/* Takes the job out of the list of all, and frees it. */
static void
profiler_job_release(struct nprof_job *job)
{
    if (job->prev != NULL) {
        job->prev->next = job->next;
    } else {
        job->nprof->jobs = job->next;
    }

    if (job->next != NULL) {
        job->next->prev = job->prev;
    }

    job->nprof->n_jobs--;
    profiler_job_free(job);
}


/* No thread of ours runs. */
static void
nprof_free(struct nprof *nprof)
{
    while (nprof->jobs != NULL) {
        profiler_job_release(nprof->jobs);
    }

    if (nprof->profiler != NULL) {
        profiler_destroy(nprof->profiler);
    }

    if (nprof->uploader != NULL) {
        uploader_destroy(nprof->uploader);
    }

    if (nprof->symbolizer != NULL) {
        symbolizer_destroy(nprof->symbolizer);
    }

    if (nprof->trace != NULL) {
        trace_thread_destroy(nprof->trace);
    }

    if (nprof->event_fd >= 0) {
        close(nprof->event_fd);
    }

    module_registry_destroy(&nprof->registry);
    profiler_member_end(nprof);
    free(nprof);
}


static bool
heap_interval_fits(const struct nprof_config *config)
{
    return !(config->types & NPROF_TYPE(NPROF_JOB_HEAP))
           || config->heap_interval == NPROF_HEAP_EVERY
           || (config->heap_interval >= NPROF_HEAP_INTERVAL_MIN
               && config->heap_interval <= NPROF_HEAP_INTERVAL_MAX);
}


/* No sample is taken from here on. */
static void
sampling_stop(void)
{
    atomic_store(&signal_state.active, false);
    heap_capture_stop();
    thread_label_stop();
    loop_hook_stop();
}


static int
profiler_start(const struct nprof_config *config, struct nprof **started)
{
    int           rc;
    struct nprof *nprof;

    if (config->rate == 0 || config->rate > RATE_MAX || config->types == 0
        || config->types >= NPROF_TYPE(NPROF_PROFILES)
        || config->stall_threshold_ms < NPROF_STALL_THRESHOLD_MIN
        || config->stall_threshold_ms > NPROF_STALL_THRESHOLD_MAX
        || (config->cpu_engine != NPROF_CPU_TIMERS
            && config->cpu_engine != NPROF_CPU_JITTER)
        || config->period_ms < NPROF_PERIOD_MIN
        || !heap_interval_fits(config)) {
        return -EINVAL;
    }

    /* a copy of this library from another path has state of its own */
    if (nprof_running != NULL || thread_context_in_use(EXPORT_THREAD_NAME)) {
        return -EBUSY;
    }

    rc = signal_setup();
    if (rc < 0) {
        return rc;
    }

    rc = mask_hook_install();
    if (rc < 0) {
        return rc;
    }

    if (profiler_modules.n_identities == 0) {
        (void) module_table_update(&profiler_modules);
        if (profiler_modules.n_identities == 0) {
            return -ENOEXEC;
        }
    }

    nprof = calloc(1, sizeof(*nprof));
    if (nprof == NULL) {
        return -ENOMEM;
    }

    nprof->config = *config;
    nprof->config.server = config->server != NULL ? config->server : "";
    nprof->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = nprof->event_fd < 0 ? -errno : 0;

    if (rc == 0 && config->trace) {
        nprof->trace = trace_thread_create(nprof, &profiler_tracing);
    }

    if (rc == 0) {
        rc = profiler_create(nprof, &nprof->profiler);
    }

    if (rc == 0) {
        nprof->symbolizer = symbolizer_create(NULL);
        rc = nprof->symbolizer == NULL ? -ENOMEM : profiler_member_begin(nprof);
    }

    if (rc == 0) {
        instance_uploads_begin(nprof);
        atomic_store(&signal_state.active, true);
        rc = profiler_threads_start(nprof);
    }

    if (rc != 0) {
        sampling_stop();
        nprof_free(nprof);
        return rc;
    }

    profiler_warning_add(nprof->profiler, nprof->trace_warning);
    nprof_running = nprof;
    *started = nprof;

    return 0;
}


static uint64_t
uploads_dropped(const struct nprof *nprof)
{
    return nprof->uploader == NULL ? 0 : uploader_dropped(nprof->uploader);
}


static int
profiler_stop(struct nprof *nprof, unsigned timeout_ms, uint64_t *unsent)
{
    bool     stopped;
    int64_t  now, time_ns;
    uint64_t dropped;

    now = clock_ns(CLOCK_MONOTONIC);
    time_ns = timeout_ms * INT64_C(1000000);
    dropped = uploads_dropped(nprof);

    atomic_store(&nprof->unheard, true);
    sampling_stop();

    if (nprof->trace != NULL) {
        trace_thread_end(nprof->trace, now + time_ns / TRACE_END_PART);
    }

    stopped = profiler_threads_stop(nprof, now + time_ns);
    *unsent = uploads_dropped(nprof) - dropped;

    if (!stopped) {
        return -ETIMEDOUT;
    }

    nprof_running = NULL;
    nprof_free(nprof);

    return 0;
}


static const char *
profiler_start_warning(struct nprof *nprof)
{
    return profiler_warning(nprof->profiler);
}


static void
profiler_hurry(struct nprof *nprof, unsigned timeout_ms)
{
    atomic_store(&nprof->unheard, true);
    /* a stall that the process exits after is in all that is made from here on */
    loop_hook_stop();
    peer_limit_waits(clock_ns(CLOCK_MONOTONIC)
                     + (int64_t) timeout_ms * 1000000);
}


static int
profiler_event_fd(struct nprof *nprof)
{
    return nprof->event_fd;
}


/* A job that is not started yet, in the list of all; NULL if memory lacks. */
static struct nprof_job *
job_create(struct nprof *nprof, enum nprof_job_kind kind, void *owner)
{
    struct nprof_job *job;

    job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }

    job->nprof = nprof;
    job->kind = kind;
    job->owner = owner;

    job->next = nprof->jobs;
    if (job->next != NULL) {
        job->next->prev = job;
    }

    nprof->jobs = job;
    nprof->n_jobs++;

    return job;
}


static void
profiler_job_finish(struct nprof_job *job)
{
    if (job->finished) {
        return;
    }

    job->finished = true;

    if (!atomic_load_explicit(&job->abandoned, memory_order_relaxed)) {
        window_job_end(job);
    }

    profiler_job_export(job, &job->finish, JOB_EXPORT);
}


/* Whether there is such a worker, that may have anything to say. */
static bool
worker_exists(uint32_t pid)
{
    unsigned                    i;
    const struct instance_slot *slot;

    for (i = 0; i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (atomic_load(&slot->state) == INSTANCE_LIVE
            && atomic_load(&slot->pid) == pid) {
            return true;
        }
    }

    return false;
}


static int
profiler_window_start(struct nprof *nprof, enum nprof_job_kind kind,
                      const struct nprof_window *window, void *owner,
                      struct nprof_job **started)
{
    int               rc;
    struct nprof_job *job;

    if (kind >= NPROF_PROFILES || !(nprof->config.types & NPROF_TYPE(kind))) {
        return -ENOTSUP;
    }

    if (window->worker != 0 && !worker_exists(window->worker)) {
        return -ESRCH;
    }

    if ((window->options != 0 && kind != NPROF_JOB_HEAP)
        || window->n_labels > NPROF_MATCHES_MAX) {
        return -EINVAL;
    }

    if (nprof->n_jobs == NPROF_JOBS_MAX) {
        return -EAGAIN;
    }

    job = job_create(nprof, kind, owner);
    if (job == NULL) {
        return -ENOMEM;
    }

    rc = window_job_keep(job, window);
    if (rc != 0) {
        profiler_job_release(job);
        return rc;
    }

    if (window->whole || window->to_ns != 0) {
        profiler_job_finish(job);
    } else {
        window_job_begin(job);
        profiler_job_export(job, &job->start, JOB_BEGIN);
    }

    *started = job;

    return 0;
}


static int
profiler_job_start(struct nprof *nprof, enum nprof_job_kind kind,
                   const char *input, size_t input_len, void *owner,
                   struct nprof_job **started)
{
    struct nprof_job         *job;
    const struct nprof_window all = {0};

    if (kind < NPROF_PROFILES) {
        return profiler_window_start(nprof, kind, &all, owner, started);
    }

    if (nprof->n_jobs == NPROF_JOBS_MAX) {
        return -EAGAIN;
    }

    job = job_create(nprof, kind, owner);
    if (job == NULL) {
        return -ENOMEM;
    }

    if (input != NULL) {
        job->input = strndup(input, input_len);
        if (job->input == NULL) {
            profiler_job_release(job);
            return -ENOMEM;
        }
    }

    job->finished = true;
    *started = job;

    if (kind == NPROF_JOB_STORE) {
        profiler_job_export(job, &job->finish, JOB_EXPORT);
        return 0;
    }

    job->start.job = job;
    job->start.step = JOB_PREPARE;
    job_queue_put(&nprof->requests, &job->start.link);
    signal_wake_profiler();

    return 0;
}


static void
profiler_job_abandon(struct nprof_job *job)
{
    job->owner = NULL;
    atomic_store_explicit(&job->abandoned, true, memory_order_relaxed);
    profiler_job_finish(job);
}


static struct nprof_job *
profiler_next_done(struct nprof *nprof)
{
    uint64_t          count;
    struct nprof_job *job;

    for (;;) {
        if (nprof->done_list == NULL) {
            /* before the take: what comes after makes it readable again */
            (void) !read(nprof->event_fd, &count, sizeof(count));
            nprof->done_list = job_queue_take(&nprof->done);
        }

        job = (struct nprof_job *) nprof->done_list;
        if (job == NULL) {
            return NULL;
        }

        nprof->done_list = job->link.next;

        if (!atomic_load_explicit(&job->abandoned, memory_order_relaxed)) {
            return job;
        }

        profiler_job_release(job);
    }
}


static void *
profiler_job_owner(const struct nprof_job *job)
{
    return job->owner;
}


static int
profiler_job_result(const struct nprof_job *job, const void **data, size_t *len)
{
    *data = job->data;
    *len = job->len;

    return job->error;
}


/* Encodes one that has no samples. */
static int
empty_encode(struct stack_profile *profile, void **data, size_t *len)
{
    int      rc;
    uint8_t *bytes;

    profile->modules = profiler_modules.identities;
    profile->n_modules = profiler_modules.n_identities;
    profile->time_ns = clock_ns(CLOCK_REALTIME);

    rc = pprof_encode(profile, NULL, EXPORT_GZIP_LEVEL, &bytes, len);
    *data = rc == 0 ? bytes : NULL;

    return rc;
}


static int
profiler_empty_profile(enum nprof_job_kind kind, unsigned options, void **data,
                       size_t *len)
{
    struct stack_profile profile;

    static const struct nprof_config config = {
        .rate = NPROF_RATE_DEFAULT,
        .heap_interval = NPROF_HEAP_INTERVAL_DEFAULT,
    };

    memset(&profile, 0, sizeof(profile));
    profile_type_describe(&profile, kind, options, &config);

    return empty_encode(&profile, data, len);
}


static int
profiler_foreign_profile(const char *name, void **data, size_t *len)
{
    struct stack_profile profile;

    memset(&profile, 0, sizeof(profile));

    return profile_type_describe_foreign(&profile, name)
               ? empty_encode(&profile, data, len)
               : -ENOENT;
}


__attribute__((visibility("default"))) const struct nprof_library nprof_library
    = {
        .abi = NPROF_ABI,
        .size = sizeof(struct nprof_library),
        .build_id = NPROF_BUILD_ID,
        .prepare = profiler_prepare,
        .identify = profiler_identify,
        .start = profiler_start,
        .warning = profiler_start_warning,
        .stop = profiler_stop,
        .event_fd = profiler_event_fd,
        .job_start = profiler_job_start,
        .window_start = profiler_window_start,
        .job_finish = profiler_job_finish,
        .hurry = profiler_hurry,
        .next_notice = profiler_member_notice,
        .job_abandon = profiler_job_abandon,
        .next_done = profiler_next_done,
        .job_owner = profiler_job_owner,
        .job_result = profiler_job_result,
        .job_free = profiler_job_release,
        .empty_profile = profiler_empty_profile,
        .foreign_profile = profiler_foreign_profile,
        .stacks = worker_counters_stacks,
        .stored_size = profile_store_size,
        .traces = {
            .span_size = sizeof(struct nprof_span),
            .begin = tracer_begin,
            .print_ids = tracer_print_ids,
            .span_id = tracer_span_id,
            .inject = tracer_inject,
            .end = tracer_end,
        },
        .labels = {
            .with = work_label_with,
            .current = work_current,
            .apply = work_apply,
            .request_begin = request_scope_begin,
            .request_enter = request_scope_enter,
            .request_end = request_scope_end,
            .request_span = request_scope_span,
            .request_count = request_counts_add,
        },
};
