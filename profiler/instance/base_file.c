
/*
 * Bases in the file of the instance; see base_file.h.
 */


#include <errno.h>

#include "base_file.h"


int
base_file_load(struct window_base *base, enum instance_base_role role)
{
    int                   rc;
    uint64_t              length;
    struct instance_base *stored = &instance.directory->bases[role];

    window_base_free(base);
    length = atomic_load(&stored->extent.length);

    if (atomic_load(&stored->monotonic_ns) == 0) {
        return -ENOENT;
    }

    base->realtime_ns = atomic_load(&stored->realtime_ns);
    base->monotonic_ns = atomic_load(&stored->monotonic_ns);

    if (length == 0) {
        return 0;
    }

    rc = window_base_reserve(base, length);

    if (rc == 0) {
        rc = instance_read(atomic_load(&stored->extent.offset), base->bytes,
                           length);
    }

    if (rc == 0) {
        base->used = length;
        rc = window_base_check(base) ? 0 : -EBADMSG;
    }

    if (rc != 0) {
        window_base_free(base);
    }

    return rc;
}


int
base_file_store(const struct window_base *base, enum instance_base_role role)
{
    int                   rc;
    uint64_t              offset, before, length;
    struct instance_base *stored = &instance.directory->bases[role];

    before = atomic_load(&stored->extent.offset);
    length = atomic_load(&stored->extent.length);
    offset
        = instance_other_place(&stored->extent, instance_base_offset(role, 0),
                               instance_base_offset(role, 1));

    rc = base->error;

    if (rc == 0) {
        rc = instance_write(offset, base->bytes, base->used);
    }

    if (rc != 0) {
        return rc;
    }

    atomic_fetch_add(&instance.directory->sequence, 1);
    atomic_store(&stored->extent.offset, offset);
    atomic_store(&stored->extent.length, base->used);
    atomic_store(&stored->realtime_ns, base->realtime_ns);
    atomic_store(&stored->monotonic_ns, base->monotonic_ns);
    atomic_fetch_add(&instance.directory->sequence, 1);

    if (length != 0) {
        instance_free(before, length);
    }

    return 0;
}


void
base_file_drop(enum instance_base_role role)
{
    uint64_t              offset, length;
    struct instance_base *stored = &instance.directory->bases[role];

    offset = atomic_load(&stored->extent.offset);
    length = atomic_load(&stored->extent.length);

    atomic_fetch_add(&instance.directory->sequence, 1);
    atomic_store(&stored->monotonic_ns, 0);
    atomic_store(&stored->extent.length, 0);
    atomic_fetch_add(&instance.directory->sequence, 1);

    if (length != 0) {
        instance_free(offset, length);
    }
}
