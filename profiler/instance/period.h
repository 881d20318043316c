
/*
 * Periods: each profiler_period the leader of the instance has a profile of
 * each type, merged over all workers, of the time since the last one. Whoever
 * keeps or sends them says so before the threads start.
 *
 * A leader that exits is followed by another worker, which goes on with the
 * period that is open: nothing is counted twice, or not at all, but for what a
 * worker that was killed had counted, and what went wrong in a handler.
 */


#ifndef NPROF_PERIOD_H
#define NPROF_PERIOD_H


#include <stdbool.h>
#include <stdint.h>

#include "../nprof.h"
#include "../symbolize/symbolizer.h"


#define PERIOD_HANDLERS 4


struct stack_profile;


struct period {
    /* Random, of the instance: the same in all of its workers. */
    uint64_t instance_id;

    /* CLOCK_REALTIME, nanoseconds. */
    int64_t start_ns;
    int64_t end_ns;

    /*
     * By type, with types, times and names of modules' files set, ready for
     * pprof_encode(); NULL if no worker may have it. Values that only grow are
     * what was added in the period, and the others (profile_type_gauges()) what
     * they are at its end. Valid until the handler returns.
     */
    const struct stack_profile *profiles[NPROF_PROFILES];

    /* How many were served in the period, by labels: for struct pprof_form.
       As valid. */
    const struct stack_profile *requests;

    struct symbolizer *symbolizer;
};


/* Called on the export thread of the leader; it may wait for files. */
typedef void (*period_handler_pt)(void *data, const struct period *period);


struct period_handlers {
    unsigned          n;
    period_handler_pt handlers[PERIOD_HANDLERS];
    void             *data[PERIOD_HANDLERS];
};


/* Event loop, before the threads start. Returns 0 or -ENOSPC. */
int period_subscribe(struct period_handlers *handlers,
                     period_handler_pt handler, void *data);


#endif /* NPROF_PERIOD_H */
