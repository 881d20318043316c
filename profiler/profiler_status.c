
/*
 * The profiler's counters as JSON; see profiler_status.h. No string here is
 * anybody's input, so none needs escaping.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "export/upload_status.h"
#include "heap/heap_capture.h"
#include "heap/heap_ring.h"
#include "heap/live_set.h"
#include "instance/instance_memory.h"
#include "nprof_build_id.h"
#include "process_memory.h"
#include "profile_types.h"
#include "profiler_status.h"
#include "sample/handler_cost.h"
#include "sample/loop_hook.h"
#include "trace/trace_status.h"
#include "unwind/unwind_library.h"
#include "worker_counters.h"


uint32_t
profiler_status_sum(struct profiler_counters *sum)
{
    size_t              i;
    uint32_t            threads;
    struct thread_slot *slot;

    threads = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (slot->used) {
            threads++;
            sum->dropped += atomic_load(&slot->dropped);
        }
    }

    return threads;
}


/* Of a ring that so many bytes were ever written to. */
static uint64_t
ring_memory(uint64_t written, uint64_t size)
{
    return written < size ? written : size;
}


static uint64_t
rings_memory(const struct profiler_report *report)
{
    size_t                    i;
    uint64_t                  sum = 0;
    const struct sample_ring *ring;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used) {
            sum += thread_slots[i].ring.prefaulted;
        }
    }

    if (report->tables[NPROF_JOB_HEAP] != NULL) {
        sum += ring_memory(heap_ring_end(), HEAP_RING_SIZE);
    }

    if (report->tracer != NULL) {
        ring = &report->tracer->ring;
        sum += ring_memory(atomic_load(&ring->written), ring->size);
    }

    return sum;
}


struct profiler_memory
profiler_status_memory(const struct profiler_report *report)
{
    unsigned               kind;
    struct profiler_memory memory = {
        .rings = rings_memory(report),
        .symbols = report->symbol_memory,
        .uploads = report->upload_memory,
        .tables = report->unwind_memory,
    };

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (report->tables[kind] != NULL) {
            memory.tables += stack_table_memory(report->tables[kind]);
        }
    }

    if (report->tables[NPROF_JOB_HEAP] != NULL) {
        memory.tables += live_set_memory();
    }

    return memory;
}


uint64_t
profiler_status_cpu_ns(const struct profiler_report *report)
{
    return report->own_cpu_ns + report->export_cpu_ns + report->looker_cpu_ns
           + report->trace_cpu_ns + report->upload_cpu_ns
           + atomic_load(&handler_cost.ns);
}


static uint64_t
mean(uint64_t sum, uint64_t n)
{
    return n == 0 ? 0 : sum / n;
}


static void
print_degraded(FILE *out, const char *degraded)
{
    const char *quote;

    quote = degraded == NULL ? "" : "\"";
    fprintf(out, ", \"degraded\": %s%s%s}", quote,
            degraded == NULL ? "null" : degraded, quote);
}


static void
print_versions(FILE *out, const struct profiler_report *report)
{
    fprintf(out,
            "{\"worker\": %d, \"version\": \"" NPROF_VERSION
            "\", \"build_id\": \"" NPROF_BUILD_ID
            "\", \"server\": \"%s\", \"libunwind\": \"" UNWIND_LIBRARY_VERSION
            "\",\n",
            (int) getpid(), report->config->server);
}


static void
print_types(FILE *out, const struct profiler_report *report)
{
    unsigned    kind;
    const char *separator;

    separator = "";
    fputs(" \"types\": [", out);

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (report->tables[kind] != NULL) {
            fprintf(out, "%s\"%s\"", separator, profile_type_name(kind));
            separator = ", ";
        }
    }

    fputs("]", out);
}


static void
print_looker(FILE *out, const struct looker *looker)
{
    fprintf(
        out,
        ", \"looks\": %" PRIu64 ", \"late_looks\": %" PRIu64
        ", \"missed_looks\": %" PRIu64 ", \"looks_elsewhere\": %" PRIu64,
        atomic_load(&looker->jitter.looks), atomic_load(&looker->jitter.late),
        atomic_load(&looker->jitter.missed), atomic_load(&looker->elsewhere));
}


/* The share of samples that are complete, if there are any. In 100,000ths:
   printf's decimal point is the locale's, which any module may set. */
