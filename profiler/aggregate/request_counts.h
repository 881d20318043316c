
/*
 * How many requests this worker has served since it was started, by label set:
 * what a profile is divided by. A profile without stacks, which goes all the
 * ways that those with stacks go: cumulative, over windows, and merged.
 *
 * Counted by the event loop's thread alone, read by any. Memory: 32 KB, of which
 * what is used is resident.
 */


#ifndef NPROF_REQUEST_COUNTS_H
#define NPROF_REQUEST_COUNTS_H


#include "stack_profile.h"


/* All are 0 again: a profiler starts in this process. */
void request_counts_reset(void);

/* A request with these labels ended. Event loop's thread. */
void request_counts_add(uint32_t labels);

/* A sample for each label set with requests, of one value: their number. NULL
   if there is no memory; freed by stack_profile_free(). */
struct stack_profile *request_counts_profile(void);


#endif /* NPROF_REQUEST_COUNTS_H */
