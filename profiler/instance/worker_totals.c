
/*
 * Totals of workers that left; see worker_totals.h.
 */


#include <errno.h>
#include <string.h>

#include "../nprof_clock.h"
#include "worker_totals.h"


_Static_assert(INSTANCE_TAKEN >= INSTANCE_SLOTS,
               "what is still in a slot is known to have been taken over");


/* Whether there is anything to take over; frees the slots of those that were,
   once nobody looks there any more. */
static bool
any_left(int64_t now)
{
    bool                  any = false;
    unsigned              i;
    int64_t               taken;
    struct instance_slot *slot;

    for (i = 0; i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (atomic_load(&slot->state) != INSTANCE_LEFT) {
            continue;
        }

        taken = atomic_load(&slot->taken_ns);
        any |= taken == 0;

        if (taken != 0 && now - taken >= INSTANCE_TAKEN_NS) {
            instance_free(instance_left_offset(i), INSTANCE_PARCEL_MAX);
            atomic_store(&slot->state, INSTANCE_FREE);
        }
    }

    return any;
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


/* The worker is in the totals, and known by its id. */
static void
slot_is_taken(struct instance_slot *slot, int64_t now)
{
    uint64_t                   n;
    struct instance_directory *directory = instance.directory;

    n = atomic_load(&directory->taken);
    atomic_store(&directory->taken_ids[n % INSTANCE_TAKEN],
                 atomic_load(&slot->id));
    atomic_store(&directory->taken, n + 1);
    atomic_store(&slot->taken_ns, now);
}


/* Makes them the totals. Returns how many workers were taken over. */
static int
totals_publish(const struct collection *c, const struct parcel_file *file,
               int64_t now)
{
    int                        n = 0;
    unsigned                   i;
    struct instance_slot      *slot;
    struct instance_directory *directory = instance.directory;

    atomic_fetch_add(&directory->sequence, 1);

    atomic_store(&directory->totals.offset, file->offset);
    atomic_store(&directory->totals.length, file->length);

    for (i = 0; i < c->n_left; i++) {
        slot = &directory->slots[c->left[i].slot];

        if (atomic_load(&slot->taken_ns) == 0) {
            slot_is_taken(slot, now);
            n++;
        }
    }

    atomic_fetch_add(&directory->sequence, 1);

    return n;
}


int
worker_totals_take(struct module_registry       *registry,
                   const struct module_identity *main)
{
    int                  rc;
    int64_t              now;
    unsigned             kind;
    struct collection    c;
    struct parcel_file   file = {0};
    struct stack_merge   merges[PROFILE_KINDS];
    struct peer_question nobody = {0};

    now = clock_ns(CLOCK_MONOTONIC);

    if (!any_left(now)) {
        return 0;
    }

    memset(merges, 0, sizeof(merges));
    memset(&c, 0, sizeof(c));
    c.question = &nobody;
    rc = 0;

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        rc = stack_merge_init(&merges[kind], registry, main);
        c.window.merges[kind] = &merges[kind];
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
        rc = totals_publish(&c, &file, now);
    }

    collect_end(&c);

    for (kind = 0; kind < PROFILE_KINDS; kind++) {
        stack_merge_free(&merges[kind]);
    }

    return rc;
}
