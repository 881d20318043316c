
/*
 * What the workers of an instance share: a directory of them in memory, and a
 * memory file for what is too large for it (snapshots, totals of workers that
 * left, history).
 *
 * Both are made by the master before it forks, have no name, and pass to
 * workers by fork only: no other user, and no other nginx, reaches them. They
 * live through reloads; a binary upgrade makes new ones. Where there was no
 * master to make them, a process has an instance of its own.
 *
 * Nothing here waits for another process. What ties a process to its slot, and
 * one to leadership, is a record lock of the kernel on a byte of the file, which
 * ends with the process however that ends; so nobody has to guess from a pid
 * who is alive. Record locks belong to a process and go when any descriptor of
 * the file is closed: it is opened once, and never closed in a worker.
 */


#ifndef NPROF_INSTANCE_MEMORY_H
#define NPROF_INSTANCE_MEMORY_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* Workers at one time: those that drain, and those that left within the last
   seconds, included. Slots that were never used have no memory, and nobody looks
   at them. */
#define INSTANCE_SLOTS 1024

/* Answers that a worker can wait for at one time. */
#define INSTANCE_AREAS 16

/*
 * How long what a worker left stays in its slot once the leader took it over:
 * longer than whoever was collecting then needs to look there, since the totals
 * that he has read are older. Nanoseconds.
 */
#define INSTANCE_TAKEN_NS INT64_C(10000000000)

/* The most of one answer, and of the totals of one worker, bytes. */
#define INSTANCE_PARCEL_MAX (16u << 20)

/* Workers whose totals were taken over, remembered by id: those that still have
   a slot at least. */
#define INSTANCE_TAKEN 1024

/* Snapshots of the history that are kept at most, whatever their size. */
#define INSTANCE_HISTORY 2048

/* Counters of a worker that all others can read. */
#define INSTANCE_COUNTERS 192


enum instance_slot_state {
    INSTANCE_FREE = 0,

    /* A worker has it: its process holds the slot's lock. */
    INSTANCE_LIVE,

    /* The worker left, and its totals are in the file. */
    INSTANCE_LEFT
};


/*
 * A place for one answer in the file. word says in whose turn it is, and while
 * it is asked for, of whom and what (peer_exchange.c); length is the answer's,
 * stored before word says that it is there.
 */
struct instance_area {
    _Atomic uint64_t word;
    _Atomic uint64_t length;
};


/* Stored by the worker that holds the slot, but where it says otherwise. */
struct instance_slot {
    _Atomic uint32_t state;
    _Atomic uint32_t pid;

    /* Of the worker, never used again; and the configuration that it has. */
    _Atomic uint64_t id;
    _Atomic uint64_t cycle;

    /* CLOCK_REALTIME, nanoseconds. */
    _Atomic int64_t started_ns;

    /* The futex words of its threads; others wake them. */
    _Atomic uint32_t profiler_wake;
    _Atomic uint32_t export_wake;

    /* Of its totals, once it left. */
    _Atomic uint64_t left_length;

    /* When the leader took them over, CLOCK_MONOTONIC, or 0. It frees the slot
       INSTANCE_TAKEN_NS later. */
    _Atomic int64_t taken_ns;

    /* What it asks of others; they store, too. */
    struct instance_area areas[INSTANCE_AREAS];

    /* worker_counters.h; stored by its profiler thread. */
    _Atomic uint64_t counters[INSTANCE_COUNTERS];
};


/* A part of the file. */
struct instance_extent {
    _Atomic uint64_t offset;
    _Atomic uint64_t length;
};


/* What the leader keeps in the file, for the next one to go on with. */
enum instance_base_role {
    /* Of the history's last snapshot, and of the last period. */
    INSTANCE_BASE_STEP = 0,
    INSTANCE_BASE_PERIOD,
    INSTANCE_BASES
};

struct instance_base {
    struct instance_extent extent;
    _Atomic int64_t        realtime_ns;
    _Atomic int64_t        monotonic_ns;
};


/* A snapshot of the history: what was added from one time to another. */
struct instance_history_entry {
    struct instance_extent extent;

    /* Of the parcel that is compressed in it. */
    _Atomic uint64_t size;

    /* CLOCK_REALTIME, nanoseconds. */
    _Atomic int64_t from_ns;
    _Atomic int64_t to_ns;
};


struct instance_directory {
    /* Random, of this instance. */
    uint64_t id;

    /* The newest configuration: workers of an older one drain. The master's. */
    _Atomic uint64_t cycle;

    _Atomic uint64_t next_worker;

