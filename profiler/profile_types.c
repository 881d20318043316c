
/*
 * The types of profiles; see profile_types.h.
 */


#include <string.h>

#include "profile_types.h"
#include "wall_poll.h"


struct profile_type {
    const char               *name;
    struct profile_value_type values[STACK_VALUES];
    struct profile_value_type period;

    /* See profile_type_gauges(). */
    uint32_t gauges;

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


/* The types that Go's runtime/pprof gives them. */
static const struct foreign_type {
    const char               *name;
    struct profile_value_type values[STACK_PROFILE_MAX_VALUES];
    uint32_t                  n_values;
    uint32_t                  shown;
    struct profile_value_type period;
} foreign_types[] = {
    {"heap",
     {{"alloc_objects", "count"},
      {"alloc_space", "bytes"},
      {"inuse_objects", "count"},
      {"inuse_space", "bytes"}},
     4,
     3,
     {"space", "bytes"}},
    {"allocs",
     {{"alloc_objects", "count"},
      {"alloc_space", "bytes"},
      {"inuse_objects", "count"},
      {"inuse_space", "bytes"}},
     4,
     1,
     {"space", "bytes"}},
    {"block",
     {{"contentions", "count"}, {"delay", "nanoseconds"}},
     2,
     1,
     {"contentions", "count"}},
    {"mutex",
     {{"contentions", "count"}, {"delay", "nanoseconds"}},
     2,
     1,
     {"contentions", "count"}},
    {"goroutine", {{"goroutine", "count"}}, 1, 0, {"goroutine", "count"}},
    {"threadcreate",
     {{"threadcreate", "count"}},
     1,
     0,
     {"threadcreate", "count"}},
};


bool
profile_type_describe_foreign(struct stack_profile *profile, const char *name)
{
    size_t                     i;
    const struct foreign_type *type;

    for (i = 0; i < sizeof(foreign_types) / sizeof(foreign_types[0]); i++) {
        type = &foreign_types[i];

        if (strcmp(type->name, name) == 0) {
            memcpy(profile->value_types, type->values, sizeof(type->values));
            profile->n_value_types = type->n_values;
            profile->default_value_type = type->shown;
            profile->period_type = type->period;
            profile->period = 1;
            return true;
        }
    }

    return false;
}


const char *
profile_type_name(enum nprof_job_kind kind)
{
    return types[kind].name;
}


uint32_t
profile_type_gauges(enum nprof_job_kind kind)
{
    return types[kind].gauges;
}


const struct stack_table_bounds *
profile_type_bounds(enum nprof_job_kind kind)
{
    return &types[kind].bounds;
}
