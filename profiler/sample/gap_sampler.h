
/*
 * The points in time at which the "jitter" engine looks: a Poisson process.
 *
 * The gaps between points are independent and exponential, so that what the
 * points see of anything, periodic work above all, is its share of the time.
 * Points are absolute times, drawn one from another: a look that comes late
 * moves none of them.
 *
 * One thread at a time; no memory, no system call.
 */


#ifndef NPROF_GAP_SAMPLER_H
#define NPROF_GAP_SAMPLER_H


#include <stdbool.h>
#include <stdint.h>


struct gap_sampler {
    uint64_t state;

    /* Nanoseconds: the mean gap, and the next point. */
    double  mean_ns;
    int64_t next_ns;
};


/* Any seed does. The first point is a gap after now_ns. */
void gap_sampler_start(struct gap_sampler *sampler, uint64_t seed,
                       int64_t mean_ns, int64_t now_ns);

/*
 * From now_ns on points have another mean gap. The next point is drawn anew,
 * which is as good as any since gaps have no memory. All points up to now_ns
 * were passed before.
 */
void gap_sampler_set_mean(struct gap_sampler *sampler, int64_t mean_ns,
                          int64_t now_ns);

/*
 * Passes the points up to now_ns, and returns their number. *newest_ns is the
 * last of them, if there is one; next_ns is after now_ns.
 */
uint32_t gap_sampler_pass(struct gap_sampler *sampler, int64_t now_ns,
                          int64_t *newest_ns);

/*
 * Passes the points up to until_ns, of which there may be millions, at once:
 * returns how many are expected there, and draws the next one after it.
 */
uint32_t gap_sampler_skip(struct gap_sampler *sampler, int64_t until_ns);

/* True with that probability. */
bool gap_sampler_chance(struct gap_sampler *sampler, double probability);


#endif /* NPROF_GAP_SAMPLER_H */
