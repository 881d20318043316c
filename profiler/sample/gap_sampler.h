
/*
 * The points in time at which the "jitter" engine looks: one in each cell, at a
 * random place of it.
 *
 * Time is divided into cells as long as the mean gap. The place in a cell is
 * evenly distributed and independent of all others, so every moment is as likely
 * to be looked at as any other, whatever is periodic in the work. Of work that
 * goes on and on as many points are seen as there are cells: the sum has no
 * error of its own, where points of independent gaps (a Poisson process) have
 * one of the root of their number.
 *
 * Points are absolute times: a look that comes late moves none of them.
 *
 * One thread at a time; no memory, no system call.
 */


#ifndef NPROF_GAP_SAMPLER_H
#define NPROF_GAP_SAMPLER_H


#include <stdbool.h>
#include <stdint.h>


struct gap_sampler {
    uint64_t state;

    /* Nanoseconds: the length of a cell, the start of the next point's, and the
       point. */
    int64_t mean_ns;
    int64_t cell_ns;
    int64_t next_ns;
};


/* Cells begin anew, at now_ns. */
void gap_sampler_restart(struct gap_sampler *sampler, int64_t mean_ns,
                         int64_t now_ns);

/* Any seed does. The first cell begins at now_ns. */
void gap_sampler_start(struct gap_sampler *sampler, uint64_t seed,
                       int64_t mean_ns, int64_t now_ns);

/*
 * Gives cells another length, from that of the next point on. What is left of
 * the cell before it has had its point.
 */
void gap_sampler_set_mean(struct gap_sampler *sampler, int64_t mean_ns);

/*
 * Passes the points up to now_ns, and returns their number. *newest_ns is the
 * last of them, if there is one; next_ns is after now_ns.
 */
uint32_t gap_sampler_pass(struct gap_sampler *sampler, int64_t now_ns,
                          int64_t *newest_ns);

/*
 * Passes the points up to until_ns, of which there may be millions, at once;
 * returns their number, and draws the next one after it.
 */
uint32_t gap_sampler_skip(struct gap_sampler *sampler, int64_t until_ns);

/* True with that probability. */
bool gap_sampler_chance(struct gap_sampler *sampler, double probability);


#endif /* NPROF_GAP_SAMPLER_H */
