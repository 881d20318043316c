
/*
 * Stores the counters of a worker where others see them; see worker_counters.h.
 */


#include "heap/heap_capture.h"
#include "heap/live_set.h"
#include "nprof_clock.h"
#include "process_memory.h"
#include "sample/handler_cost.h"
#include "worker_counters.h"


/* How old what is known of the process's memory gets. To list its mappings
   takes some tenths of a millisecond. */
#define PROCESS_NS INT64_C(10000000000)


static void
store_types(const struct profiler_report *report, _Atomic uint64_t *counters)
{
    unsigned                  kind;
    const struct stack_table *table;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        table = report->tables[kind];
        atomic_store(&counters[WORKER_COLLECTED + kind], table != NULL);

        if (table == NULL) {
            continue;
        }

        atomic_store(&counters[WORKER_DEGRADED + kind],
                     report->degraded[kind] != NULL);
        atomic_store(&counters[WORKER_STACKS + kind], stack_table_used(table));
        atomic_store(&counters[WORKER_STACKS_LIMIT + kind],
                     stack_table_limit(table));
        atomic_store(&counters[WORKER_OVERFLOWS + kind],
                     stack_table_overflows(table));
    }
}


static void
store_loop(_Atomic uint64_t *counters)
{
    size_t i;

    atomic_store(&counters[WORKER_LOOP_NS], atomic_load(&loop_state.turns_ns));

    for (i = 0; i < LOOP_BUCKETS; i++) {
        atomic_store(&counters[WORKER_LOOP_TURNS + i],
                     atomic_load(&loop_state.histogram[i]));
    }
}


static void
store_traces(const struct tracer *tracer, _Atomic uint64_t *counters)
{
    size_t                        i;
    const struct tracer_counters *traces = &tracer->counters;

    const struct {
        enum worker_counter     counter;
        const _Atomic uint64_t *value;
    } values[] = {
        {WORKER_SPANS, &tracer->ended},
        {WORKER_SPANS_SENT, &traces->sent},
        {WORKER_SPANS_FAILED, &traces->failed},
        {WORKER_SPANS_DROPPED, &tracer->dropped},
        {WORKER_TRACE_PAYLOADS, &traces->payloads},
        {WORKER_TRACE_ERRORS, &traces->errors},
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        atomic_store(&counters[values[i].counter],
                     atomic_load(values[i].value));
    }
}


/* Whether the process's memory is to be read again; there is always some. */
static bool
process_is_due(const _Atomic uint64_t *counters)
{
    static int64_t read_ns;
    const int64_t  now = clock_ns(CLOCK_MONOTONIC);

    if (atomic_load(&counters[WORKER_RESIDENT_ANONYMOUS]) != 0
        && now - read_ns < PROCESS_NS) {
        return false;
    }

    read_ns = now;

    return true;
}


static void
store_process(_Atomic uint64_t *counters)
{
    struct process_memory memory;

    process_memory_read(&memory);

    atomic_store(&counters[WORKER_RESIDENT_ANONYMOUS], memory.anonymous);
    atomic_store(&counters[WORKER_RESIDENT_SHARED], memory.shared);
    atomic_store(&counters[WORKER_RESIDENT_FILES],
                 memory.resident - memory.anonymous - memory.shared);
    atomic_store(&counters[WORKER_MAPPED_ZONES], memory.mapped_zones);
    atomic_store(&counters[WORKER_MAPPED_PRIVATE], memory.mapped_private);
    atomic_store(&counters[WORKER_MAPPED_CODE], memory.mapped_code);
}


void
worker_counters_store(const struct profiler_report *report,
                      _Atomic uint64_t             *counters)
{
    size_t                   i;
    uint32_t                 threads;
    struct profiler_memory   memory = profiler_status_memory(report);
    struct profiler_counters sum = *report->counters;

    threads = profiler_status_sum(&sum);

    const struct {
        enum worker_counter counter;
        uint64_t            value;
    } values[] = {
        {WORKER_SAMPLES, sum.samples},
        {WORKER_SAMPLES_COMPLETE, sum.complete},
        {WORKER_SAMPLES_BRIDGED, sum.bridged},
        {WORKER_SAMPLES_CUT, sum.cut},
        {WORKER_SAMPLES_NO_BOUNDS, sum.no_bounds},
        {WORKER_DROPPED, sum.dropped},
        {WORKER_LOST, sum.lost},
        {WORKER_UNWOUND, sum.unwound},
        {WORKER_UNWIND_NS, sum.unwind_ns},
        {WORKER_WALL_LOOKS, report->wall->looks},
        {WORKER_WALL_UNMOVED, report->wall->unmoved},
        {WORKER_WALL_LOST, report->wall->lost},
        {WORKER_STALLS, report->stalls->stalls},
        {WORKER_STALL_NS, report->stalls->ns},
        {WORKER_STALL_SAMPLES, report->stalls->samples},
        {WORKER_STALL_LOST, report->stalls->lost},
        {WORKER_HEAP_SAMPLES, report->heap->samples},
        {WORKER_HEAP_COMPLETE, report->heap->complete},
        {WORKER_HEAP_DROPPED, atomic_load(&heap_counters.dropped)},
        {WORKER_HEAP_MISSED_FREE, atomic_load(&live_counters.missed_free)},
        {WORKER_HEAP_TABLE_FULL, atomic_load(&live_counters.table_full)},
        {WORKER_HEAP_LIVE, atomic_load(&live_counters.live)},
        {WORKER_THREADS, threads},
        {WORKER_THREADS_UNSAMPLED, report->threads->unsampled},
        {WORKER_PROFILER_CPU_NS, report->own_cpu_ns},
        {WORKER_EXPORT_CPU_NS, report->export_cpu_ns},
        {WORKER_LOOKER_CPU_NS, report->looker_cpu_ns},
        {WORKER_TRACE_CPU_NS, report->trace_cpu_ns},
        {WORKER_UPLOAD_CPU_NS, report->upload_cpu_ns},
        {WORKER_HANDLER_RUNS, atomic_load(&handler_cost.runs)},
        {WORKER_HANDLER_NS, atomic_load(&handler_cost.ns)},
        {WORKER_MEMORY_RINGS, memory.rings},
        {WORKER_MEMORY_TABLES, memory.tables},
        {WORKER_MEMORY_SYMBOLS, memory.symbols},
        {WORKER_MEMORY_UPLOADS, memory.uploads},
        {WORKER_LABEL_SETS, report->labels.sets},
        {WORKER_LABELS_DROPPED, report->labels.dropped},
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        atomic_store(&counters[values[i].counter], values[i].value);
    }

    if (report->looker != NULL) {
        atomic_store(&counters[WORKER_LATE_LOOKS],
                     atomic_load(&report->looker->jitter.late));
        atomic_store(&counters[WORKER_MISSED_LOOKS],
                     atomic_load(&report->looker->jitter.missed));
    }

    if (report->tracer != NULL) {
        store_traces(report->tracer, counters);
    }

    if (process_is_due(counters)) {
        store_process(counters);
    }

    store_loop(counters);
    store_types(report, counters);
}


uint64_t
worker_counters_stacks(enum nprof_job_kind kind)
{
    unsigned                    i;
    uint64_t                    sum = 0;
    const struct instance_slot *slot;

    for (i = 0; instance.directory != NULL && kind < NPROF_PROFILES
                && i < instance_slots();
         i++) {
        slot = &instance.directory->slots[i];

        if (atomic_load(&slot->state) == INSTANCE_LIVE) {
            sum += atomic_load(&slot->counters[WORKER_STACKS + kind]);
        }
    }

    return sum;
}
