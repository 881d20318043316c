
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

#include "../sample/label_set.h"
#include "../unwind/module_identity.h"
#include "../unwind/stack_frame.h"


#define STACK_PROFILE_MAX_VALUES 4


/* A sample type: pprof's ValueType. Both are static strings. */
struct profile_value_type {
    const char *type;
    const char *unit;
};


/* What of a sample was the work of one span. */
struct profile_span {
    /* Its id, not 0. */
    uint64_t span;

    /* Its time, of the sample's span_ns. */
    int64_t ns;

    /* When it was added to its table, CLOCK_MONOTONIC, which all processes
       share; of several, the last. */
    int64_t time_ns;
};


/* Leaf first. The frames are part of the profile's frames array. */
struct profile_sample {
    const struct stack_frame *frames;
    uint32_t                  n_frames;

    /* The name of the thread, "" if it is not known; static or owned. */
    const char *thread;

    /* A label set; see stack_profile_label(). */
    uint32_t labels;

    int64_t values[STACK_PROFILE_MAX_VALUES];

    /*
     * Shares of all values that are known to be of a span: its time of span_ns
     * each; what is left is of none, or it is not known any more. NULL if there
     * are none. They live as long as the profile.
     */
    const struct profile_span *spans;
    uint32_t                   n_spans;
    int64_t                    span_ns;
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

    /*
     * What label sets are numbers of: a profile of several processes has its
     * own, of which [0] is none; NULL: those of this process (label_set.h).
     */
    const struct label *label_sets;
    uint32_t            n_label_sets;

    /* Bytes of its own mapping; 0: it is malloc'ed. */
    size_t mapped;

    /* Those of all samples; owned. */
    struct profile_span *spans;
};


/* One label of a set of the profile and, by its rest, the others, or NULL. */
static inline const struct label *
stack_profile_label(const struct stack_profile *profile, uint32_t set)
{
    if (profile->label_sets == NULL) {
        return label_set_first(set);
    }

    return set == LABEL_SET_NONE || set >= profile->n_label_sets
               ? NULL
               : &profile->label_sets[set];
}


#endif /* NPROF_STACK_PROFILE_H */
