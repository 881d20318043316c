
/*
 * Sampling; see trace_sampler.h.
 */


#include <stdbool.h>
#include <string.h>

#include "../nprof_clock.h"
#include "trace_context.h"
#include "trace_sampler.h"


/* All of Datadog's tracers multiply by it, so that services that decide by the
   same rate keep the same traces. */
#define KNUTH_FACTOR 1111111111111111111ull


void
trace_sampler_init(struct trace_sampler     *sampler,
                   const struct trace_rules *rules, uint32_t limit)
{
    memset(sampler, 0, sizeof(*sampler));
    sampler->rules = *rules;
    sampler->limit = limit;
    trace_sampler_set_agent_rate(sampler, -1);
}


void
trace_sampler_set_agent_rate(struct trace_sampler *sampler, double rate)
{
    uint64_t bits;

    memcpy(&bits, &rate, sizeof(bits));
    atomic_store_explicit(&sampler->agent_rate, bits, memory_order_relaxed);
}


static double
agent_rate(const struct trace_sampler *sampler)
{
    double   rate;
    uint64_t bits;

    bits = atomic_load_explicit(&sampler->agent_rate, memory_order_relaxed);
    memcpy(&rate, &bits, sizeof(rate));

    return rate;
}


static bool
rate_keeps(uint64_t trace_low, double rate)
{
    /* the largest double below 2^64 is far enough from it to matter to none */
    return rate >= 1
           || (double) (trace_low * KNUTH_FACTOR)
                  <= rate * 18446744073709551615.0;
}


/* Whether there is room for one more in this second. */
static bool
limit_keeps(struct trace_sampler *sampler, double *share)
{
    bool     keep;
    int64_t  second;
    uint32_t asked;

    second = clock_ns(CLOCK_MONOTONIC) / 1000000000;

    if (second != sampler->second) {
        if (second == sampler->second + 1) {
            sampler->asked[1] = sampler->asked[0];
            sampler->kept[1] = sampler->kept[0];
        } else {
            sampler->asked[1] = 0;
            sampler->kept[1] = 0;
        }

        sampler->asked[0] = 0;
        sampler->kept[0] = 0;
        sampler->second = second;
    }

    keep = sampler->kept[0] < sampler->limit;
    sampler->asked[0]++;
    sampler->kept[0] += keep;

    asked = sampler->asked[0] + sampler->asked[1];
    *share = (double) (sampler->kept[0] + sampler->kept[1]) / asked;

    return keep;
}


void
trace_sampler_decide(struct trace_sampler *sampler, uint64_t trace_low,
                     double rule_rate, struct trace_decision *decision)
{
    decision->limit_rate = 1;

    if (rule_rate >= 0) {
        decision->mechanism = TRACE_BY_RULE;
        decision->rate = rule_rate;
        decision->priority
            = rate_keeps(trace_low, rule_rate)
                      && limit_keeps(sampler, &decision->limit_rate)
                  ? TRACE_PRIORITY_USER_KEEP
                  : TRACE_PRIORITY_USER_DROP;
        return;
    }

    decision->rate = agent_rate(sampler);
    decision->mechanism = TRACE_BY_AGENT;

    if (decision->rate < 0) {
        decision->rate = 1;
        decision->mechanism = TRACE_BY_DEFAULT;
    }

    decision->priority = rate_keeps(trace_low, decision->rate)
                             ? TRACE_PRIORITY_AUTO_KEEP
                             : TRACE_PRIORITY_AUTO_DROP;
}
