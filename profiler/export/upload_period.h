
/*
 * What is uploaded of a period: to Datadog a profile with all types for each
 * version, to Pyroscope one for each type and version. The export thread.
 */


#ifndef NPROF_UPLOAD_PERIOD_H
#define NPROF_UPLOAD_PERIOD_H


#include <stdatomic.h>
#include <stdbool.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/symbolizer.h"
#include "datadog_event.h"
#include "uploader.h"


/* Nothing is owned. */
struct upload_period {
    /* CLOCK_REALTIME. */
    int64_t start_ns;
    int64_t end_ns;

    /* One for each type that is collected, all with the same array of modules,
       whose files are open; 1 or more. */
    const struct stack_profile *const *profiles;
    uint32_t                           n_profiles;

    /* Not NULL: once it is true, what is not made yet is dropped. */
    const _Atomic bool *cancel;

    /* What requests each endpoint got in the period; n may be 0. */
    const struct upload_endpoint *endpoints;
    uint32_t                      n_endpoints;
};


/* At most so many profiles are in a period. */
#define UPLOAD_PROFILES_MAX 8


/*
 * Makes the uploads of a period and gives them to the uploader. What fails, for
 * want of memory or by cancel, is counted as dropped.
 */
void upload_period_export(struct uploader              *uploader,
                          const struct upload_settings *settings,
                          const struct upload_period   *period,
                          struct symbolizer            *symbolizer);


#endif /* NPROF_UPLOAD_PERIOD_H */
