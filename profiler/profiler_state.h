
/*
 * The profiler thread's state: made on the event loop's thread
 * (profiler_create.c), used by the profiler thread (profiler_thread.c) alone
 * from its start to its end.
 */


#ifndef NPROF_PROFILER_STATE_H
#define NPROF_PROFILER_STATE_H


#include <stdbool.h>

#include "heap/heap_profile.h"
#include "looker_thread.h"
#include "profiler_job.h"
#include "profiler_status.h"
#include "sample/thread_list.h"
#include "stall_watch.h"
#include "unwind/stack_unwind.h"
#include "wall_poll.h"


struct profiler {
    struct nprof *nprof;
    int64_t       period_ns;
    int64_t       next_scan_ns;
    int64_t       next_drain_ns;

    /* Drains in a row that had no sample of any thread but ours. */
    unsigned idle_drains;

    /* So many looks for threads from now on also install the hooks: modules
       came, and may not be relocated yet. */
    unsigned hook_scans;

    struct thread_list     threads;
    struct looker          looker;
    struct stack_unwinder *unwinder;
    struct unwound_stack   stack;

    /* One for each type that is collected, else NULL. */
    struct stack_table *tables[NPROF_PROFILES];

    struct stall_watch  stalls;
    struct wall_poll    wall;
    struct heap_profile heap;

    struct profiler_counters counters;

    /* What can't work here, by type; and all of it. "" if there is nothing. */
    char warnings[NPROF_PROFILES][160];
    char labels_warning[160];
    char warning[832];
};


/* Whether profiles of that type are collected. */
static inline bool
profiler_collects(const struct profiler *profiler, enum nprof_job_kind kind)
{
    return (profiler->nprof->config.types & NPROF_TYPE(kind)) != 0;
}


/* Unwinds the samples that there are now, and adds up what was counted. */
void profiler_drain(struct profiler *profiler);

/*
 * Of thread_list_scan(): the slot of a thread that is gone is emptied before it
 * is used again. data is the struct profiler.
 */
void profiler_drain_slot(void *data, struct thread_slot *slot);


#endif /* NPROF_PROFILER_STATE_H */
