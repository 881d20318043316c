
/*
 * The types of profiles; see profile_types.h.
 */


#include <string.h>

#include "heap/heap_values.h"
#include "heap/heap_weight.h"
#include "profile_types.h"
#include "wall_poll.h"


struct profile_type {
    const char               *name;
    struct profile_value_type values[STACK_PROFILE_MAX_VALUES];
    struct profile_value_type period;

    /* What viewers show first. */
    uint32_t default_value;

    /* See profile_type_gauges(). */
    uint32_t gauges;

    /*
     * At most 3.8 MB for CPU, 2 MB for the heap and 1 MB for each other, of
     * which only what was used once is resident: a thread blocks in few places,
     * and a loop that stalls in thousands has no other problem.
     */
    struct stack_table_shape shape;
};


static const struct profile_type types[PROFILE_KINDS] = {
    [NPROF_JOB_CPU] = {
        .name = "cpu",
        .values = {{"samples", "count"}, {"cpu", "nanoseconds"}},
        .period = {"cpu", "nanoseconds"},
        .default_value = STACK_NANOSECONDS,
        .shape = {16384, 384 * 1024, STACK_VALUES, {0}},
    },
    [NPROF_JOB_WALL] = {
        .name = "wall",
        .values = {{"samples", "count"}, {"wall", "nanoseconds"}},
        .period = {"wall", "nanoseconds"},
        .default_value = STACK_NANOSECONDS,
        .shape = {4096, 96 * 1024, STACK_VALUES, {0}},
    },
    [NPROF_JOB_STALL] = {
        .name = "stall",
        .values = {{"stalls", "count"}, {"delay", "nanoseconds"}},
        .period = {"stalls", "count"},
        .default_value = STACK_NANOSECONDS,
        .shape = {4096, 96 * 1024, STACK_VALUES, {0}},
    },
    [NPROF_JOB_HEAP] = {
        .name = "heap",
        .values = {{"alloc_objects", "count"}, {"alloc_space", "bytes"},
                   {"inuse_objects", "count"}, {"inuse_space", "bytes"}},
        .period = {"space", "bytes"},
        .default_value = HEAP_INUSE_SPACE,
        .gauges = 1u << HEAP_INUSE_OBJECTS | 1u << HEAP_INUSE_SPACE,
        .shape = {8192, 160 * 1024, HEAP_VALUES,
                  {[HEAP_ALLOC_OBJECTS] = HEAP_OBJECT_BITS,
                   [HEAP_INUSE_OBJECTS] = HEAP_OBJECT_BITS}},
    },
    [PROFILE_REQUESTS] = {
        /* there are no more sets of labels in a worker */
        .shape = {LABEL_SETS, 0, 1, {0}},
    },
};


void
profile_type_describe(struct stack_profile *profile, enum nprof_job_kind kind,
                      unsigned options, const struct nprof_config *config)
{
    const struct profile_type *type;

    const int64_t periods[NPROF_PROFILES] = {
        [NPROF_JOB_CPU] = 1000000000 / config->rate,
        [NPROF_JOB_WALL] = WALL_POLL_MEAN_NS,
        /* each is counted */
        [NPROF_JOB_STALL] = 1,
        [NPROF_JOB_HEAP] = config->heap_interval,
    };

    type = &types[kind];

    memcpy(profile->value_types, type->values, sizeof(type->values));
    profile->n_value_types = type->shape.n_values;
    profile->default_value_type = (options & NPROF_ALLOCS_FIRST) != 0
                                      ? HEAP_ALLOC_SPACE
                                      : type->default_value;
    profile->period_type = type->period;
    profile->period = periods[kind];
}


/* A value as a whole number. */
static int64_t
value_round(int64_t value, unsigned fraction_bits)
{
    int64_t one = INT64_C(1) << fraction_bits;

    return (value + (value < 0 ? -one / 2 : one / 2)) / one;
}


void
profile_type_round(struct stack_profile *profile, enum nprof_job_kind kind)
{
    bool                            any;
    size_t                          i, n = 0;
    uint32_t                        v;
    struct profile_sample          *sample;
    const struct stack_table_shape *shape = &types[kind].shape;

    for (i = 0; i < profile->n_samples; i++) {
        sample = &profile->samples[i];
        any = false;

        for (v = 0; v < shape->n_values; v++) {
            sample->values[v]
                = value_round(sample->values[v], shape->fraction_bits[v]);
            any |= sample->values[v] != 0;
        }

        if (any) {
            profile->samples[n++] = *sample;
        }
    }

    profile->n_samples = n;
}


/* The types that Go's runtime/pprof gives them. */
static const struct foreign_type {
    const char               *name;
    struct profile_value_type values[STACK_PROFILE_MAX_VALUES];
    uint32_t                  n_values;
    uint32_t                  shown;
    struct profile_value_type period;
} foreign_types[] = {
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
profile_type_gauges(unsigned kind)
{
    return types[kind].gauges;
}


const struct stack_table_shape *
profile_type_shape(unsigned kind)
{
    return &types[kind].shape;
}
