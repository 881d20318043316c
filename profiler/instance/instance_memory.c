
/*
 * The directory and the file of an instance; see instance_memory.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../nprof_clock.h"
#include "instance_memory.h"


/* Bytes of the file that only serve as locks: a slot each, and one more. */
#define LOCKS_OFFSET (1ull << 50)
#define LOCK_LEADER INSTANCE_SLOTS

/* A base is of all workers, and may be larger than a parcel. */
#define BASE_MAX (1ull << 32)


struct instance instance = {.fd = -1, .slot = INSTANCE_SLOTS};


static int
instance_create(void)
{
    int   rc;
    void *memory;

    instance.fd = memfd_create("nprof-instance", MFD_CLOEXEC);
    if (instance.fd < 0) {
        return -errno;
    }

    memory = mmap(NULL, sizeof(*instance.directory), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        rc = -errno;
        close(instance.fd);
        instance.fd = -1;
        return rc;
    }

    /* nobody opens it; it would need a right to this process, too */
    (void) fchmod(instance.fd, 0600);

    instance.directory = memory;
    instance.directory->next_worker = 1;

    if (getrandom(&instance.directory->id, sizeof(instance.directory->id),
                  GRND_NONBLOCK)
        < 0) {
        instance.directory->id
            = (uint64_t) clock_ns(CLOCK_REALTIME) ^ (uint64_t) getpid() << 40;
    }

    return 0;
}


int
instance_prepare(void)
{
    if (instance.directory == NULL) {
        return instance_create();
    }

    atomic_fetch_add(&instance.directory->cycle, 1);

    return 0;
}


void
instance_count(struct instance_counts *counts)
{
    unsigned                   i, at;
    struct stat                status;
    struct instance_directory *directory = instance.directory;

    memset(counts, 0, sizeof(*counts));

    if (fstat(instance.fd, &status) == 0) {
        counts->shared_bytes = (uint64_t) status.st_blocks * 512;
    }

    for (i = 0; i < instance_slots(); i++) {
        if (atomic_load(&directory->slots[i].state) == INSTANCE_LIVE) {
            counts->draining += instance_slot_drains(&directory->slots[i]);
            counts->current += !instance_slot_drains(&directory->slots[i]);
        }
    }

    counts->history_steps = atomic_load(&directory->history_count);
    at = atomic_load(&directory->history_first);

    for (i = 0; i < counts->history_steps; i++) {
        counts->history_bytes += atomic_load(
            &directory->history[(at + i) % INSTANCE_HISTORY].extent.length);
    }
}


static struct flock
instance_lock(short type, unsigned byte)
{
    return (struct flock){
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t) (LOCKS_OFFSET + byte),
        .l_len = 1,
    };
}


/* Whether this process has the lock now. */
static bool
lock_take(unsigned byte)
{
    struct flock lock = instance_lock(F_WRLCK, byte);

    return fcntl(instance.fd, F_SETLK, &lock) == 0;
}


static void
lock_give(unsigned byte)
{
    struct flock lock = instance_lock(F_UNLCK, byte);

    (void) fcntl(instance.fd, F_SETLK, &lock);
}


