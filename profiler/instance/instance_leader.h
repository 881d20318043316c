
/*
 * What one worker does for all: it takes over the totals of workers that left,
 * adds to the history, and closes periods. All that it needs to know is in the
 * instance, so that another worker goes on where it ended. The export thread.
 */


#ifndef NPROF_INSTANCE_LEADER_H
#define NPROF_INSTANCE_LEADER_H


#include "module_registry.h"
#include "period.h"


/* How often the leader looks who left, at least, and others whether there is one.
 */
#define LEADER_TURN_NS INT64_C(1000000000)

/* How long a step of the history is at most, nanoseconds. */
#define LEADER_STEP_NS INT64_C(10000000000)


struct instance_leader {
    const struct nprof_config    *config;
    const struct module_identity *main;
    struct module_registry       *registry;
    struct symbolizer            *symbolizer;
    struct period_handlers        handlers;

    /* When it is time for the next turn, CLOCK_MONOTONIC. */
    int64_t next_ns;

    /* Says that a worker was lost; any data. */
    void (*lost)(void *data, uint32_t pid);
    void *lost_data;
};


/*
 * How long the first period of the instance of that id is: up to a tenth shorter
 * than the others, so that instances that were started together close their
 * periods, and upload them, at different times from then on. Any thread.
 */
int64_t leader_first_period_ns(uint64_t instance_id, int64_t period);

/* Leads, if it is this worker's turn to, and there is anything to do. */
void instance_leader_turn(struct instance_leader *leader);

/*
 * This worker exits: if it leads, or nobody does, the period ends now, unless
 * nothing was counted in it, or the worker drains: others go on with it, who may
 * be about to start.
 */
void instance_leader_finish(struct instance_leader *leader);


#endif /* NPROF_INSTANCE_LEADER_H */
