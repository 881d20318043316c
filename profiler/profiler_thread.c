
/*
 * The profiler thread; see profiler_thread.h.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "futex_wait.h"
#include "nprof_clock.h"
#include "profiler_status.h"
#include "profiler_thread.h"
#include "sample/mask_hook.h"
#include "sample/signal_handler.h"
#include "sample/thread_list.h"
#include "symbol_request.h"
#include "thread_context.h"
#include "unwind/stack_unwind.h"


/*
 * The longest sleep: the main thread's ring holds 20 of the largest samples, or
 * a second and more of usual ones, and a half full ring wakes us.
 */
#define TICK_NS 100000000

/* How often the list of threads is brought up to date. */
#define SCAN_NS 1000000000

/*
 * Expiries beyond the first that a sample's stack is credited with. A larger
 * overrun means that the thread ran unseen for longer than a few ticks, and
 * that was hardly all in the one stack that was seen last: it is "[lost]".
 */
#define OVERRUN_MAX 3


struct profiler {
    struct nprof *nprof;
    int64_t       period_ns;
    int64_t       next_scan_ns;

    struct thread_list     threads;
    struct stack_unwinder *unwinder;
    struct stack_table    *table;
    struct unwound_stack   stack;

    struct profiler_counters counters;

    char warning[128];
};


static void sampling_start(struct profiler *profiler);
static void profiler_drain(struct profiler *profiler);
static void profiler_drain_slot(void *data, struct thread_slot *slot);
static void profiler_requests(struct profiler *profiler);


void
cpu_profile_describe(struct stack_profile *profile, uint32_t rate)
{
    profile->value_types[CPU_SAMPLES].type = "samples";
    profile->value_types[CPU_SAMPLES].unit = "count";
    profile->value_types[CPU_NANOSECONDS].type = "cpu";
    profile->value_types[CPU_NANOSECONDS].unit = "nanoseconds";
    profile->n_value_types = CPU_VALUES;
    profile->default_value_type = CPU_NANOSECONDS;
    profile->period_type = profile->value_types[CPU_NANOSECONDS];
    profile->period = 1000000000 / rate;
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
    profiler->table = stack_table_create(&profiler_modules);

    rc = profiler->table == NULL
             ? -ENOMEM
             : stack_unwinder_create(&profiler_modules, &profiler->unwinder);
    if (rc != 0) {
        profiler_destroy(profiler);
        return rc;
    }

    sampling_start(profiler);

    *created = profiler;

    return 0;
}


/*
 * The first look for threads is taken on the main thread, before ours exists:
 * where the main thread gets no timer the engine can't work here.
 */
static void
sampling_start(struct profiler *profiler)
{
    int rc;

    rc = thread_list_open(&profiler->threads, (uint64_t) profiler->period_ns);
    if (rc != 0) {
        snprintf(profiler->warning, sizeof(profiler->warning),
                 "no CPU samples: open(/proc/self/task) failed (%d: %s)", -rc,
                 strerrordesc_np(-rc));
        return;
    }

    thread_list_scan(&profiler->threads, profiler_drain_slot, profiler);

    if (profiler->threads.sampled == 0) {
        rc = profiler->threads.last_error;
        snprintf(profiler->warning, sizeof(profiler->warning),
                 "no CPU samples: no timer for the main thread (%d: %s)", rc,
                 strerrordesc_np(rc));
    }
}


void
profiler_destroy(struct profiler *profiler)
{
    thread_list_close(&profiler->threads);

    if (profiler->unwinder != NULL) {
        stack_unwinder_destroy(profiler->unwinder);
    }

    if (profiler->table != NULL) {
        stack_table_destroy(profiler->table);
    }

    free(profiler);
}


const char *
profiler_warning(const struct profiler *profiler)
{
    return profiler->warning[0] == '\0' ? NULL : profiler->warning;
}


void *
profiler_thread_main(void *data)
{
    int64_t          now;
    struct profiler *profiler = data;
    struct nprof    *nprof = profiler->nprof;

    thread_context_enter("nprof-profiler");

    while (!atomic_load(&nprof->stopping)) {
        profiler_drain(profiler);

        now = clock_ns(CLOCK_MONOTONIC);

        if (now >= profiler->next_scan_ns && profiler->threads.task_fd >= 0) {
            thread_list_scan(&profiler->threads, profiler_drain_slot, profiler);
            profiler->next_scan_ns = now + SCAN_NS;
        }

        profiler_requests(profiler);

        futex_flag_wait(&signal_state.wake, TICK_NS);
    }

    thread_context_leave(nprof);

    return NULL;
}


static void
sample_add(struct profiler *profiler, struct thread_slot *slot,
           const struct sample_record *record)
{
    int64_t                   expiries;
    struct profiler_counters *counters = &profiler->counters;

    if (record->flags & SAMPLE_NO_BOUNDS) {
        thread_list_no_bounds(slot, record->thread_pointer);
        counters->no_bounds++;
    }

    counters->cut += (record->flags & SAMPLE_CUT) != 0;

    stack_unwind(profiler->unwinder, record, slot->main_thread,
                 &profiler->stack);

    counters->samples++;
    counters->complete += profiler->stack.complete;
    counters->bridged += profiler->stack.bridged;

    expiries = 1 + (int64_t) record->overrun;

    if (expiries > 1 + OVERRUN_MAX) {
        atomic_fetch_add(&slot->lost_expiries,
                         (uint64_t) (expiries - 1 - OVERRUN_MAX));
        expiries = 1 + OVERRUN_MAX;
    }

    stack_table_add(profiler->table, slot->name, profiler->stack.frames,
                    profiler->stack.n_frames, expiries,
                    expiries * profiler->period_ns);
}


