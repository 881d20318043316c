
/*
 * The counters of a worker, as all workers of the instance can read them: its
 * profiler thread stores them in its slot once a second, and whoever answers a
 * scrape prints those of all.
 */


#ifndef NPROF_WORKER_COUNTERS_H
#define NPROF_WORKER_COUNTERS_H


#include <stdatomic.h>
#include <stdint.h>

#include "instance/instance_memory.h"
#include "profiler_status.h"
#include "sample/loop_hook.h"


/* Times are in nanoseconds; those by type have NPROF_PROFILES places. */
enum worker_counter {
    WORKER_SAMPLES = 0,
    WORKER_SAMPLES_COMPLETE,
    WORKER_SAMPLES_BRIDGED,
    WORKER_SAMPLES_CUT,
    WORKER_SAMPLES_NO_BOUNDS,
    WORKER_DROPPED,
    WORKER_LOST,
    WORKER_LATE_LOOKS,
    WORKER_MISSED_LOOKS,
    WORKER_UNWOUND,
    WORKER_UNWIND_NS,
    WORKER_WALL_LOOKS,
    WORKER_WALL_UNMOVED,
    WORKER_WALL_LOST,
    WORKER_STALLS,
    WORKER_STALL_NS,
    WORKER_STALL_SAMPLES,
    WORKER_STALL_LOST,
    WORKER_HEAP_SAMPLES,
    WORKER_HEAP_COMPLETE,
    WORKER_HEAP_DROPPED,
    WORKER_HEAP_MISSED_FREE,
    WORKER_HEAP_TABLE_FULL,
    WORKER_HEAP_LIVE,
    WORKER_THREADS,
    WORKER_THREADS_UNSAMPLED,
    WORKER_PROFILER_CPU_NS,
    WORKER_EXPORT_CPU_NS,
    WORKER_LOOKER_CPU_NS,
    WORKER_TRACE_CPU_NS,
    WORKER_UPLOAD_CPU_NS,
    WORKER_SPANS,
    WORKER_SPANS_SENT,
    WORKER_SPANS_FAILED,
    WORKER_SPANS_DROPPED,
    WORKER_TRACE_PAYLOADS,
    WORKER_TRACE_ERRORS,
    WORKER_HANDLER_RUNS,
    WORKER_HANDLER_NS,
    WORKER_MEMORY_RINGS,
    WORKER_MEMORY_TABLES,
    WORKER_MEMORY_SYMBOLS,
    WORKER_MEMORY_UPLOADS,
    WORKER_RESIDENT_ANONYMOUS,
    WORKER_RESIDENT_SHARED,
    WORKER_RESIDENT_FILES,
    WORKER_MAPPED_ZONES,
    WORKER_MAPPED_PRIVATE,
    WORKER_MAPPED_CODE,
    WORKER_LABEL_SETS,
    WORKER_LABELS_DROPPED,
    WORKER_LOOP_NS,
    WORKER_LOOP_TURNS,
    WORKER_COLLECTED = WORKER_LOOP_TURNS + LOOP_BUCKETS,
    WORKER_DEGRADED = WORKER_COLLECTED + NPROF_PROFILES,
    WORKER_STACKS = WORKER_DEGRADED + NPROF_PROFILES,
    WORKER_STACKS_LIMIT = WORKER_STACKS + NPROF_PROFILES,
    WORKER_OVERFLOWS = WORKER_STACKS_LIMIT + NPROF_PROFILES,
    WORKER_COUNTERS = WORKER_OVERFLOWS + NPROF_PROFILES
};

_Static_assert(WORKER_COUNTERS <= INSTANCE_COUNTERS,
               "the slot of a worker has room for its counters");


/* The profiler thread. */
void worker_counters_store(const struct profiler_report *report,
                           _Atomic uint64_t             *counters);

/* The stacks of that kind in the tables of all workers; 0 if there are none, or
   no profiler was started. Any thread. */
uint64_t worker_counters_stacks(enum nprof_job_kind kind);


#endif /* NPROF_WORKER_COUNTERS_H */
