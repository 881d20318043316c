
/*
 * Decides which traces are kept, where no caller has. Every span is reported
 * nonetheless: the agent counts requests by them.
 *
 * Event loop's thread, but for what is said.
 */


#ifndef NPROF_TRACE_SAMPLER_H
#define NPROF_TRACE_SAMPLER_H


#include <stdatomic.h>
#include <stdint.h>

#include "trace_rules.h"


/* Who decided, as the tag _dd.p.dm has it. */
enum trace_mechanism {
    /* No agent has said a rate yet. */
    TRACE_BY_DEFAULT = 0,

    TRACE_BY_AGENT = 1,
    TRACE_BY_RULE = 3,

    /* Who called us: no tag of ours. */
    TRACE_BY_CALLER = 255
};


struct trace_decision {
    int32_t              priority;
    enum trace_mechanism mechanism;

    /* Of what decided; and, of a rule, which share of its traces there was room
       for lately. */
    double rate;
    double limit_rate;
};


struct trace_sampler {
    struct trace_rules rules;

    /* Traces that rules may keep in a second. */
    uint32_t limit;

    /* This second (CLOCK_MONOTONIC), and what was asked for and kept in it and
       in the one before. */
    int64_t  second;
    uint32_t asked[2];
    uint32_t kept[2];

    /* The agent's rate, as the bits of a double, which is negative as long as
       it has said none. Stored by the tracer's thread. */
    _Atomic uint64_t agent_rate;
};


/* Takes the rules over. */
void trace_sampler_init(struct trace_sampler     *sampler,
                        const struct trace_rules *rules, uint32_t limit);

/* The agent's answer. The tracer's thread. */
void trace_sampler_set_agent_rate(struct trace_sampler *sampler, double rate);

/* rate: that of a rule, or negative. */
void trace_sampler_decide(struct trace_sampler *sampler, uint64_t trace_low,
                          double rule_rate, struct trace_decision *decision);


#endif /* NPROF_TRACE_SAMPLER_H */
