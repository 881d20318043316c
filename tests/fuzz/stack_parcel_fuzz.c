/*
 * Reads what is no parcel, or a damaged one: it is refused, or what it gives
 * is within its bounds and can be merged. The same bytes are taken for a base
 * of a window.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/instance/parcel_record.h"
#include "profiler/instance/stack_merge.h"
#include "profiler/instance/window_base.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static struct module_identity main_module = {.path = "nginx", .fd = -1};


static void
check_sample(const struct parcel_reader *r, const struct parcel_sample *s)
{
    uint32_t i;

    if (s->thread >= r->n_threads || s->labels >= r->n_labels
        || s->n_frames == 0 || s->n_frames > STACK_UNWIND_MAX + 2) {
        abort();
    }

    for (i = 0; i < s->n_frames; i++) {
        if (s->frames[i].module != STACK_FRAME_NO_MODULE
            && s->frames[i].module >= r->n_modules) {
            abort();
        }
    }
}


static void
read_parcel(const uint8_t *data, size_t size)
{
    int                    event = 0;
    struct parcel_reader   r;
    struct parcel_sample   s;
    struct stack_merge     merge;
    struct stack_profile   profile;
    struct module_registry registry;

    registry.n = 0;

    if (stack_merge_init(&merge, &registry, &main_module) != 0) {
        abort();
    }

    if (parcel_read(&r, data, size) == 0) {
        while ((event = parcel_next(&r, &s)) > PARCEL_END) {
            if (event == PARCEL_PROFILE) {
                stack_merge_source(&merge);
                stack_merge_mark(&merge, "mark", "value");
            } else {
                check_sample(&r, &s);
                (void) stack_merge_add(&merge, &r, &s, s.values);
            }
        }
    }

    (void) stack_merge_shrink(&merge, 2, 1);
    (void) stack_merge_settle(&merge, 0);
    stack_merge_profile(&merge, &profile);
    parcel_read_end(&r);
    stack_merge_free(&merge);
    module_registry_destroy(&registry);
}


static void
read_base(const uint8_t *data, size_t size)
{
    int64_t                   values[STACK_PROFILE_MAX_VALUES] = {0};
    struct window_base        base = {0};
    struct base_sums          sums;
    const struct base_source *source = NULL;

    if (window_base_reserve(&base, size + 1) != 0) {
        abort();
    }

    memcpy(base.bytes, data, size);
    base.used = size;

    if (window_base_check(&base)) {
        base_sums_init(&sums);

        while ((source = window_base_next(&base, source)) != NULL) {
            (void) base_sums_add(&sums, source);
        }

        base_sums_take_rest(&sums, values);
        base_sums_free(&sums);
    }

    window_base_free(&base);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint32_t head[2] = {PARCEL_MAGIC, PARCEL_VERSION};
    uint8_t       *parcel;

    /* of exactly its size: what is beyond it is not to be read */
    parcel = malloc(size + sizeof(head));
    memcpy(parcel, head, sizeof(head));
    memcpy(parcel + sizeof(head), data, size);

    read_parcel(parcel, size + sizeof(head));
    read_base(data, size);
    free(parcel);

    return 0;
}