    /* The leader's pid, 0 if there is none; to be shown only. */
    _Atomic uint32_t leader;

    /*
     * Odd while the leader changes what is below, which takes no call: whoever
     * reads it, and what it refers to in the file, compares before and after.
     */
    _Atomic uint64_t sequence;

    /* Totals of workers that left, and the ids of the last of them. */
    struct instance_extent totals;
    _Atomic uint64_t       taken;
    _Atomic uint64_t       taken_ids[INSTANCE_TAKEN];

    /* The bases of the windows that the leader has open. */
    struct instance_base bases[INSTANCE_BASES];

    /* A ring: entries from history_first on, history_count of them. */
    _Atomic uint32_t              history_first;
    _Atomic uint32_t              history_count;
    struct instance_history_entry history[INSTANCE_HISTORY];

    /* Periods that were closed. */
    _Atomic uint64_t periods;

    /* Workers that went without handing over. */
    _Atomic uint64_t lost;

    /* Steps of the history that found no room, or no memory. */
    _Atomic uint64_t history_dropped;

    /* Profiles that were stored on disk, or could not be. */
    _Atomic uint64_t stored;
    _Atomic uint64_t store_errors;

    /* Of profiles that were there once the last period was stored. */
    _Atomic uint64_t store_bytes;

    /* Answers that did not come in time, and parcels that were no such. */
    _Atomic uint64_t unanswered;
    _Atomic uint64_t malformed;

    /* Slots that were ever used: the first so many. */
    _Atomic uint32_t     n_slots;
    struct instance_slot slots[INSTANCE_SLOTS];
};


struct instance {
    struct instance_directory *directory;
    int                        fd;

    /* This worker's, or INSTANCE_SLOTS. */
    unsigned slot;
};


/* Of this process. The directory is NULL where there is none. */
extern struct instance instance;


struct instance_counts {
    /* Workers of the newest configuration, and others. */
    unsigned current;
    unsigned draining;

    unsigned history_steps;
    uint64_t history_bytes;

    /* Memory of the file, the history's included. */
    uint64_t shared_bytes;
};


/* Counts what there is now. Any thread. */
void instance_count(struct instance_counts *counts);


/*
 * In the master, before it forks: makes the instance, or says that there is a
 * new configuration. Returns 0 or -errno.
 */
int instance_prepare(void);

/*
 * Takes a slot for this process, which makes an instance of its own if it has
 * none. Returns 0 or -errno (-ENOSPC: no slot is free). The event loop.
 */
int instance_join(void);

/* Gives the slot back; where left is true the totals stay until the leader took
   them over. The event loop, once our threads have ended. */
void instance_leave(bool left);

/* How many slots there are to look at. */
static inline unsigned
instance_slots(void)
{
    return atomic_load(&instance.directory->n_slots);
}

static inline struct instance_slot *
instance_own_slot(void)
{
    return &instance.directory->slots[instance.slot];
}

/* The totals are in the file, and this process is about to end with threads
   that still use its slot. The event loop. */
void instance_mark_left(void);

/* Whether the worker that has the slot still lives. Any thread. */
bool instance_slot_lives(unsigned slot);

/* Whether a worker's configuration is not the newest one. */
static inline bool
instance_slot_drains(const struct instance_slot *slot)
{
    return atomic_load(&slot->cycle) < atomic_load(&instance.directory->cycle);
}

/*
 * Frees the slots of workers that died. Calls lost for each. Export thread, or
 * event loop while there is none.
 */
void instance_reap(void (*lost)(void *data, uint32_t pid), void *data);

/*
 * Whether this worker leads: tries to, where nobody does. One that drains leads
 * only where all do. The export thread.
 */
bool instance_lead(void);

/* Lets another one lead. */
void instance_lead_end(void);


/* Places in the file. Sizes: INSTANCE_PARCEL_MAX, or more for the last. */
uint64_t instance_area_offset(unsigned slot, unsigned area);
uint64_t instance_left_offset(unsigned slot);
uint64_t instance_totals_offset(unsigned place);
uint64_t instance_base_offset(enum instance_base_role role, unsigned place);
uint64_t instance_history_offset(void);

/* That of the two places which the extent, at one of them, is not. */
uint64_t instance_other_place(const struct instance_extent *extent,
                              uint64_t first, uint64_t second);

/* All of it, or -errno. */
int instance_write(uint64_t offset, const void *data, size_t n);
int instance_read(uint64_t offset, void *data, size_t n);

/* Gives the memory of a part of the file back. */
void instance_free(uint64_t offset, uint64_t n);


#endif /* NPROF_INSTANCE_MEMORY_H */