/* Whether another process has it. */
static bool
lock_is_taken(unsigned byte)
{
    struct flock lock = instance_lock(F_WRLCK, byte);

    return fcntl(instance.fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}


/* The slot's lock is ours, and its worker did not give it back. */
static uint32_t
slot_lost(struct instance_slot *slot)
{
    atomic_fetch_add(&instance.directory->lost, 1);
    atomic_store(&slot->state, INSTANCE_FREE);

    return atomic_load(&slot->pid);
}


/* There are n slots to look at, or more. */
static void
slots_reach(uint32_t n)
{
    uint32_t now = instance_slots();

    while (now < n
           && !atomic_compare_exchange_weak(&instance.directory->n_slots, &now,
                                            n)) {
        /* another worker came */
    }
}


static void
slot_take(unsigned i)
{
    struct instance_slot *slot = &instance.directory->slots[i];

    atomic_store(&slot->pid, (uint32_t) getpid());
    atomic_store(&slot->id,
                 atomic_fetch_add(&instance.directory->next_worker, 1));
    atomic_store(&slot->cycle, atomic_load(&instance.directory->cycle));
    atomic_store(&slot->started_ns, clock_ns(CLOCK_REALTIME));
    atomic_store(&slot->left_length, 0);
    atomic_store(&slot->taken_ns, 0);
    memset(slot->counters, 0, sizeof(slot->counters));
    instance.slot = i;

    slots_reach(i + 1);

    /* after all the rest: others read it once they see this */
    atomic_store(&slot->state, INSTANCE_LIVE);
}


int
instance_join(void)
{
    int      rc;
    unsigned i;
    uint32_t state;

    if (instance.directory == NULL) {
        rc = instance_create();
        if (rc != 0) {
            return rc;
        }
    }

    for (i = 0; i < INSTANCE_SLOTS; i++) {
        state = atomic_load(&instance.directory->slots[i].state);

        if (state != INSTANCE_FREE || !lock_take(i)) {
            continue;
        }

        /* it may have been used meanwhile */
        if (atomic_load(&instance.directory->slots[i].state) == INSTANCE_FREE) {
            slot_take(i);
            return 0;
        }

        lock_give(i);
    }

    return -ENOSPC;
}


void
instance_leave(bool left)
{
    unsigned i = instance.slot;

    if (i == INSTANCE_SLOTS) {
        return;
    }

    instance_lead_end();
    atomic_store(&instance.directory->slots[i].state,
                 left ? INSTANCE_LEFT : INSTANCE_FREE);
    instance.slot = INSTANCE_SLOTS;
    lock_give(i);
}


void
instance_mark_left(void)
{
    atomic_store(&instance_own_slot()->state, INSTANCE_LEFT);
}


bool
instance_slot_lives(unsigned slot)
{
    return slot == instance.slot || lock_is_taken(slot);
}


void
instance_reap(void (*lost)(void *data, uint32_t pid), void *data)
{
    bool                  died;
    unsigned              i;
    uint32_t              pid;
    struct instance_slot *slot;

    for (i = 0; instance.directory != NULL && i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (i == instance.slot || atomic_load(&slot->state) != INSTANCE_LIVE
            || !lock_take(i)) {
            continue;
        }

        died = atomic_load(&slot->state) == INSTANCE_LIVE;
        pid = died ? slot_lost(slot) : 0;
        lock_give(i);

        if (died) {
            lost(data, pid);
        }
    }
}


/* Whether there is a worker of the newest configuration. */
static bool
instance_has_successor(void)
{
    unsigned                    i;
    const struct instance_slot *slot;

    for (i = 0; i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (atomic_load(&slot->state) == INSTANCE_LIVE
            && !instance_slot_drains(slot) && instance_slot_lives(i)) {
            return true;
        }
    }

    return false;
}


bool
instance_lead(void)
{
    if (instance_slot_drains(instance_own_slot()) && instance_has_successor()) {
        instance_lead_end();
        return false;
    }

    /* one's own lock is taken again at no cost */
    if (!lock_take(LOCK_LEADER)) {
        return false;
    }

    atomic_store(&instance.directory->leader, (uint32_t) getpid());

    /* the former leader died as it changed something: nobody could read */
    if (atomic_load(&instance.directory->sequence) % 2 != 0) {
        atomic_fetch_add(&instance.directory->sequence, 1);
    }

    return true;
}


void
instance_lead_end(void)
{
    uint32_t self = (uint32_t) getpid();

    if (atomic_compare_exchange_strong(&instance.directory->leader, &self, 0)) {
        lock_give(LOCK_LEADER);
    }
}


uint64_t
instance_area_offset(unsigned slot, unsigned area)
{
    return (uint64_t) (slot * INSTANCE_AREAS + area) * INSTANCE_PARCEL_MAX;
}


uint64_t
instance_left_offset(unsigned slot)
{
    return instance_area_offset(INSTANCE_SLOTS, 0)
           + (uint64_t) slot * INSTANCE_PARCEL_MAX;
}


uint64_t
instance_totals_offset(unsigned place)
{
    return instance_left_offset(INSTANCE_SLOTS)
           + (uint64_t) place * INSTANCE_PARCEL_MAX;
}


uint64_t
instance_base_offset(enum instance_base_role role, unsigned place)
{
    return instance_totals_offset(2) + (2 * role + place) * BASE_MAX;
}


uint64_t
instance_history_offset(void)
{
    return instance_base_offset(INSTANCE_BASES, 0);
}


uint64_t
instance_other_place(const struct instance_extent *extent, uint64_t first,
                     uint64_t second)
{
    return atomic_load(&extent->offset) == first ? second : first;
}


int
instance_write(uint64_t offset, const void *data, size_t n)
{
    ssize_t done;

    while (n > 0) {
        done = pwrite(instance.fd, data, n, (off_t) offset);

        if (done <= 0) {
            if (done < 0 && errno == EINTR) {
                continue;
            }

            return done < 0 ? -errno : -EIO;
        }

        data = (const char *) data + done;
        offset += (uint64_t) done;
        n -= (size_t) done;
    }

    return 0;
}


int
instance_read(uint64_t offset, void *data, size_t n)
{
    ssize_t done;

    while (n > 0) {
        done = pread(instance.fd, data, n, (off_t) offset);

        if (done <= 0) {
            if (done < 0 && errno == EINTR) {
                continue;
            }

            return done < 0 ? -errno : -EIO;
        }

        data = (char *) data + done;
        offset += (uint64_t) done;
        n -= (size_t) done;
    }

    return 0;
}


void
instance_free(uint64_t offset, uint64_t n)
{
    (void) fallocate(instance.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t) offset, (off_t) n);
}
