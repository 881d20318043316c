
/*
 * What sets the types of profiles apart: their sample types, and the bounds of
 * their tables. Any thread.
 */


#ifndef NPROF_PROFILE_TYPES_H
#define NPROF_PROFILE_TYPES_H


#include <stdbool.h>

#include "aggregate/stack_table.h"
#include "nprof.h"


/*
 * Beside the profiles that can be asked for, what workers count and merge in
 * the same way: the requests that they served (aggregate/request_counts.h).
 */
#define PROFILE_REQUESTS NPROF_PROFILES
#define PROFILE_KINDS (PROFILE_REQUESTS + 1)


/*
 * Sets sample types and period of a profile of that kind, as options (enum
 * nprof_profile_option) and configuration want them.
 */
void profile_type_describe(struct stack_profile *profile,
                           enum nprof_job_kind kind, unsigned options,
                           const struct nprof_config *config);

/* The same of a profile that Go has and a worker has not, by its name there;
   false if it is none. */
bool profile_type_describe_foreign(struct stack_profile *profile,
                                   const char           *name);

/*
 * Rounds the values of a profile of that kind to whole numbers, once they are
 * summed up: so far they have the fractions that its table has. Samples that
 * nothing is left of are taken out. The profile's samples are changed.
 */
void profile_type_round(struct stack_profile *profile,
                        enum nprof_job_kind   kind);

/* Its name in configuration and status, static. */
const char *profile_type_name(enum nprof_job_kind kind);

/* What follows is said of PROFILE_REQUESTS, too. */

/*
 * Its values that can go down, a set of bits: what is in use, say. They are of
 * a process, and go with it; others only grow.
 */
uint32_t profile_type_gauges(unsigned kind);

/* The shape of its table, static. */
const struct stack_table_shape *profile_type_shape(unsigned kind);


#endif /* NPROF_PROFILE_TYPES_H */
