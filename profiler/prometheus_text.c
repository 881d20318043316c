
/*
 * Metrics of all workers, and of the instance; see prometheus_text.h. Decimal
 * points are made of integers: printf's is the locale's, which any module may
 * set.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "export/upload_status.h"
#include "instance_uploads.h"
#include "nprof_build_id.h"
#include "profile_types.h"
#include "prometheus_text.h"
#include "unwind/unwind_library.h"
#include "worker_counters.h"


#define SERIES_MAX 5
#define NAME "nginx_profiler_"


enum metric_unit {
    UNIT_NUMBER = 0,

    /* Nanoseconds, printed as seconds. */
    UNIT_SECONDS
};


/*
 * A metric of each worker. Its series differ by a label more: those that are
 * written here, or, where the first has none, the types of profiles that are
 * collected; the counter is that of the first type then.
 */
struct worker_metric {
    const char      *name;
    const char      *type;
    enum metric_unit unit;
    const char      *help;

    struct {
        enum worker_counter counter;
        const char         *label;
    } series[SERIES_MAX];
};


static const struct worker_metric worker_metrics[] = {
    {"cpu_samples_total",
     "counter",
     UNIT_NUMBER,
     "CPU samples that were taken.",
     {{WORKER_SAMPLES, ""}}},
    {"cpu_samples_complete_total",
     "counter",
     UNIT_NUMBER,
     "CPU samples whose stack reaches the root of its thread.",
     {{WORKER_SAMPLES_COMPLETE, ""}}},
    {"cpu_samples_bridged_total",
     "counter",
     UNIT_NUMBER,
     "Complete CPU samples with code without unwind data in their stack.",
     {{WORKER_SAMPLES_BRIDGED, ""}}},
    {"cpu_samples_cut_total",
     "counter",
     UNIT_NUMBER,
     "CPU samples of which not the whole stack was copied.",
     {{WORKER_SAMPLES_CUT, ",cause=\"large_stack\""},
      {WORKER_SAMPLES_NO_BOUNDS, ",cause=\"no_bounds\""}}},
    {"cpu_samples_dropped_total",
     "counter",
     UNIT_NUMBER,
     "CPU samples that found no room.",
     {{WORKER_DROPPED, ""}}},
    {"cpu_periods_lost_total",
     "counter",
     UNIT_NUMBER,
     "Sampling periods of CPU time of which no stack is known.",
     {{WORKER_LOST, ""}}},
    {"cpu_looks_late_total",
     "counter",
     UNIT_NUMBER,
     "Looks of the jitter engine that came late or too late.",
     {{WORKER_LATE_LOOKS, ",result=\"taken\""},
      {WORKER_MISSED_LOOKS, ",result=\"missed\""}}},
    {"unwound_total",
     "counter",
     UNIT_NUMBER,
     "Samples of all types that came by signal.",
     {{WORKER_UNWOUND, ""}}},
    {"unwind_seconds_total",
     "counter",
     UNIT_SECONDS,
     "Time to unwind samples and add them up.",
     {{WORKER_UNWIND_NS, ""}}},
    {"wall_looks_total",
     "counter",
     UNIT_NUMBER,
     "Looks at threads for wall time.",
     {{WORKER_WALL_LOOKS, ""}}},
    {"wall_looks_unmoved_total",
     "counter",
     UNIT_NUMBER,
     "Looks that found a thread where it had been.",
     {{WORKER_WALL_UNMOVED, ""}}},
    {"wall_looks_lost_total",
     "counter",
     UNIT_NUMBER,
     "Looks that gave no stack.",
     {{WORKER_WALL_LOST, ""}}},
    {"stalls_total",
     "counter",
     UNIT_NUMBER,
     "Turns of the event loop over the threshold.",
     {{WORKER_STALLS, ""}}},
    {"stall_seconds_total",
     "counter",
     UNIT_SECONDS,
     "Time of turns of the event loop over the threshold.",
     {{WORKER_STALL_NS, ""}}},
    {"stall_samples_total",
     "counter",
     UNIT_NUMBER,
     "Stacks that were taken of stalls.",
     {{WORKER_STALL_SAMPLES, ""}}},
    {"stalls_lost_total",
     "counter",
     UNIT_NUMBER,
     "Stalls of which no stack was taken.",
     {{WORKER_STALL_LOST, ""}}},
    {"heap_samples_total",
     "counter",
     UNIT_NUMBER,
     "Allocations that were sampled.",
     {{WORKER_HEAP_SAMPLES, ""}}},
    {"heap_samples_complete_total",
     "counter",
     UNIT_NUMBER,
     "Sampled allocations whose stack reaches the root of its thread.",
     {{WORKER_HEAP_COMPLETE, ""}}},
    {"heap_samples_dropped_total",
     "counter",
     UNIT_NUMBER,
     "Allocations that were due to be sampled and have no stack.",
     {{WORKER_HEAP_DROPPED, ""}}},
    {"heap_blocks",
     "gauge",
     UNIT_NUMBER,
     "Sampled blocks that are in use.",
     {{WORKER_HEAP_LIVE, ""}}},
    {"heap_blocks_not_followed_total",
     "counter",
     UNIT_NUMBER,
     "Sampled blocks that are not known to be in use, or to be freed.",
     {{WORKER_HEAP_TABLE_FULL, ",cause=\"table_full\""},
      {WORKER_HEAP_MISSED_FREE, ",cause=\"missed_free\""}}},
    {"threads",
     "gauge",
     UNIT_NUMBER,
     "Threads of the worker.",
     {{WORKER_THREADS, ",state=\"sampled\""},
      {WORKER_THREADS_UNSAMPLED, ",state=\"unsampled\""}}},
    {"thread_cpu_seconds_total",
     "counter",
     UNIT_SECONDS,
     "CPU time of the threads of the profiler.",
     {{WORKER_PROFILER_CPU_NS, ",thread=\"profiler\""},
      {WORKER_EXPORT_CPU_NS, ",thread=\"export\""},
      {WORKER_LOOKER_CPU_NS, ",thread=\"looker\""},
      {WORKER_TRACE_CPU_NS, ",thread=\"trace\""},
      {WORKER_UPLOAD_CPU_NS, ",thread=\"upload\""}}},
    {"spans_total",
     "counter",
     UNIT_NUMBER,
     "Spans of requests that ended.",
     {{WORKER_SPANS, ""}}},
    {"spans_sent_total",
     "counter",
     UNIT_NUMBER,
     "Spans that the Agent took.",
     {{WORKER_SPANS_SENT, ""}}},
    {"spans_dropped_total",
     "counter",
     UNIT_NUMBER,
     "Spans that the Agent never got.",
     {{WORKER_SPANS_DROPPED, ",cause=\"ring_full\""},
      {WORKER_SPANS_FAILED, ",cause=\"not_taken\""}}},
    {"trace_payloads_total",
     "counter",
     UNIT_NUMBER,
     "Requests to the Agent with spans, by what became of them.",
     {{WORKER_TRACE_PAYLOADS, ",result=\"sent\""},
      {WORKER_TRACE_ERRORS, ",result=\"failed\""}}},
    {"handler_runs_total",
     "counter",
     UNIT_NUMBER,
     "Runs of the signal handler that took or dropped a sample.",
     {{WORKER_HANDLER_RUNS, ""}}},
    {"handler_seconds_total",
     "counter",
     UNIT_SECONDS,
     "Time in the signal handler.",
     {{WORKER_HANDLER_NS, ""}}},
    {"memory_bytes",
     "gauge",
     UNIT_NUMBER,
     "Memory of the profiler that was used once.",
     {{WORKER_MEMORY_RINGS, ",of=\"rings\""},
      {WORKER_MEMORY_TABLES, ",of=\"tables\""},
      {WORKER_MEMORY_SYMBOLS, ",of=\"symbols\""},
      {WORKER_MEMORY_UPLOADS, ",of=\"uploads\""}}},
    {"process_resident_bytes",
     "gauge",
     UNIT_NUMBER,
     "Memory of the worker that is resident.",
     {{WORKER_RESIDENT_ANONYMOUS, ",of=\"anonymous\""},
      {WORKER_RESIDENT_SHARED, ",of=\"shared\""},
      {WORKER_RESIDENT_FILES, ",of=\"files\""}}},
    {"process_mapped_bytes",
     "gauge",
     UNIT_NUMBER,
     "Memory that malloc() does not see, resident or not.",
     {{WORKER_MAPPED_ZONES, ",of=\"zones\""},
      {WORKER_MAPPED_PRIVATE, ",of=\"private\""},
      {WORKER_MAPPED_CODE, ",of=\"code\""}}},
    {"label_sets",
     "gauge",
     UNIT_NUMBER,
     "Different sets of labels.",
     {{WORKER_LABEL_SETS, ""}}},
    {"labels_dropped_total",
     "counter",
     UNIT_NUMBER,
     "Labels that were left out for want of room.",
     {{WORKER_LABELS_DROPPED, ""}}},
    {"degraded",
     "gauge",
     UNIT_NUMBER,
     "Whether something of the type can't work here.",
     {{WORKER_DEGRADED, NULL}}},
    {"stacks",
     "gauge",
     UNIT_NUMBER,
     "Stacks in the table of the type.",
     {{WORKER_STACKS, NULL}}},
    {"stacks_limit",
     "gauge",
     UNIT_NUMBER,
     "The most stacks there can be in it.",
     {{WORKER_STACKS_LIMIT, NULL}}},
    {"stack_overflows_total",
     "counter",
     UNIT_NUMBER,
     "What was counted as [other] because the table was full.",
     {{WORKER_OVERFLOWS, NULL}}},
};


