
/*
 * What sets the types of profiles apart: their sample types, and the bounds of
 * their tables. Any thread.
 */


#ifndef NPROF_PROFILE_TYPES_H
#define NPROF_PROFILE_TYPES_H


#include "aggregate/stack_table.h"
#include "nprof.h"


/*
 * Sets sample types and period of a profile of that kind; rate is that of CPU
 * samples per second.
 */
void profile_type_describe(struct stack_profile *profile,
                           enum nprof_job_kind kind, uint32_t rate);

/* Its name in configuration and status, static. */
const char *profile_type_name(enum nprof_job_kind kind);

/* The bounds of its table, static. */
const struct stack_table_bounds *profile_type_bounds(enum nprof_job_kind kind);


#endif /* NPROF_PROFILE_TYPES_H */
