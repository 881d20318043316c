
/*
 * What sets the types of profiles apart.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "heap/heap_values.h"
#include "heap/heap_weight.h"
#include "profile_types.h"


#define ONE (INT64_C(1) << HEAP_OBJECT_BITS)


/* Of 64 workers each sampled one block of a weight of one and a third: as many
   as that are in the profile, not 64. */
Test(profile_types, sums_over_workers_are_rounded_once)
{
    int                   i;
    struct stack_profile  profile = {0};
    struct profile_sample sample = {0};

    for (i = 0; i < 64; i++) {
        sample.values[HEAP_ALLOC_OBJECTS] += ONE * 4 / 3;
        sample.values[HEAP_ALLOC_SPACE] += 400000;
        sample.values[HEAP_INUSE_OBJECTS] -= ONE * 4 / 3;
    }

    profile.samples = &sample;
    profile.n_samples = 1;
    profile_type_round(&profile, NPROF_JOB_HEAP);

    cr_expect_eq(profile.n_samples, 1);
    cr_expect_eq(sample.values[HEAP_ALLOC_OBJECTS], 85);
    cr_expect_eq(sample.values[HEAP_ALLOC_SPACE], 64 * 400000);
    cr_expect_eq(sample.values[HEAP_INUSE_OBJECTS], -85);
    cr_expect_eq(sample.values[HEAP_INUSE_SPACE], 0);
}


Test(profile_types, a_sample_of_less_than_half_a_block_is_none)
{
    struct stack_profile  profile = {0};
    struct profile_sample samples[] = {
        {.values = {[HEAP_INUSE_OBJECTS] = ONE / 3}},
        {.values = {[HEAP_INUSE_SPACE] = 7}},
        {.values = {[HEAP_ALLOC_OBJECTS] = -ONE / 3}},
    };

    profile.samples = samples;
    profile.n_samples = 3;
    profile_type_round(&profile, NPROF_JOB_HEAP);

    cr_expect_eq(profile.n_samples, 1);
    cr_expect_eq(profile.samples[0].values[HEAP_INUSE_SPACE], 7);
}


Test(profile_types, counts_are_whole_already)
{
    struct stack_profile  profile = {0};
    struct profile_sample sample = {.values = {3, 30000001}};

    profile.samples = &sample;
    profile.n_samples = 1;
    profile_type_round(&profile, NPROF_JOB_CPU);

    cr_expect_eq(sample.values[STACK_COUNT], 3);
    cr_expect_eq(sample.values[STACK_NANOSECONDS], 30000001);
}


/* What a worker had in use is gone with it; what it allocated is not. */
Test(profile_types, only_memory_in_use_goes_down)
{
    unsigned kind;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        cr_expect_eq(profile_type_gauges(kind),
                     kind == NPROF_JOB_HEAP
                         ? 1u << HEAP_INUSE_OBJECTS | 1u << HEAP_INUSE_SPACE
                         : 0);
    }
}


Test(profile_types, allocations_are_shown_first_if_asked_for)
{
    struct stack_profile      profile = {0};
    const struct nprof_config config = {.rate = 99, .heap_interval = 8192};

    profile_type_describe(&profile, NPROF_JOB_HEAP, 0, &config);
    cr_expect_eq(profile.n_value_types, HEAP_VALUES);
    cr_expect_eq(profile.default_value_type, HEAP_INUSE_SPACE);
    cr_expect_eq(profile.period, 8192);

    profile_type_describe(&profile, NPROF_JOB_HEAP, NPROF_ALLOCS_FIRST,
                          &config);
    cr_expect_eq(profile.default_value_type, HEAP_ALLOC_SPACE);
    cr_expect_str_eq(profile.value_types[HEAP_ALLOC_SPACE].type, "alloc_space");
}
