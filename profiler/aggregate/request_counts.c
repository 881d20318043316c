
/*
 * Counters of requests; see request_counts.h.
 */


#include <stdatomic.h>
#include <stdlib.h>

#include "../counter_add.h"
#include "request_counts.h"


/* One writer, the event loop; a reader may have each a moment late. */
static _Atomic uint64_t counts[LABEL_SETS];


void
request_counts_reset(void)
{
    uint32_t i;

    for (i = 0; i < LABEL_SETS; i++) {
        if (atomic_load_explicit(&counts[i], memory_order_relaxed) != 0) {
            atomic_store_explicit(&counts[i], 0, memory_order_relaxed);
        }
    }
}


void
request_counts_add(uint32_t labels)
{
    counter_add(&counts[labels < LABEL_SETS ? labels : LABEL_SET_NONE], 1);
}


struct stack_profile *
request_counts_profile(void)
{
    uint32_t              i;
    uint64_t              n;
    struct stack_profile *profile;

    /* samples have a stack; those without labels are where all others go if
       room lacks */
    static const struct stack_frame frame = {
        .module = STACK_FRAME_NO_MODULE,
        .kind = STACK_FRAME_OTHER,
    };

    profile
        = calloc(1, sizeof(*profile) + LABEL_SETS * sizeof(*profile->samples));
    if (profile == NULL) {
        return NULL;
    }

    profile->samples = (struct profile_sample *) (profile + 1);
    profile->n_value_types = 1;

    for (i = 0; i < LABEL_SETS; i++) {
        n = atomic_load_explicit(&counts[i], memory_order_relaxed);

        if (n != 0) {
            profile->samples[profile->n_samples++] = (struct profile_sample){
                .frames = &frame,
                .n_frames = 1,
                .thread = "",
                .labels = i,
                .values = {(int64_t) n},
            };
        }
    }

    return profile;
}