static void
print_completeness(FILE *out, const struct profiler_counters *sum)
{
    uint64_t completeness;

    if (sum->samples == 0) {
        fputs(", \"completeness\": null", out);
        return;
    }

    completeness = mean(sum->complete * 100000, sum->samples);
    fprintf(out, ", \"completeness\": %" PRIu64 ".%05" PRIu64,
            completeness / 100000, completeness % 100000);
}


static void
print_cpu(FILE *out, const struct profiler_report *report,
          const struct profiler_counters *sum)
{
    fprintf(out,
            ",\n \"cpu\": {\"engine\": \"%s\", \"rate\": %" PRIu32
            ", \"samples\": %" PRIu64 ", \"complete\": %" PRIu64,
            report->looker != NULL ? "jitter" : "timers", report->config->rate,
            sum->samples, sum->complete);
    print_completeness(out, sum);
    fprintf(out,
            ", \"bridged\": %" PRIu64 ", \"cut\": %" PRIu64
            ", \"no_bounds\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"lost_expiries\": %" PRIu64,
            sum->bridged, sum->cut, sum->no_bounds, sum->dropped, sum->lost);

    if (report->looker != NULL) {
        print_looker(out, report->looker);
    }

    print_degraded(out, report->degraded[NPROF_JOB_CPU]);
}


static void
print_wall(FILE *out, const struct profiler_report *report)
{
    fprintf(out,
            ",\n \"wall\": {\"looks\": %" PRIu64 ", \"unmoved\": %" PRIu64
            ", \"lost\": %" PRIu64,
            report->wall->looks, report->wall->unmoved, report->wall->lost);
    print_degraded(out, report->degraded[NPROF_JOB_WALL]);
}


static void
print_stall(FILE *out, const struct profiler_report *report)
{
    fprintf(out,
            ",\n \"stall\": {\"threshold_ms\": %" PRIu32
            ", \"stalls\": %" PRIu64 ", \"ns\": %" PRIu64
            ", \"samples\": %" PRIu64 ", \"lost\": %" PRIu64,
            report->config->stall_threshold_ms, report->stalls->stalls,
            report->stalls->ns, report->stalls->samples, report->stalls->lost);
    print_degraded(out, report->degraded[NPROF_JOB_STALL]);
}


static void
print_heap(FILE *out, const struct profiler_report *report)
{
    fprintf(out,
            ",\n \"heap\": {\"interval\": %" PRIu32 ", \"samples\": %" PRIu64
            ", \"complete\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"live\": %" PRIu32 ", \"live_limit\": %d"
            ", \"missed_free\": %" PRIu64 ", \"table_full\": %" PRIu64,
            report->config->heap_interval, report->heap->samples,
            report->heap->complete, atomic_load(&heap_counters.dropped),
            atomic_load(&live_counters.live), LIVE_SET_MAX,
            atomic_load(&live_counters.missed_free),
            atomic_load(&live_counters.table_full));
    print_degraded(out, report->degraded[NPROF_JOB_HEAP]);
}


/* What the heap profile can't see is in the process's memory all the same. */
static void
print_memory(FILE *out)
{
    struct process_memory memory;

    process_memory_read(&memory);

    fprintf(out,
            ",\n \"memory\": {\"resident\": %" PRIu64
            ", \"anonymous\": %" PRIu64 ", \"shared\": %" PRIu64
            ", \"mapped_zones\": %" PRIu64 ", \"mapped_private\": %" PRIu64
            ", \"mapped_code\": %" PRIu64 "}",
            memory.resident, memory.anonymous, memory.shared,
            memory.mapped_zones, memory.mapped_private, memory.mapped_code);
}


/* What of that is the profiler's. */
static void
print_own_memory(FILE *out, const struct profiler_report *report)
{
    struct profiler_memory memory = profiler_status_memory(report);

    fprintf(out,
            ",\n \"own_memory\": {\"rings\": %" PRIu64 ", \"tables\": %" PRIu64
            ", \"symbols\": %" PRIu64 ", \"uploads\": %" PRIu64
            ", \"sum\": %" PRIu64 "}",
            memory.rings, memory.tables, memory.symbols, memory.uploads,
            memory.rings + memory.tables + memory.symbols + memory.uploads);
}


/*
 * The turns of the event loop by length. Each bucket that is not empty has its
 * upper bound in microseconds, the last one, of turns of 18 minutes and more,
 * none.
 */
