
/*
 * The last hour; see history.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../encode/gzip_buffer.h"
#include "../encode/gzip_unpack.h"
#include "../nprof.h"
#include "../nprof_clock.h"
#include "base_file.h"
#include "history.h"
#include "instance_collect.h"


/* Steps are small, and there are few: speed before size. */
#define HISTORY_GZIP_LEVEL 3

/* The most that any history has of the file, bytes. */
#define HISTORY_ROOM (UINT64_C(1) << 48)


/* A step on its way through gzip, and its size before. */
struct step_packing {
    struct gzip_buffer gzip;
    uint64_t           size;
};


struct history_step {
    struct parcel_bytes packed;
    uint64_t            size;
};


static struct instance_history_entry *
entry_at(unsigned i)
{
    struct instance_directory *directory = instance.directory;

    return &directory->history[(atomic_load(&directory->history_first) + i)
                               % INSTANCE_HISTORY];
}


static void
entry_drop_first(void)
{
    struct instance_directory *directory = instance.directory;

    /* first: else the ring of a leader that dies here has an entry too many */
    atomic_fetch_sub(&directory->history_count, 1);
    atomic_store(&directory->history_first,
                 (atomic_load(&directory->history_first) + 1)
                     % INSTANCE_HISTORY);
}


/* Whether a step has to go for one at offset, or because it is too old. */
static bool
any_in_the_way(uint64_t offset, uint64_t length, uint64_t size, int64_t now)
{
    unsigned                             i, n;
    uint64_t                             at, end;
    const struct instance_history_entry *entry;

    n = atomic_load(&instance.directory->history_count);

    if (n == INSTANCE_HISTORY) {
        return true;
    }

    for (i = 0; i < n; i++) {
        entry = entry_at(i);
        at = atomic_load(&entry->extent.offset) - instance_history_offset();
        end = at + atomic_load(&entry->extent.length);

        if ((at < offset + length && offset < end) || end > size
            || now - atomic_load(&entry->to_ns) > HISTORY_AGE_NS) {
            return true;
        }
    }

    return false;
}


/* Where the next step goes, with room made for it. */
static uint64_t
room_make(uint64_t length, uint64_t size, int64_t now)
{
    unsigned                             n;
    uint64_t                             offset = 0;
    const struct instance_history_entry *last;

    n = atomic_load(&instance.directory->history_count);

    if (n > 0) {
        last = entry_at(n - 1);
        offset = atomic_load(&last->extent.offset) - instance_history_offset()
                 + atomic_load(&last->extent.length);
    }

    if (offset + length > size) {
        offset = 0;
    }

    /* one after the other: the oldest are next in the ring */
    atomic_fetch_add(&instance.directory->sequence, 1);

    while (atomic_load(&instance.directory->history_count) > 0
           && any_in_the_way(offset, length, size, now)) {
        entry_drop_first();
    }

    atomic_fetch_add(&instance.directory->sequence, 1);

    return offset;
}


static void
gzip_sink(void *data, const void *bytes, size_t n)
{
    struct step_packing *packing = data;

    gzip_buffer_add(&packing->gzip, bytes, n);
    packing->size += n;
}


static int
step_pack(struct stack_merge *merges, unsigned n, uint8_t **packed, size_t *len,
          uint64_t *size)
{
    int                  rc;
    unsigned             kind;
    struct stack_profile profile;
    struct parcel_writer writer;
    struct step_packing  packing;

    packing.size = 0;
    rc = gzip_buffer_init(&packing.gzip, HISTORY_GZIP_LEVEL);
    if (rc != 0) {
        return rc;
    }

    parcel_begin(&writer, 0, 0, gzip_sink, &packing);

    for (kind = 0; kind < n; kind++) {
        stack_merge_profile(&merges[kind], &profile);
        profile.n_value_types = STACK_PROFILE_MAX_VALUES;
        parcel_add(&writer, kind, &profile);
    }

    rc = parcel_end(&writer);
    *packed = NULL;

    if (gzip_buffer_finish(&packing.gzip, packed, len) != 0) {
        rc = -ENOMEM;
    }

    *size = packing.size;

    return rc;
}


static int
step_write(const uint8_t *packed, size_t len, uint64_t unpacked,
           int64_t from_ns, int64_t to_ns, uint64_t size)
{
    int                            rc;
    uint64_t                       offset;
    struct instance_directory     *directory = instance.directory;
    struct instance_history_entry *entry;

    /* two at least, else there is no ring */
    if (len > size / 2 || unpacked > INSTANCE_PARCEL_MAX) {
        return -EFBIG;
    }

    offset = instance_history_offset() + room_make(len, size, to_ns);

    /* what a larger history left: there is nothing of it any more */
    instance_free(instance_history_offset() + size, HISTORY_ROOM - size);

    rc = instance_write(offset, packed, len);
    if (rc != 0) {
        return rc;
    }

    atomic_fetch_add(&directory->sequence, 1);

    entry = entry_at(atomic_load(&directory->history_count));
    atomic_store(&entry->extent.offset, offset);
    atomic_store(&entry->extent.length, len);
    atomic_store(&entry->size, unpacked);
    atomic_store(&entry->from_ns, from_ns);
    atomic_store(&entry->to_ns, to_ns);
    atomic_fetch_add(&directory->history_count, 1);

    atomic_fetch_add(&directory->sequence, 1);

    return 0;
}


int
history_add(struct stack_merge *merges, unsigned n, int64_t from_ns,
            int64_t to_ns, uint64_t size)
{
    int      rc;
    size_t   len;
    uint8_t *packed;
    uint64_t unpacked;

    rc = step_pack(merges, n, &packed, &len, &unpacked);

    if (rc == 0) {
        rc = step_write(packed, len, unpacked, from_ns, to_ns, size);
    }

    free(packed);

    return rc;
}


