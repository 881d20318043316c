
/*
 * What was counted in the last hour, in steps of some seconds: parcels that are
 * compressed, in a ring of the instance's file. The leader adds to it, every
 * worker reads it. Export threads.
 */


#ifndef NPROF_HISTORY_H
#define NPROF_HISTORY_H


#include "../profile_types.h"
#include "stack_merge.h"
#include "window_base.h"


/* Nothing older is kept, nanoseconds. */
#define HISTORY_AGE_NS INT64_C(3600000000000)


/*
 * Adds a step: the profiles of all types, the merges of which may be broken
 * after it, from one time of CLOCK_REALTIME to another. size is that of the
 * ring. Returns 0 or -errno. The leader.
 */
int history_add(struct stack_merge *merges, unsigned n, int64_t from_ns,
                int64_t to_ns, uint64_t size);

/* Nothing is kept any more, nor its memory; if nothing was this is cheap. The
   leader. */
void history_drop(void);

/* A part of the past; all zero but from_ns and to_ns before history_read(). */
struct history_window {
    /* What is asked for, CLOCK_REALTIME. */
    int64_t from_ns;
    int64_t to_ns;

    /* What it really covers; equal: there is nothing. */
    int64_t covered_from_ns;
    int64_t covered_to_ns;

    /* The base of what came after the last step, if that is part of it. Not
       part of what history_merge() adds. */
    struct window_base tail;

    unsigned             n;
    struct history_step *steps;
    unsigned             room;
};


/* Reads the steps that lie in the window by the larger part. 0 or -errno;
   history_read_end() is due in any case. */
int history_read(struct history_window *window);

/* Adds what was read to the merges, by type; NULL where it is not wanted. 0 or
   -errno. */
int history_merge(const struct history_window *window,
                  struct stack_merge *const    merges[PROFILE_KINDS]);

void history_read_end(struct history_window *window);


#endif /* NPROF_HISTORY_H */