static void
print_loop(FILE *out)
{
    size_t      i;
    uint64_t    turns[LOOP_BUCKETS], sum;
    const char *separator;

    sum = 0;

    /* once: the loop turns on meanwhile */
    for (i = 0; i < LOOP_BUCKETS; i++) {
        turns[i] = atomic_load(&loop_state.histogram[i]);
        sum += turns[i];
    }

    fprintf(out,
            ",\n \"loop\": {\"turns\": %" PRIu64 ", \"turns_ns\": %" PRIu64
            ", \"histogram\": [",
            sum, atomic_load(&loop_state.turns_ns));

    separator = "";

    for (i = 0; i < LOOP_BUCKETS; i++) {
        if (turns[i] == 0) {
            continue;
        }

        fprintf(out, "%s{\"under_us\": ", separator);

        if (i == LOOP_BUCKETS - 1) {
            fputs("null", out);
        } else {
            fprintf(out, "%" PRIu64, UINT64_C(1) << i);
        }

        fprintf(out, ", \"turns\": %" PRIu64 "}", turns[i]);
        separator = ", ";
    }

    fputs("]}", out);
}


static void
print_stacks(FILE *out, const struct profiler_report *report)
{
    unsigned                  kind;
    const char               *separator;
    const struct stack_table *table;

    separator = "";
    fputs(",\n \"stacks\": {", out);

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        table = report->tables[kind];
        if (table == NULL) {
            continue;
        }

        fprintf(out,
                "%s\"%s\": {\"used\": %" PRIu32 ", \"limit\": %" PRIu32
                ", \"overflows\": %" PRIu64 "}",
                separator, profile_type_name(kind), stack_table_used(table),
                stack_table_limit(table), stack_table_overflows(table));
        separator = ", ";
    }

    fputs("}", out);
}


/* All workers of the instance. */
static void
print_workers(FILE *out)
{
    unsigned                    i;
    const char                 *separator;
    const struct instance_slot *slot;

    separator = "";

    for (i = 0; i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (atomic_load(&slot->state) != INSTANCE_LIVE) {
            continue;
        }

        fprintf(out,
                "%s{\"pid\": %" PRIu32 ", \"state\": \"%s\", "
                "\"started\": %" PRId64 ", \"samples\": %" PRIu64 "}",
                separator, atomic_load(&slot->pid),
                instance_slot_drains(slot) ? "draining" : "current",
                atomic_load(&slot->started_ns) / 1000000000,
                atomic_load(&slot->counters[WORKER_SAMPLES]));
        separator = ",\n  ";
    }
}


static void
print_instance(FILE *out)
{
    struct instance_counts     counts;
    struct instance_directory *directory = instance.directory;

    instance_count(&counts);

    fprintf(
        out,
        ",\n \"instance\": {\"id\": \"%016" PRIx64 "\", \"leader\": %" PRIu32
        ", \"workers_lost\": %" PRIu64 ", \"answers_missing\": %" PRIu64
        ", \"messages_malformed\": %" PRIu64 ", \"shared_memory\": %" PRIu64
        ",\n  \"history\": {\"steps\": %u, \"bytes\": %" PRIu64
        ", \"dropped\": %" PRIu64 "},\n  \"store\": {\"stored\": %" PRIu64
        ", \"errors\": %" PRIu64 ", \"bytes\": %" PRIu64 "}, \"workers\": [",
        directory->id, atomic_load(&directory->leader),
        atomic_load(&directory->lost), atomic_load(&directory->unanswered),
        atomic_load(&directory->malformed), counts.shared_bytes,
        counts.history_steps, counts.history_bytes,
        atomic_load(&directory->history_dropped),
        atomic_load(&directory->stored), atomic_load(&directory->store_errors),
        atomic_load(&directory->store_bytes));
    print_workers(out);
    fputs("]}}\n", out);
}


/*
 * The upper bound of those 99 of 100 runs of the handler that were the
 * shortest; where that is the last bucket's, which has none, its lower one.
 */
static uint64_t
handler_p99(const uint64_t *n)
{
    unsigned i;
    uint64_t runs, seen;

    runs = 0;

    for (i = 0; i < HANDLER_COST_BUCKETS; i++) {
        runs += n[i];
    }

    if (runs == 0) {
        return 0;
    }

    seen = 0;

    for (i = 0; i < HANDLER_COST_BUCKETS - 2; i++) {
        seen += n[i];
        if (seen * 100 >= runs * 99) {
            break;
        }
    }

    return handler_cost_bound(i);
}


