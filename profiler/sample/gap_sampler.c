
/*
 * Exponential gaps by inversion, over splitmix64; see gap_sampler.h.
 */


#include <math.h>

#include "gap_sampler.h"


/* In (0, 1], in steps of 2^-53. */
static double
gap_sampler_uniform(struct gap_sampler *sampler)
{
    uint64_t value;

    sampler->state += 0x9e3779b97f4a7c15u;
    value = sampler->state;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    value ^= value >> 31;

    return (double) ((value >> 11) + 1) * 0x1p-53;
}


/* Whole nanoseconds, at least one: half a one more on average, which matters
   to no rate that there is. */
static int64_t
gap_sampler_gap(struct gap_sampler *sampler)
{
    return 1
           + (int64_t) (-log(gap_sampler_uniform(sampler)) * sampler->mean_ns);
}


void
gap_sampler_start(struct gap_sampler *sampler, uint64_t seed, int64_t mean_ns,
                  int64_t now_ns)
{
    sampler->state = seed;
    gap_sampler_set_mean(sampler, mean_ns, now_ns);
}


void
gap_sampler_set_mean(struct gap_sampler *sampler, int64_t mean_ns,
                     int64_t now_ns)
{
    sampler->mean_ns = (double) mean_ns;
    sampler->next_ns = now_ns + gap_sampler_gap(sampler);
}


uint32_t
gap_sampler_pass(struct gap_sampler *sampler, int64_t now_ns,
                 int64_t *newest_ns)
{
    uint32_t passed;

    for (passed = 0; sampler->next_ns <= now_ns; passed++) {
        *newest_ns = sampler->next_ns;
        sampler->next_ns += gap_sampler_gap(sampler);
    }

    return passed;
}


uint32_t
gap_sampler_skip(struct gap_sampler *sampler, int64_t until_ns)
{
    double passed;

    if (sampler->next_ns > until_ns) {
        return 0;
    }

    passed = 1 + (double) (until_ns - sampler->next_ns) / sampler->mean_ns;
    sampler->next_ns = until_ns + gap_sampler_gap(sampler);

    return passed < UINT32_MAX ? (uint32_t) passed : UINT32_MAX;
}


bool
gap_sampler_chance(struct gap_sampler *sampler, double probability)
{
    return gap_sampler_uniform(sampler) <= probability;
}
