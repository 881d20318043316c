
/*
 * What the profiler thread counts of its own work, and how that reads in
 * `status`. Profiler thread only.
 */


#ifndef NPROF_PROFILER_STATUS_H
#define NPROF_PROFILER_STATUS_H


#include <stddef.h>
#include <stdint.h>

#include "aggregate/stack_table.h"
#include "export/upload_settings.h"
#include "heap/heap_profile.h"
#include "looker_thread.h"
#include "nprof.h"
#include "sample/label_set.h"
#include "sample/thread_list.h"
#include "stall_watch.h"
#include "trace/tracer.h"
#include "wall_poll.h"


struct profiler_counters {
    /* CPU samples, and those of them that reached the thread's root. */
    uint64_t samples;
    uint64_t complete;

    /* Of the complete ones: by a scan over code without unwind data. */
    uint64_t bridged;

    /* Of the others: the copy did not hold the whole stack. */
    uint64_t cut;
    uint64_t no_bounds;

    /* Periods (timer expiries, looks) of which no stack is known. */
    uint64_t lost;

    /* Samples of all kinds that came by signal, and the nanoseconds spent to
       unwind and aggregate them. */
    uint64_t unwound;
    uint64_t unwind_ns;

    /* CPU samples of threads that are gone; see thread_slot.h. */
    uint64_t dropped;
};


/* What a status is made of; not owned. */
struct profiler_report {
    const struct nprof_config      *config;
    const struct profiler_counters *counters;
    const struct thread_list       *threads;
    const struct stall_counters    *stalls;
    const struct wall_counters     *wall;
    const struct heap_profile      *heap;

    /* Dropped also has what threads without a cell (thread_label.h) applied. */
    struct label_counters labels;

    /* CPU time of our threads so far: the profiler's, the exporter's, and, if
       they are there, the looker's, the tracer's and the uploader's. */
    uint64_t own_cpu_ns;
    uint64_t export_cpu_ns;
    uint64_t looker_cpu_ns;
    uint64_t trace_cpu_ns;
    uint64_t upload_cpu_ns;

    /* Bytes that other threads hold: the symbolizer's cache, and profiles that
       wait for their upload; and those of the unwinder. */
    uint64_t symbol_memory;
    uint64_t upload_memory;
    uint64_t unwind_memory;

    /* Where profiles go. */
    const struct upload_settings *uploads;

    /* NULL if requests are not traced; what of tracing can't work, or is not as
       it was asked for, or NULL. */
    const struct tracer *tracer;
    const char          *trace_degraded;

    /* NULL if CPU samples come from timers. */
    const struct looker *looker;

    /* By type: NULL if it is not collected; what of it can't work, or NULL. */
    const struct stack_table *tables[NPROF_PROFILES];
    const char               *degraded[NPROF_PROFILES];
};


/* Memory of the profiler in this process, bytes: of what fills up that which was
   used once. */
struct profiler_memory {
    /* Samples, and spans of requests, on their way. */
    uint64_t rings;

    /* Stacks, samples' spans, blocks that are in use, and stacks that repeat. */
    uint64_t tables;

    /* Names of code, and profiles that wait for their upload. */
    uint64_t symbols;
    uint64_t uploads;
};

struct profiler_memory
profiler_status_memory(const struct profiler_report *report);

/* CPU time of all our threads, and time in the signal handler; nanoseconds. */
uint64_t profiler_status_cpu_ns(const struct profiler_report *report);

/* Adds up what the handlers of living threads counted; returns the number of
   those threads. */
uint32_t profiler_status_sum(struct profiler_counters *sum);

/*
 * Writes a JSON object. Returns 0 or -ENOMEM; *json is malloc'ed, the
 * caller's.
 */
int profiler_status_json(const struct profiler_report *report, char **json,
                         size_t *len);


#endif /* NPROF_PROFILER_STATUS_H */
