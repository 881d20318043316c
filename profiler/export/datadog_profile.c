
/*
 * Datadog's sample types; see datadog_profile.h.
 */


#include <string.h>

#include "datadog_profile.h"


/* Those of our types that it shows for native programs, in its order. */
static const struct {
    const char               *type;
    const char               *of;
    struct profile_value_type datadog;
} names[] = {
    /* a type, and one that only profiles of the same kind have */
    {"cpu", "cpu", {"cpu-time", "nanoseconds"}},
    {"samples", "cpu", {"cpu-samples", "count"}},
    {"wall", "wall", {"wall-time", "nanoseconds"}},
    {"samples", "wall", {"wall-samples", "count"}},
    {"alloc_space", "alloc_space", {"alloc-space", "bytes"}},
    {"alloc_objects", "alloc_space", {"alloc-samples", "count"}},
    {"inuse_space", "inuse_space", {"inuse-space", "bytes"}},
    {"inuse_objects", "inuse_space", {"inuse-objects", "count"}},
};


/* The index of a value type, or STACK_PROFILE_MAX_VALUES. */
static uint32_t
value_index(const struct stack_profile *profile, const char *type)
{
    uint32_t i;

    for (i = 0; i < profile->n_value_types; i++) {
        if (strcmp(profile->value_types[i].type, type) == 0) {
            return i;
        }
    }

    return STACK_PROFILE_MAX_VALUES;
}


static void
values_reorder(struct stack_profile *profile, const uint32_t *from, uint32_t n)
{
    size_t   i;
    int64_t  values[STACK_PROFILE_MAX_VALUES];
    uint32_t v;

    for (i = 0; i < profile->n_samples; i++) {
        memcpy(values, profile->samples[i].values, sizeof(values));

        for (v = 0; v < n; v++) {
            profile->samples[i].values[v] = values[from[v]];
        }
    }
}


bool
datadog_profile_convert(struct stack_profile *profile)
{
    size_t                    i;
    uint32_t                  n, from[STACK_PROFILE_MAX_VALUES];
    struct profile_value_type types[STACK_PROFILE_MAX_VALUES];

    n = 0;

    for (i = 0;
         i < sizeof(names) / sizeof(names[0]) && n < STACK_PROFILE_MAX_VALUES;
         i++) {
        from[n] = value_index(profile, names[i].type);

        if (from[n] < STACK_PROFILE_MAX_VALUES
            && value_index(profile, names[i].of) < STACK_PROFILE_MAX_VALUES) {
            types[n++] = names[i].datadog;
        }
    }

    if (n == 0) {
        return false;
    }

    values_reorder(profile, from, n);
    memcpy(profile->value_types, types, n * sizeof(types[0]));
    profile->n_value_types = n;
    profile->default_value_type = 0;
    profile->period_type = types[0];

    return true;
}