static void
print_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP " NAME "%s %s\n# TYPE " NAME "%s %s\n", name, help,
            name, type);
}


static void
print_value(FILE *out, enum metric_unit unit, uint64_t value)
{
    if (unit == UNIT_SECONDS) {
        fprintf(out, " %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000,
                value % 1000000000);
    } else {
        fprintf(out, " %" PRIu64 "\n", value);
    }
}


/* The next worker that lives from slot on, or NULL. */
static struct instance_slot *
worker_from(unsigned *slot)
{
    struct instance_slot *found;

    for (/* void */; *slot < instance_slots(); (*slot)++) {
        found = &instance.directory->slots[*slot];
        if (atomic_load(&found->state) == INSTANCE_LIVE) {
            return found;
        }
    }

    return NULL;
}


static void
print_series(FILE *out, const struct worker_metric *metric,
             struct instance_slot *slot, const char *label, unsigned counter)
{
    fprintf(out, NAME "%s{worker=\"%" PRIu32 "\"%s}", metric->name,
            atomic_load(&slot->pid), label);
    print_value(out, metric->unit, atomic_load(&slot->counters[counter]));
}


static void
print_types(FILE *out, const struct worker_metric *metric,
            struct instance_slot *slot)
{
    char     label[32];
    unsigned kind;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (atomic_load(&slot->counters[WORKER_COLLECTED + kind]) != 0) {
            snprintf(label, sizeof(label), ",type=\"%s\"",
                     profile_type_name(kind));
            print_series(out, metric, slot, label,
                         metric->series[0].counter + kind);
        }
    }
}


