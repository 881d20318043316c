
/*
 * Totals of workers that left; see worker_totals.h.
 */


#include <errno.h>
#include <string.h>

#include "worker_totals.h"


static bool
any_left(void)
{
    unsigned i;

    for (i = 0; i < instance_slots(); i++) {
        if (atomic_load(&instance.directory->slots[i].state) == INSTANCE_LEFT) {
            return true;
        }
    }

    return false;
}


/* Writes the sum to the place that the totals are not at. */
static int
totals_write(struct stack_merge *merges, struct parcel_file *file)
{
    int                  rc = 0;
    unsigned             kind;
    struct stack_profile profile;
    struct parcel_writer writer;

    file->offset = instance_other_place(&instance.directory->totals,
                                        instance_totals_offset(0),
                                        instance_totals_offset(1));
    parcel_begin(&writer, WINDOW_BASE_TOTALS, 0, parcel_file_sink, file);

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        rc = stack_merge_shrink(&merges[kind],
                                profile_type_shape(kind)->stacks_max,
                                profile_type_gauges(kind));
        if (rc == 0) {
            stack_merge_profile(&merges[kind], &profile);
            profile.n_value_types = STACK_PROFILE_MAX_VALUES;
            parcel_add(&writer, kind, &profile);
        }
    }

    if (rc == 0) {
        rc = parcel_end(&writer);
    }

    return rc != 0 ? rc : file->error;
}


/*
 * Makes them the totals, and frees the slots whose workers are in them. Those
 * are known by id before: a leader that dies here leaves nothing to be counted
 * twice.
 */
static void
totals_publish(const struct collection *c, const struct parcel_file *file)
{
    uint64_t                   n;
    unsigned                   i;
    struct instance_directory *directory = instance.directory;

    atomic_fetch_add(&directory->sequence, 1);

    atomic_store(&directory->totals.offset, file->offset);
    atomic_store(&directory->totals.length, file->length);

    for (i = 0; i < c->n_left; i++) {
        n = atomic_load(&directory->taken);
        atomic_store(&directory->taken_ids[n % INSTANCE_TAKEN],
                     c->left[i].worker);
        atomic_store(&directory->taken, n + 1);
    }

    atomic_fetch_add(&directory->sequence, 1);

    for (i = 0; i < c->n_left; i++) {
        instance_free(instance_left_offset(c->left[i].slot),
                      INSTANCE_PARCEL_MAX);
        atomic_store(&directory->slots[c->left[i].slot].state, INSTANCE_FREE);
    }
}


int
worker_totals_take(struct module_registry       *registry,
                   const struct module_identity *main)
{
    int                  rc;
    unsigned             kind;
    struct collection    c;
    struct parcel_file   file = {0};
    struct stack_merge   merges[PROFILE_KINDS];
    struct peer_question nobody = {0};

    if (!any_left()) {
        return 0;
    }

    memset(merges, 0, sizeof(merges));
    memset(&c, 0, sizeof(c));
    c.question = &nobody;
    c.n_windows = 1;
    rc = 0;

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        rc = stack_merge_init(&merges[kind], registry, main);
        c.windows[0].merges[kind] = &merges[kind];
    }

    if (rc == 0) {
        /* a label of workers that drain is not for what they leave */
        c.for_totals = true;
        rc = collect(&c);
    }

    if (rc == 0) {
        rc = totals_write(merges, &file);
    }

    if (rc == 0) {
        totals_publish(&c, &file);
        rc = (int) c.n_left;
    }

    collect_end(&c);

    for (kind = 0; kind < PROFILE_KINDS; kind++) {
        stack_merge_free(&merges[kind]);
    }

    return rc;
}
