
/*
 * What the processes of an instance share of its uploads: the instance's id,
 * the numbers of its profiles, and what became of them. Made in the master,
 * inherited by all workers, kept over reloads; a binary upgrade makes a new one.
 *
 * Everything in it is atomic. As a rule one process uploads, but while leaders
 * change there may be two.
 */


#ifndef NPROF_UPLOAD_SHARED_H
#define NPROF_UPLOAD_SHARED_H


#include <stdatomic.h>
#include <stdint.h>
#include <uuid/uuid.h>

#include "../nprof.h"


/* Destinations; each keeps its counters over reloads, by its name. */
#define UPLOAD_TARGETS_MAX NPROF_TARGETS_MAX

/* And the Agent, where traces go. */
#define UPLOAD_RESULTS_MAX (UPLOAD_TARGETS_MAX + 1)

/* Versions of which profiles are numbered; those after them share a number. */
#define UPLOAD_VERSIONS_MAX 64

#define UPLOAD_NAME_MAX 255


enum upload_state {
    UPLOAD_UNTRIED = 0,
    UPLOAD_WORKS,
    UPLOAD_FAILS
};


struct upload_results {
    /* Of the destination; "" while it is free. The master's. */
    char name[UPLOAD_NAME_MAX + 1];

    /* Profiles by what became of them: taken; not wanted (4xx and such); given
       up for lack of room, of time, or after too many failures. */
    _Atomic uint64_t sent;
    _Atomic uint64_t refused;
    _Atomic uint64_t dropped;

    /* Attempts that failed and are made again. */
    _Atomic uint64_t retried;

    /* Bytes of requests that were taken. */
    _Atomic uint64_t bytes;

    /* Profiles that wait. */
    _Atomic uint64_t queued;

    /* The last answer's HTTP status, 0 if there was none to the last attempt;
       an enum upload_state. */
    _Atomic uint32_t status;
    _Atomic uint32_t state;
};


struct upload_shared {
    uuid_t instance;

    struct {
        /* A hash of the version; 0 while it is free. */
        _Atomic uint64_t version;
        _Atomic uint64_t next;
    } sequences[UPLOAD_VERSIONS_MAX];

    struct upload_results results[UPLOAD_RESULTS_MAX];
};


/* The instance's, made at the first call; NULL if memory lacks. The first call
   is in the master. */
struct upload_shared *upload_shared_get(void);

/* The number of the next profile of that version, from 0. Any thread. */
uint64_t upload_shared_sequence(struct upload_shared *shared,
                                const char           *version);

/*
 * The counters of the destination of that name, those of before if it had any;
 * in_use has a bit for each that is not to be reused, and gets this one's. In
 * the master.
 */
struct upload_results *upload_shared_results(struct upload_shared *shared,
                                             const char           *name,
                                             uint32_t             *in_use);


#endif /* NPROF_UPLOAD_SHARED_H */