/* CPU time of which no stack was seen shows as the thread's "[lost]". */
static void
lost_add(struct profiler *profiler, struct thread_slot *slot)
{
    int64_t  expiries;
    uint64_t lost;

    const struct stack_frame frame = {
        .module = STACK_FRAME_NO_MODULE,
        .kind = STACK_FRAME_LOST,
    };

    lost = atomic_load(&slot->lost_expiries);
    expiries = (int64_t) (lost - slot->lost_seen);
    slot->lost_seen = lost;

    if (expiries != 0) {
        profiler->counters.lost += (uint64_t) expiries;
        stack_table_add(profiler->table, slot->name, &frame, 1, expiries,
                        expiries * profiler->period_ns);
    }
}


static void
ring_drain(struct profiler *profiler, struct thread_slot *slot)
{
    int64_t                     before;
    const struct sample_record *record;

    before = clock_ns(CLOCK_MONOTONIC);

    while ((record = sample_ring_peek(&slot->ring, slot->drain_end)) != NULL) {
        /* of most threads there is no sample ever: most pool threads idle */
        sample_ring_prefault(&slot->ring);
        sample_add(profiler, slot, record);
        sample_ring_release(&slot->ring);
    }

    profiler->counters.unwind_ns
        += (uint64_t) (clock_ns(CLOCK_MONOTONIC) - before);
}


/* The slot of a thread that is gone is emptied before it is used again. */
static void
profiler_drain_slot(void *data, struct thread_slot *slot)
{
    struct profiler *profiler = data;

    slot->drain_end = sample_ring_end(&slot->ring);
    ring_drain(profiler, slot);
    lost_add(profiler, slot);

    profiler->counters.dropped += atomic_load(&slot->dropped);
    profiler->counters.handler_ns += atomic_load(&slot->handler_ns);
    profiler->counters.handler_runs += atomic_load(&slot->handler_runs);
}


/*
 * Unwinds the samples that there are now; what comes later (our own samples
 * do, as we unwind) waits its turn. The table of modules is brought up to date
 * after that line is drawn: modules that came since the samples are known, and
 * those that went are known until they are unwound.
 */
static void
profiler_drain(struct profiler *profiler)
{
    size_t              i;
    struct thread_slot *slot;

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (slot->used) {
            slot->drain_end = sample_ring_end(&slot->ring);
        }
    }

    if (module_table_update(&profiler_modules)) {
        stack_unwinder_flush(profiler->unwinder);
        /* of modules that came, too */
        (void) mask_hook_install();
    }

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (slot->used) {
            ring_drain(profiler, slot);
            lost_add(profiler, slot);
        }
    }

    if (module_table_forget(&profiler_modules)) {
        stack_unwinder_flush(profiler->unwinder);
    }
}


static void
window_open(struct profiler *profiler, struct nprof_job *job)
{
    job->start_realtime_ns = clock_ns(CLOCK_REALTIME);
    job->start_monotonic_ns = clock_ns(CLOCK_MONOTONIC);
    job->since = stack_table_snapshot(profiler->table);
}


static void
window_close(struct profiler *profiler, struct nprof_job *job)
{
    if (job->since != NULL) {
        job->profile = stack_table_profile(profiler->table, job->since);
    }

    if (job->profile == NULL) {
        job->error = -ENOMEM;
        return;
    }

    cpu_profile_describe(job->profile, profiler->nprof->config.rate);
    job->profile->time_ns = job->start_realtime_ns;
    job->profile->duration_ns
        = clock_ns(CLOCK_MONOTONIC) - job->start_monotonic_ns;
}


/* Does this thread's part of a job that has no window. */
static void
job_prepare(struct profiler *profiler, struct nprof_job *job)
{
    char  *json;
    size_t len;

    switch (job->kind) {
    case NPROF_JOB_SYMBOL:
        job->profile = symbol_request_parse(&profiler_modules, job->input);
        job->error = job->profile == NULL ? -ENOMEM : 0;
        break;

    default: /* NPROF_JOB_STATUS */
        job->error = profiler_status_json(
            &profiler->counters, &profiler->threads, profiler->table,
            profiler->nprof->config.rate,
            profiler->threads.sampled == 0 ? profiler_warning(profiler) : NULL,
            &json, &len);
        if (job->error == 0) {
            job->data = json;
            job->len = len;
        }
        break;
    }
}


static void
profiler_requests(struct profiler *profiler)
{
    struct job_link    *link, *next;
    struct job_request *request;

    for (link = job_queue_take(&profiler->nprof->requests); link != NULL;
         link = next) {
        /* the request is part of the job: not ours once that is handed on */
        next = link->next;
        request = (struct job_request *) link;

        if (request->job->kind != NPROF_JOB_CPU) {
            job_prepare(profiler, request->job);
            profiler_job_export(request->job);

        } else if (!request->finish) {
            window_open(profiler, request->job);

        } else {
            window_close(profiler, request->job);
            profiler_job_export(request->job);
        }
    }
}