static void
print_worker_metric(FILE *out, const struct worker_metric *metric)
{
    unsigned              i, s;
    struct instance_slot *slot;

    print_family(out, metric->name, metric->type, metric->help);

    for (i = 0; (slot = worker_from(&i)) != NULL; i++) {
        if (metric->series[0].label == NULL) {
            print_types(out, metric, slot);
        }

        for (s = 0; s < SERIES_MAX && metric->series[s].label != NULL; s++) {
            print_series(out, metric, slot, metric->series[s].label,
                         metric->series[s].counter);
        }
    }
}


/* The turns of one worker's loop; buckets are powers of two microseconds. */
static void
print_loop(FILE *out, struct instance_slot *slot)
{
    unsigned b;
    uint32_t pid = atomic_load(&slot->pid);
    uint64_t sum = 0;

    for (b = 0; b < LOOP_BUCKETS - 1; b++) {
        sum += atomic_load(&slot->counters[WORKER_LOOP_TURNS + b]);
        fprintf(out,
                NAME "loop_turn_seconds_bucket{worker=\"%" PRIu32
                     "\",le=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n",
                pid, (UINT64_C(1) << b) / 1000000, (UINT64_C(1) << b) % 1000000,
                sum);
    }

    sum += atomic_load(&slot->counters[WORKER_LOOP_TURNS + b]);
    fprintf(out,
            NAME "loop_turn_seconds_bucket{worker=\"%" PRIu32
                 "\",le=\"+Inf\"} %" PRIu64 "\n" NAME
                 "loop_turn_seconds_sum{worker=\"%" PRIu32 "\"}",
            pid, sum, pid);
    print_value(out, UNIT_SECONDS,
                atomic_load(&slot->counters[WORKER_LOOP_NS]));
    fprintf(out,
            NAME "loop_turn_seconds_count{worker=\"%" PRIu32 "\"} %" PRIu64
                 "\n",
            pid, sum);
}


