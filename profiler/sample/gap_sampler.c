
/*
 * Even distributions over splitmix64; see gap_sampler.h.
 */


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


/* Draws the point of the cell that begins at cell_ns: within it, its end
   included. */
static void
gap_sampler_draw(struct gap_sampler *sampler, int64_t cell_ns)
{
    int64_t place;

    place
        = (int64_t) (gap_sampler_uniform(sampler) * (double) sampler->mean_ns);

    sampler->cell_ns = cell_ns;
    sampler->next_ns = cell_ns + place;
}


void
gap_sampler_start(struct gap_sampler *sampler, uint64_t seed, int64_t mean_ns,
                  int64_t now_ns)
{
    sampler->state = seed;
    gap_sampler_restart(sampler, mean_ns, now_ns);
}


void
gap_sampler_restart(struct gap_sampler *sampler, int64_t mean_ns,
                    int64_t now_ns)
{
    sampler->mean_ns = mean_ns;
    gap_sampler_draw(sampler, now_ns);
}


void
gap_sampler_set_mean(struct gap_sampler *sampler, int64_t mean_ns)
{
    gap_sampler_restart(sampler, mean_ns, sampler->cell_ns);
}


uint32_t
gap_sampler_pass(struct gap_sampler *sampler, int64_t now_ns,
                 int64_t *newest_ns)
{
    uint32_t passed;

    for (passed = 0; sampler->next_ns <= now_ns; passed++) {
        *newest_ns = sampler->next_ns;
        gap_sampler_draw(sampler, sampler->cell_ns + sampler->mean_ns);
    }

    return passed;
}


uint32_t
gap_sampler_skip(struct gap_sampler *sampler, int64_t until_ns)
{
    int64_t passed, newest;

    if (sampler->next_ns > until_ns) {
        return 0;
    }

    passed = (until_ns - sampler->cell_ns) / sampler->mean_ns;

    if (passed != 0) {
        gap_sampler_draw(sampler, sampler->cell_ns + passed * sampler->mean_ns);
    }

    passed += gap_sampler_pass(sampler, until_ns, &newest);

    return passed < UINT32_MAX ? (uint32_t) passed : UINT32_MAX;
}


bool
gap_sampler_chance(struct gap_sampler *sampler, double probability)
{
    return gap_sampler_uniform(sampler) <= probability;
}
