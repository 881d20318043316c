
/*
 * What this worker has counted; see profiler_snapshot.h.
 */


#include <errno.h>

#include "aggregate/request_counts.h"
#include "instance/stack_parcel.h"
#include "nprof_clock.h"
#include "profile_types.h"
#include "profiler_snapshot.h"
#include "profiler_state.h"


/* Sets the values of a bit set of them to 0. */
static void
values_drop(struct stack_profile *profile, uint32_t values)
{
    size_t   i;
    unsigned v;

    for (i = 0; i < profile->n_samples; i++) {
        for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
            if (values & 1u << v) {
                profile->samples[i].values[v] = 0;
            }
        }
    }
}


/* Whatever is wanted: every profile says how many requests it is of. */
static int
requests_write(struct parcel_writer *writer)
{
    struct stack_profile *profile;

    profile = request_counts_profile();
    if (profile == NULL) {
        return -ENOMEM;
    }

    parcel_add(writer, PROFILE_REQUESTS, profile);
    stack_profile_free(profile);

    return 0;
}


static int
snapshot_write(struct profiler *profiler, uint32_t types, bool leaving,
               struct parcel_file *file)
{
    int                         rc = 0;
    unsigned                    kind;
    struct parcel_writer        writer;
    struct stack_profile       *profile;
    const struct instance_slot *own = instance_own_slot();

    parcel_begin(&writer, atomic_load(&own->id), atomic_load(&own->pid),
                 parcel_file_sink, file);

    for (kind = 0; rc == 0 && kind < NPROF_PROFILES; kind++) {
        if (profiler->tables[kind] == NULL || !(types & NPROF_TYPE(kind))) {
            continue;
        }

        if (kind == NPROF_JOB_WALL) {
            wall_poll_settle(&profiler->wall, profiler->threads.n_slots,
                             clock_ns(CLOCK_MONOTONIC));
        }

        /* the turn in which the profile was asked for may end any time */
        if (kind == NPROF_JOB_STALL
            && !stall_watch_settle_running(&profiler->stalls)) {
            profiler_drain(profiler);
            (void) stall_watch_settle_running(&profiler->stalls);
        }

        profile = stack_table_profile(profiler->tables[kind]);
        if (profile == NULL) {
            rc = -ENOMEM;
            break;
        }

        profile_type_describe(profile, kind, 0, &profiler->nprof->config);

        if (leaving) {
            values_drop(profile, profile_type_gauges(kind));
        }

        parcel_add(&writer, kind, profile);
        stack_profile_free(profile);
    }

    if (rc == 0) {
        rc = requests_write(&writer);
    }

    if (rc == 0) {
        rc = parcel_end(&writer);
    }

    return rc != 0 ? rc : file->error;
}


int
profiler_snapshot(void *data, uint32_t types, struct parcel_file *file)
{
    return snapshot_write(data, types, false, file);
}


bool
profiler_leave(struct profiler *profiler)
{
    struct parcel_file file = {.offset = instance_left_offset(instance.slot)};

    if (snapshot_write(profiler, UINT32_MAX, true, &file) != 0) {
        /* its totals are, as those of a worker that was killed */
        atomic_fetch_add(&instance.directory->lost, 1);
        return false;
    }

    atomic_store(&instance_own_slot()->left_length, file.length);

    return true;
}