static void
print_workers(FILE *out)
{
    size_t                m;
    unsigned              i;
    struct instance_slot *slot;

    for (m = 0; m < sizeof(worker_metrics) / sizeof(worker_metrics[0]); m++) {
        print_worker_metric(out, &worker_metrics[m]);
    }

    print_family(out, "loop_turn_seconds", "histogram",
                 "Turns of the event loop by length.");

    for (i = 0; (slot = worker_from(&i)) != NULL; i++) {
        print_loop(out, slot);
    }
}


static void
print_number(FILE *out, const char *name, const char *type, const char *help,
             uint64_t value)
{
    print_family(out, name, type, help);
    fprintf(out, NAME "%s %" PRIu64 "\n", name, value);
}


static void
print_instance(FILE *out, const struct nprof *nprof)
{
    struct instance_counts     counts;
    struct instance_directory *directory = instance.directory;

    instance_count(&counts);

    print_family(out, "info", "gauge", "Versions of what runs.");
    fprintf(out,
            NAME "info{version=\"" NPROF_VERSION "\",build_id=\"" NPROF_BUILD_ID
                 "\",server=\"%s\",libunwind=\"" UNWIND_LIBRARY_VERSION
                 "\"} 1\n",
            nprof->config.server);
    print_number(out, "up", "gauge", "Whether the profiler runs.", 1);

    print_family(out, "workers", "gauge", "Workers of the instance.");
    fprintf(out, NAME "workers{state=\"current\"} %u\n", counts.current);
    fprintf(out, NAME "workers{state=\"draining\"} %u\n", counts.draining);

    print_number(out, "workers_lost_total", "counter",
                 "Workers that ended without leaving what they had counted.",
                 atomic_load(&directory->lost));
    print_number(out, "answers_missing_total", "counter",
                 "Times that a worker was left out of a profile.",
                 atomic_load(&directory->unanswered));
    print_number(out, "messages_malformed_total", "counter",
                 "Messages of workers, and kept profiles, that were refused.",
                 atomic_load(&directory->malformed));
    print_number(out, "history_steps", "gauge",
                 "Snapshots of the past that are kept.", counts.history_steps);
    print_number(out, "history_bytes", "gauge", "Memory of those.",
                 counts.history_bytes);
    print_number(out, "history_dropped_total", "counter",
                 "Snapshots of the past that could not be kept.",
                 atomic_load(&directory->history_dropped));
    print_number(out, "shared_memory_bytes", "gauge",
                 "Memory that workers share: history, totals, and answers.",
                 counts.shared_bytes);
    print_number(out, "stored_total", "counter",
                 "Profiles that were written to profiler_store.",
                 atomic_load(&directory->stored));
    print_number(out, "store_errors_total", "counter",
                 "Profiles that could not be written there.",
                 atomic_load(&directory->store_errors));
    print_number(out, "store_bytes", "gauge", "Bytes of the profiles in it.",
                 atomic_load(&directory->store_bytes));
}


int
prometheus_text(const struct nprof *nprof, char **text, size_t *len)
{
    FILE *out;

    *text = NULL;
    out = open_memstream(text, len);
    if (out == NULL) {
        return -ENOMEM;
    }

    print_instance(out, nprof);
    upload_status_metrics(out, &instance_identity);
    print_workers(out);

    if (fclose(out) != 0) {
        free(*text);
        *text = NULL;
        return -ENOMEM;
    }

    return 0;
}
