
/*
 * The types of profiles; see profile_types.h.
 */


#include "profile_types.h"
#include "wall_poll.h"


struct profile_type {
    const char               *name;
    struct profile_value_type values[STACK_VALUES];
    struct profile_value_type period;

    /*
     * At most 3.6 MB for CPU and 1 MB for each other, of which only what was
     * used once is resident: a thread blocks in few places, and a loop that
     * stalls in thousands has no other problem.
     */
    struct stack_table_bounds bounds;
};


static const struct profile_type types[NPROF_PROFILES] = {
    [NPROF_JOB_CPU] = {
        .name = "cpu",
        .values = {{"samples", "count"}, {"cpu", "nanoseconds"}},
        .period = {"cpu", "nanoseconds"},
        .bounds = {16384, 384 * 1024},
    },
    [NPROF_JOB_WALL] = {
        .name = "wall",
        .values = {{"samples", "count"}, {"wall", "nanoseconds"}},
        .period = {"wall", "nanoseconds"},
        .bounds = {4096, 96 * 1024},
    },
    [NPROF_JOB_STALL] = {
        .name = "stall",
        .values = {{"stalls", "count"}, {"delay", "nanoseconds"}},
        .period = {"stalls", "count"},
        .bounds = {4096, 96 * 1024},
    },
};


void
profile_type_describe(struct stack_profile *profile, enum nprof_job_kind kind,
                      uint32_t rate)
{
    const struct profile_type *type;

    const int64_t periods[NPROF_PROFILES] = {
        [NPROF_JOB_CPU] = 1000000000 / rate,
        [NPROF_JOB_WALL] = WALL_POLL_MEAN_NS,
        /* each is counted */
        [NPROF_JOB_STALL] = 1,
    };

    type = &types[kind];

    profile->value_types[STACK_COUNT] = type->values[STACK_COUNT];
    profile->value_types[STACK_NANOSECONDS] = type->values[STACK_NANOSECONDS];
    profile->n_value_types = STACK_VALUES;
    profile->default_value_type = STACK_NANOSECONDS;
    profile->period_type = type->period;
    profile->period = periods[kind];
}


const char *
profile_type_name(enum nprof_job_kind kind)
{
    return types[kind].name;
}


const struct stack_table_bounds *
profile_type_bounds(enum nprof_job_kind kind)
{
    return &types[kind].bounds;
}