void
history_drop(void)
{
    struct instance_directory *directory = instance.directory;

    if (atomic_load(&directory->history_count) == 0
        && atomic_load(&directory->bases[INSTANCE_BASE_STEP].monotonic_ns)
               == 0) {
        return;
    }

    atomic_fetch_add(&directory->sequence, 1);
    atomic_store(&directory->history_count, 0);
    atomic_fetch_add(&directory->sequence, 1);

    instance_free(instance_history_offset(), HISTORY_ROOM);
    base_file_drop(INSTANCE_BASE_STEP);
}


static void
steps_free(struct history_window *window)
{
    while (window->n > 0) {
        parcel_bytes_free(&window->steps[--window->n].packed);
    }

    window_base_free(&window->tail);
}


void
history_read_end(struct history_window *window)
{
    steps_free(window);
    free(window->steps);
    window->steps = NULL;
}


static int
step_read(struct history_window               *window,
          const struct instance_history_entry *entry)
{
    struct history_step *step;

    if (window->n == window->room) {
        step = realloc(window->steps, (window->room + 64) * sizeof(*step));
        if (step == NULL) {
            return -ENOMEM;
        }

        window->steps = step;
        window->room += 64;
    }

    step = &window->steps[window->n];
    step->size = atomic_load(&entry->size);
    memset(&step->packed, 0, sizeof(step->packed));
    window->n++;

    return parcel_bytes_read(&step->packed, atomic_load(&entry->extent.offset),
                             atomic_load(&entry->extent.length));
}


/* Whether more of the time from one to the other is in the window than not. */
static bool
lies_in(const struct history_window *window, int64_t from_ns, int64_t to_ns)
{
    int64_t start = from_ns > window->from_ns ? from_ns : window->from_ns;
    int64_t end = to_ns < window->to_ns ? to_ns : window->to_ns;

    return end - start >= (to_ns - from_ns + 1) / 2 && end > start;
}


/* What the window covers: more, or what is the first of it. */
static void
cover(struct history_window *covered, int64_t from_ns, int64_t to_ns)
{
    bool first = covered->from_ns == covered->to_ns;

    if (first || from_ns < covered->from_ns) {
        covered->from_ns = from_ns;
    }

    if (first || to_ns > covered->to_ns) {
        covered->to_ns = to_ns;
    }
}


/* Of collect_consistently(). */
static int
window_read(void *data)
{
    int                                  rc;
    int64_t                              from, to, now;
    unsigned                             i, n;
    struct history_window               *window = data;
    struct history_window                covered = {0};
    const struct instance_history_entry *entry;

    steps_free(window);
    n = atomic_load(&instance.directory->history_count);

    for (i = 0; i < n; i++) {
        entry = entry_at(i);
        from = atomic_load(&entry->from_ns);
        to = atomic_load(&entry->to_ns);

        if (lies_in(window, from, to)) {
            rc = step_read(window, entry);
            if (rc != 0) {
                return rc;
            }

            cover(&covered, from, to);
        }
    }

    now = clock_ns(CLOCK_REALTIME);
    rc = base_file_load(&window->tail, INSTANCE_BASE_STEP);

    if (rc == 0 && lies_in(window, window->tail.realtime_ns, now)) {
        cover(&covered, window->tail.realtime_ns, now);
    } else {
        window_base_free(&window->tail);
    }

    window->covered_from_ns = covered.from_ns;
    window->covered_to_ns = covered.to_ns;

    return rc == -ENOENT ? 0 : rc;
}


int
history_read(struct history_window *window)
{
    return collect_consistently(window_read, window);
}


static int
step_unpack(const struct history_step *step, struct parcel_bytes *parcel)
{
    void *bytes;

    if (step->size == 0 || step->size > INSTANCE_PARCEL_MAX) {
        return -EBADMSG;
    }

    bytes = mmap(NULL, step->size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        return -ENOMEM;
    }

    parcel->bytes = bytes;
    parcel->n = step->size;

    return gzip_unpack(step->packed.bytes, step->packed.n, bytes, step->size);
}


static int
step_merge(const struct parcel_bytes *parcel,
           struct stack_merge *const  merges[PROFILE_KINDS])
{
    int                  rc, event = PARCEL_PROFILE;
    struct stack_merge  *merge = NULL;
    struct parcel_reader reader;
    struct parcel_sample sample;

    rc = parcel_read(&reader, parcel->bytes, parcel->n);

    while (rc == 0 && event > PARCEL_END) {
        event = parcel_next(&reader, &sample);

        if (event < 0) {
            rc = event;
        } else if (event == PARCEL_PROFILE) {
            merge = reader.kind < PROFILE_KINDS ? merges[reader.kind] : NULL;
            if (merge != NULL) {
                stack_merge_source(merge);
            }
        } else if (event == PARCEL_SAMPLE && merge != NULL) {
            rc = stack_merge_add(merge, &reader, &sample, sample.values);
        }
    }

    parcel_read_end(&reader);

    return rc;
}


int
history_merge(const struct history_window *window,
              struct stack_merge *const    merges[PROFILE_KINDS])
{
    int                 rc = 0;
    unsigned            i;
    struct parcel_bytes parcel;

    for (i = 0; rc == 0 && i < window->n; i++) {
        memset(&parcel, 0, sizeof(parcel));
        rc = step_unpack(&window->steps[i], &parcel);

        if (rc == 0) {
            rc = step_merge(&parcel, merges);
        }

        parcel_bytes_free(&parcel);

        if (rc == -EBADMSG) {
            atomic_fetch_add(&instance.directory->malformed, 1);
            rc = 0;
        }
    }

    return rc;
}
