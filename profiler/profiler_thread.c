
/*
 * The profiler thread; see profiler_thread.h.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "futex_wait.h"
#include "heap/heap_hook.h"
#include "instance_uploads.h"
#include "nprof_clock.h"
#include "profiler_snapshot.h"
#include "profiler_state.h"
#include "profiler_thread.h"
#include "prometheus_text.h"
#include "sample/label_set.h"
#include "sample/loop_hook.h"
#include "sample/mask_hook.h"
#include "sample/signal_handler.h"
#include "sample/signal_setup.h"
#include "sample/thread_label.h"
#include "sample/thread_list.h"
#include "stall_watch.h"
#include "symbol_request.h"
#include "thread_context.h"
#include "trace_thread.h"
#include "unwind/stack_unwind.h"
#include "unwind_signals.h"
#include "wall_poll.h"
#include "worker_counters.h"


/* How often the list of threads is brought up to date. */
#define SCAN_NS 1000000000

/*
 * The longest sleep: the main thread's ring holds 20 of the largest samples, or
 * a second and more of usual ones, and a half full ring wakes us.
 */
#define TICK_NS 100000000

/* That of a process in which nothing runs but us: no other samples came in the
   last ten turns. */
#define IDLE_TICK_NS SCAN_NS
#define IDLE_DRAINS 10

/* Modules may change while the line of a drain is drawn: so often it is drawn
   anew. */
#define LINE_TRIES 4

/* Scans that a module has time for to be relocated after it was seen. So many
   follow the start, too: a slot that another thread was binding just then, lazily,
   has lost what we wrote. */
#define HOOK_SCANS 3


static void profiler_report(const struct profiler  *profiler,
                            struct profiler_report *report);
static void profiler_requests(struct profiler *profiler, struct job_link *link);


/* Looks at threads and loop, where it is time to. */
static void
profiler_look(struct profiler *profiler)
{
    if (profiler_collects(profiler, NPROF_JOB_STALL)
        && !stall_watch_look(&profiler->stalls, false)) {
        profiler_drain(profiler);
        (void) stall_watch_look(&profiler->stalls, true);
    }

    if (profiler_collects(profiler, NPROF_JOB_WALL)
        && clock_ns(CLOCK_MONOTONIC) >= wall_poll_due(&profiler->wall)) {
        /* what the last look asked for */
        profiler_drain(profiler);
        wall_poll_look(&profiler->wall, profiler->threads.n_slots);
    }
}


/* Sleeps until there is something to do; returns whether somebody woke us. */
static bool
profiler_wait(struct profiler *profiler)
{
    int64_t until;

    if (profiler_collects(profiler, NPROF_JOB_WALL)) {
        /* its looks drain the rings, too */
        until = wall_poll_due(&profiler->wall);
        wall_poll_before_wait(&profiler->wall);
    } else {
        until = profiler->next_drain_ns;
    }

    if (profiler_collects(profiler, NPROF_JOB_STALL)
        && stall_watch_due(&profiler->stalls) < until) {
        until = stall_watch_due(&profiler->stalls);
    }

    return futex_flag_wait(signal_state.wake,
                           until - clock_ns(CLOCK_MONOTONIC));
}


/* In modules that came, too. */
static void
hooks_install(struct profiler *profiler)
{
    (void) mask_hook_install();

    if (profiler->heap.sampling) {
        (void) heap_hook_install();
    }
}


/* The modules that came may have been on their way still when they were seen. */
static void
hooks_again(struct profiler *profiler)
{
    if (profiler->hook_scans > 0) {
        profiler->hook_scans--;
        hooks_install(profiler);
    }
}


/*
 * Looks whether other code took our signal, as a profiler that it starts would
 * do. It keeps it: there are no samples from here on, and status says why.
 */
static void
signal_check(struct profiler *profiler)
{
    unsigned kind;

    if (atomic_load(&signal_state.lost) || signal_is_ours()) {
        return;
    }

    atomic_store(&signal_state.lost, true);
    thread_list_disarm(&profiler->threads);

    /* the heap's samples need none */
    for (kind = 0; kind < NPROF_JOB_HEAP; kind++) {
        snprintf(profiler->warnings[kind], sizeof(profiler->warnings[kind]),
                 "no samples of running threads: other code took signal %d",
                 signal_number());
    }
}


