
/*
 * Collects what all workers of the instance have counted, and makes profiles
 * of it: what was counted since the base of a window was taken.
 *
 * The sum is that of workers that live and answer, of those that left, and of
 * the totals of all that left before; so it never goes down. A worker that
 * does not answer in time is left out of the window as a whole, and one that
 * was killed takes with it what it had counted. The export thread.
 */


#ifndef NPROF_INSTANCE_COLLECT_H
#define NPROF_INSTANCE_COLLECT_H


#include "../nprof.h"
#include "../profile_types.h"
#include "peer_exchange.h"
#include "stack_merge.h"
#include "window_base.h"


/*
 * The label of samples of workers whose configuration is not the newest. Since
 * workers' start only what they have in use has it, not what they counted: else
 * the total of a stack would go from one set of labels to another at a reload,
 * and back once the worker exits, and whoever takes one scrape off the next by
 * stack and labels would count all of it twice.
 */
#define COLLECT_LABEL "state"
#define COLLECT_DRAINING "draining"

/*
 * How long an answer may take; that of a worker which gave none the last time;
 * and how much longer, where another one's time is up, as all are asked at once.
 * Nanoseconds.
 */
#define COLLECT_TIMEOUT_NS INT64_C(4000000000)
#define COLLECT_SILENT_NS INT64_C(50000000)
#define COLLECT_LATE_NS INT64_C(250000000)


/* A window that ends now. */
struct collect_window {
    /* NULL: since each worker's start. */
    const struct window_base *base;

    /* Values that can go down are what they are now, not what was added. */
    bool gauges_now;

    /* By type, and of requests; NULL where it is not wanted. All NULL: only the
       next base is. */
    struct stack_merge *merges[PROFILE_KINDS];
};


/* The totals of a worker that left. */
struct collect_left {
    uint64_t worker;
    unsigned slot;
    bool     drains;
};


struct collection {
    /* Asked already. */
    struct peer_question *question;

    /* Only that worker's; 0: all. */
    pid_t pid;

    /* What is there now, or NULL. */
    struct window_base *next;

    struct collect_window window;

    /* For the totals of workers that left: these are not labelled. */
    bool for_totals;

    /* Set by the collection: workers that answered, or left; that did not; and
       parcels that were none. */
    unsigned answered;
    unsigned unanswered;
    unsigned malformed;

    /* One had all the time that an answer may take, and gave none. */
    bool timed_out;

    /* Workers that left, and the totals of all, until collect_end(). */
    struct collect_left left[INSTANCE_SLOTS];
    unsigned            n_left;
    struct parcel_bytes totals;
    uint64_t            taken[INSTANCE_TAKEN];
};


/* Returns 0 or -errno; collect_end() is due in any case. */
int collect(struct collection *collection);

void collect_end(struct collection *collection);

/*
 * Reads what the leader changes (instance_directory.sequence) without it being
 * changed meanwhile: read() is called until that was so. Returns what it does,
 * or -EAGAIN.
 */
int collect_consistently(int (*read)(void *data), void *data);


#endif /* NPROF_INSTANCE_COLLECT_H */
