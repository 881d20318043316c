
/*
 * A profile as it leaves the aggregation: stacks with values, over a window,
 * not yet symbolized. What encode/ makes pprof of, and what travels between
 * the workers of an instance.
 *
 * A profile is made by one thread and then handed over; it is never shared.
 */


#ifndef NPROF_STACK_PROFILE_H
#define NPROF_STACK_PROFILE_H


#include <stddef.h>
#include <stdint.h>

#include "../unwind/module_identity.h"
#include "../unwind/stack_frame.h"


#define STACK_PROFILE_MAX_VALUES 4


/* A sample type: pprof's ValueType. Both are static strings. */
struct profile_value_type {
    const char *type;
    const char *unit;
};


/* Leaf first. The frames are part of the profile's frames array. */
struct profile_sample {
    const struct stack_frame *frames;
    uint32_t                  n_frames;

    /* The name of the thread, "" if it is not known; static or owned. */
    const char *thread;

    /* A label set of this process (label_set.h). */
    uint32_t labels;

    int64_t values[STACK_PROFILE_MAX_VALUES];
};


struct stack_profile {
    /*
     * Frames index this array; [0] is the main program (nginx). Not owned; only
     * the export thread opens their files.
     */
    struct module_identity **modules;
    uint32_t                 n_modules;

    struct profile_value_type value_types[STACK_PROFILE_MAX_VALUES];
    uint32_t                  n_value_types;

    /* The value type that viewers show first: an index of value_types. */
    uint32_t default_value_type;

    struct profile_value_type period_type;
    int64_t                   period;

    /* CLOCK_REALTIME of the window's start, its length; nanoseconds. */
    int64_t time_ns;
    int64_t duration_ns;

    struct profile_sample *samples;
    size_t                 n_samples;
};


#endif /* NPROF_STACK_PROFILE_H */