/*
 * Takes in what there is, and then answers workers that ask for it. Requests
 * and questions are taken first: what was sampled before is in the answer.
 */
static void
profiler_turn(struct profiler *profiler, int64_t now)
{
    struct job_link       *requests;
    struct profiler_report report;

    requests = job_queue_take(&profiler->nprof->requests);
    peer_accept_all(instance.slot);
    profiler_drain(profiler);

    if (now >= profiler->next_scan_ns) {
        signal_check(profiler);
        hooks_again(profiler);
        profiler->next_scan_ns = now + SCAN_NS;

        if (profiler->threads.task_fd >= 0) {
            thread_list_scan(&profiler->threads, profiler_drain_slot, profiler);
        }

        profiler_report(profiler, &report);
        worker_counters_store(&report, instance_own_slot()->counters);
    }

    profiler_requests(profiler, requests);
    peer_answer_all(instance.slot, profiler_snapshot, profiler);
}


/* Without the thread that looks there are timers. */
static void
engine_start(struct profiler *profiler)
{
    int rc;

    if (!profiler->threads.jitter) {
        return;
    }

    rc = looker_start(&profiler->looker);
    if (rc != 0) {
        thread_list_use_timers(&profiler->threads);
        snprintf(profiler->warnings[NPROF_JOB_CPU],
                 sizeof(profiler->warnings[NPROF_JOB_CPU]),
                 "CPU engine timers instead of jitter: "
                 "no thread to look (%d: %s)",
                 -rc, strerrordesc_np(-rc));
    }
}


void *
profiler_thread_main(void *data)
{
    bool             woken;
    int64_t          now;
    struct profiler *profiler = data;
    struct nprof    *nprof = profiler->nprof;

    engine_start(profiler);
    thread_context_enter("nprof-profiler", THREAD_CONTEXT_NICE);
    /* best effort: without it a sample costs more than twice as much */
    (void) unwind_signals_keep();
    profiler->hook_scans = HOOK_SCANS;
    woken = true;

    while (!atomic_load(&nprof->stopping)) {
        profiler_look(profiler);

        now = clock_ns(CLOCK_MONOTONIC);

        /* the looks drain, too: without threads that come and go */
        if (woken || now >= profiler->next_drain_ns
            || now >= profiler->next_scan_ns) {
            profiler_turn(profiler, now);
        }

        woken = profiler_wait(profiler);
    }

    looker_join(&profiler->looker);
    profiler_drain(profiler);

    if (profiler_collects(profiler, NPROF_JOB_WALL)) {
        wall_poll_end(&profiler->wall, profiler->threads.n_slots,
                      clock_ns(CLOCK_MONOTONIC));
    }

    nprof->left = profiler_leave(profiler);
    unwind_signals_restore();
    thread_context_leave(nprof);

    return NULL;
}


/* The unwound sample's share of the CPU profile. */
static void
cpu_add(struct profiler *profiler, struct thread_slot *slot,
        const struct sample_record *record)
{
    int64_t                   expiries;
    uint32_t                  stack;
    struct stack_table       *table = profiler->tables[NPROF_JOB_CPU];
    struct profiler_counters *counters = &profiler->counters;

    counters->samples++;
    counters->complete += profiler->stack.complete;
    counters->bridged += profiler->stack.bridged;
    counters->cut += (record->flags & SAMPLE_CUT) != 0;
    counters->no_bounds += (record->flags & SAMPLE_NO_BOUNDS) != 0;

    if (!atomic_load_explicit(&slot->own_work, memory_order_relaxed)) {
        profiler->idle_drains = 0;
    }

    expiries = 1 + (int64_t) record->overrun;

    /* a look knows what it stands for; a timer only when it was served */
    if (slot->has_timer && expiries > 1 + SAMPLE_OVERRUN_MAX) {
        atomic_fetch_add(&slot->lost_expiries,
                         (uint64_t) (expiries - 1 - SAMPLE_OVERRUN_MAX));
        expiries = 1 + SAMPLE_OVERRUN_MAX;
    }

    stack = stack_table_find(table, slot->name, record->labels,
                             profiler->stack.frames, profiler->stack.n_frames);
    stack_table_count_span(table, stack, expiries,
                           expiries * profiler->period_ns, record->span);
}