/* The runs of the signal handler by length, as print_loop() has the turns. */
static void
print_handler(FILE *out, const uint64_t *n)
{
    unsigned    i;
    const char *separator;

    fputs(" \"handler\": [", out);
    separator = "";

    for (i = 0; i < HANDLER_COST_BUCKETS; i++) {
        if (n[i] == 0) {
            continue;
        }

        if (i == HANDLER_COST_BUCKETS - 1) {
            fprintf(out, "%s{\"under_ns\": null", separator);
        } else {
            fprintf(out, "%s{\"under_ns\": %" PRIu64, separator,
                    handler_cost_bound(i));
        }

        fprintf(out, ", \"runs\": %" PRIu64 "}", n[i]);
        separator = ", ";
    }

    fputs("],\n", out);
}


/*
 * What it costs, in nanoseconds: of the signal handler, and of our threads.
 * A sample costs the profiler thread sample_ns in all, idle time included, and
 * unwind_ns of that to unwind and add up.
 */
static void
print_cost(FILE *out, const struct profiler_report *report,
           const struct profiler_counters *sum)
{
    unsigned i;
    uint64_t n[HANDLER_COST_BUCKETS], runs;

    for (i = 0; i < HANDLER_COST_BUCKETS; i++) {
        n[i] = atomic_load(&handler_cost.buckets[i]);
    }

    runs = atomic_load(&handler_cost.runs);

    fputs(",\n \"cost\": {", out);
    print_handler(out, n);
    fprintf(out,
            " \"handler_runs\": %" PRIu64 ", \"handler_ns\": %" PRIu64
            ", \"handler_p99_ns\": %" PRIu64 ", \"samples\": %" PRIu64
            ", \"unwind_ns\": %" PRIu64 ", \"sample_ns\": %" PRIu64
            ", \"profiler_thread_ns\": %" PRIu64
            ", \"export_thread_ns\": %" PRIu64
            ", \"looker_thread_ns\": %" PRIu64 ", \"trace_thread_ns\": %" PRIu64
            ", \"upload_thread_ns\": %" PRIu64 ", \"own_cpu_ns\": %" PRIu64 "}",
            runs, mean(atomic_load(&handler_cost.ns), runs), handler_p99(n),
            sum->unwound, mean(sum->unwind_ns, sum->unwound),
            mean(report->own_cpu_ns, sum->unwound), report->own_cpu_ns,
            report->export_cpu_ns, report->looker_cpu_ns, report->trace_cpu_ns,
            report->upload_cpu_ns, profiler_status_cpu_ns(report));
}


static void
print_report(FILE *out, const struct profiler_report *report)
{
    uint32_t                 n_threads;
    struct profiler_counters sum;

    sum = *report->counters;
    n_threads = profiler_status_sum(&sum);

    print_versions(out, report);
    print_types(out, report);

    if (report->tables[NPROF_JOB_CPU] != NULL) {
        print_cpu(out, report, &sum);
    }

    if (report->tables[NPROF_JOB_WALL] != NULL) {
        print_wall(out, report);
    }

    if (report->tables[NPROF_JOB_STALL] != NULL) {
        print_stall(out, report);
        print_loop(out);
    }

    if (report->tables[NPROF_JOB_HEAP] != NULL) {
        print_heap(out, report);
    }

    print_memory(out);
    print_own_memory(out, report);

    fprintf(out,
            ",\n \"threads\": {\"sampled\": %" PRIu32
            ", \"unsampled\": %" PRIu32 ", \"last_errno\": %d}",
            n_threads, report->threads->unsampled, report->threads->last_error);

    print_cost(out, report, &sum);

    fprintf(out,
            ",\n \"labels\": {\"sets\": %" PRIu64
            ", \"limit\": %d, \"dropped\": %" PRIu64 "}",
            report->labels.sets, LABEL_SETS - 1, report->labels.dropped);

    upload_status_print(out, report->uploads);
    trace_status_print(out, report->tracer, report->trace_degraded);
    print_stacks(out, report);
    print_instance(out);
}


int
profiler_status_json(const struct profiler_report *report, char **json,
                     size_t *len)
{
    FILE *out;

    *json = NULL;
    out = open_memstream(json, len);
    if (out == NULL) {
        return -ENOMEM;
    }

    print_report(out, report);

    if (fclose(out) != 0) {
        free(*json);
        *json = NULL;
        return -ENOMEM;
    }

    return 0;
}