static void
sample_add(struct profiler *profiler, struct thread_slot *slot,
           const struct sample_record *record)
{
    if (record->flags & SAMPLE_NO_BOUNDS) {
        thread_list_no_bounds(slot, record->thread_pointer);
    }

    stack_unwind(profiler->unwinder, record, slot->main_thread,
                 &profiler->stack);
    profiler->counters.unwound++;

    if (record->wanted & SAMPLE_FOR_CPU) {
        cpu_add(profiler, slot, record);
    }

    if (record->wanted & SAMPLE_FOR_WALL) {
        wall_poll_sample(&profiler->wall, slot, record, &profiler->stack);
    }

    if (slot->main_thread && profiler_collects(profiler, NPROF_JOB_STALL)) {
        stall_watch_sample(&profiler->stalls, record, &profiler->stack);
    }
}


/* CPU time of which no stack was seen shows as the thread's "[lost]". */
static void
lost_add(struct profiler *profiler, struct thread_slot *slot)
{
    int64_t             expiries;
    uint64_t            lost;
    struct stack_table *table;

    lost = atomic_load(&slot->lost_expiries);
    expiries = (int64_t) (lost - slot->lost_seen);
    slot->lost_seen = lost;

    if (expiries != 0) {
        profiler->counters.lost += (uint64_t) expiries;
        table = profiler->tables[NPROF_JOB_CPU];
        stack_table_count(
            table, stack_table_find_mark(table, slot->name, STACK_FRAME_LOST),
            expiries, expiries * profiler->period_ns);
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
        sample_ring_prefault(&slot->ring, slot->ring.size);
        sample_add(profiler, slot, record);
        sample_ring_release(&slot->ring);
    }

    profiler->counters.unwind_ns
        += (uint64_t) (clock_ns(CLOCK_MONOTONIC) - before);
}


/* The slot of a thread that is gone is emptied before it is used again. */
void
profiler_drain_slot(void *data, struct thread_slot *slot)
{
    struct profiler *profiler = data;

    slot->drain_end = sample_ring_end(&slot->ring);
    ring_drain(profiler, slot);
    lost_add(profiler, slot);

    if (profiler_collects(profiler, NPROF_JOB_WALL)) {
        wall_poll_forget(&profiler->wall, slot);
    }

    thread_label_forget(slot->tid);

    profiler->counters.dropped += atomic_load(&slot->dropped);
}


/*
 * Draws the line: samples before it are drained. The table of modules is
 * brought up to date after that: modules that came since the samples are known,
 * and those that went are known until they are unwound. Where it changed, the
 * line is drawn anew, so that no sample of after the line is one of before the
 * change: by then what went is forgotten.
 */
static void
drain_line(struct profiler *profiler)
{
    int                 tries;
    size_t              i;
    bool                changed;
    struct thread_slot *slot;

    for (tries = 0; tries < LINE_TRIES; tries++) {
        for (i = 0; i < profiler->threads.n_slots; i++) {
            slot = &thread_slots[i];

            if (slot->used) {
                slot->drain_end = sample_ring_end(&slot->ring);
            }
        }

        heap_profile_line(&profiler->heap);
        changed = module_table_update(&profiler_modules);

        if (!changed) {
            return;
        }

        stack_unwinder_flush(profiler->unwinder);
        hooks_install(profiler);
        profiler->hook_scans = HOOK_SCANS;
    }
}


/*
 * Unwinds the samples that there are now; what comes later (our own samples
 * do, as we unwind) waits its turn.
 */
void
profiler_drain(struct profiler *profiler)
{
    size_t              i;
    int64_t             begun;
    uint64_t            stalls;
    struct thread_slot *slot;

    begun = clock_ns(CLOCK_MONOTONIC);
    profiler->idle_drains++;

    /* before the line is drawn: the samples of these are all there */
    stalls = loop_stalls_written();
    heap_profile_before_line(&profiler->heap);
    drain_line(profiler);

    for (i = 0; i < profiler->threads.n_slots; i++) {
        slot = &thread_slots[i];

        if (slot->used) {
            ring_drain(profiler, slot);
            lost_add(profiler, slot);
        }
    }

    if (profiler_collects(profiler, NPROF_JOB_STALL)) {
        stall_watch_settle(&profiler->stalls, stalls);
    }

    heap_profile_drain(&profiler->heap, &profiler_modules);

    if (module_table_forget(&profiler_modules)) {
        stack_unwinder_flush(profiler->unwinder);
    }

    profiler->next_drain_ns
        = begun
          + (profiler->idle_drains < IDLE_DRAINS ? TICK_NS : IDLE_TICK_NS);
}


/* What can't work here now: timers for the main thread may be had later; an
   engine that was not chosen is not. */
static const char *
profiler_degraded(const struct profiler *profiler, enum nprof_job_kind kind)
{
    if (profiler->warnings[kind][0] == '\0'
        || (kind == NPROF_JOB_CPU && profiler->threads.sampled != 0
            && profiler->nprof->config.cpu_engine == NPROF_CPU_TIMERS
            && !atomic_load(&signal_state.lost))) {
        return NULL;
    }

    return profiler->warnings[kind];
}


static void
profiler_report(const struct profiler *profiler, struct profiler_report *report)
{
    unsigned kind;

    report->config = &profiler->nprof->config;
    report->uploads = &instance_identity;
    report->counters = &profiler->counters;
    report->threads = &profiler->threads;
    report->stalls = &profiler->stalls.counters;
    report->own_cpu_ns = (uint64_t) clock_ns(CLOCK_THREAD_CPUTIME_ID);
    report->export_cpu_ns = atomic_load(&profiler->nprof->export_cpu_ns);
    report->wall = &profiler->wall.counters;
    report->heap = &profiler->heap;
    label_set_count(&report->labels);
    report->labels.dropped += atomic_load(&thread_labels.refused);
    report->looker = NULL;
    report->looker_cpu_ns = 0;
    report->tracer = NULL;
    report->trace_degraded = profiler->nprof->trace_warning[0] == '\0'
                                 ? NULL
                                 : profiler->nprof->trace_warning;
    report->trace_cpu_ns = 0;
    report->upload_cpu_ns = atomic_load(&profiler->nprof->upload_cpu_ns);
    report->upload_memory = atomic_load(&profiler->nprof->upload_memory);
    report->symbol_memory = atomic_load(&profiler->nprof->symbol_memory);
    report->unwind_memory = stack_unwinder_memory(profiler->unwinder);

    if (profiler->nprof->trace != NULL) {
        report->tracer = profiler->nprof->trace->tracer;
        report->trace_cpu_ns = atomic_load(&profiler->nprof->trace->cpu_ns);
    }

    if (profiler->threads.jitter) {
        report->looker = &profiler->looker;
        report->looker_cpu_ns = looker_cpu_ns(&profiler->looker);
    }

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        report->tables[kind] = profiler->tables[kind];
        report->degraded[kind] = profiler_degraded(profiler, kind);
    }
}


/* Does this thread's part of a job that has no window. */
static void
job_prepare(struct profiler *profiler, struct nprof_job *job)
{
    char                  *json;
    size_t                 len;
    struct profiler_report report;

    switch (job->kind) {
    case NPROF_JOB_SYMBOL:
        job->profile = symbol_request_parse(&profiler_modules, job->input);
        job->error = job->profile == NULL ? -ENOMEM : 0;
        break;

    default: /* NPROF_JOB_STATUS */
        profiler_report(profiler, &report);
        worker_counters_store(&report, instance_own_slot()->counters);
        job->error = job->input != NULL && strcmp(job->input, "prometheus") == 0
                         ? prometheus_text(profiler->nprof, &json, &len)
                         : profiler_status_json(&report, &json, &len);
        if (job->error == 0) {
            job->data = json;
            job->len = len;
        }
        break;
    }
}


static void
profiler_requests(struct profiler *profiler, struct job_link *link)
{
    struct job_link    *next;
    struct job_request *request;

    for (/* void */; link != NULL; link = next) {
        /* the request is part of the job: not ours once that is handed on */
        next = link->next;
        request = (struct job_request *) link;

        job_prepare(profiler, request->job);
        profiler_job_export(request->job, &request->job->finish, JOB_EXPORT);
    }
}
