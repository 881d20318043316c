
/*
 * Workers ask each other for their profiles so far, themselves included.
 *
 * The asking side takes a free one of its areas and says there whom it asks and
 * for what; the profiler thread of that worker writes a parcel to the area's
 * place in the file and says that it is there. No lock, and nobody waits but
 * the export thread that asked, for so long and no longer: a worker that is
 * stopped, or whose answer makes no sense, is left out and counted. An answer
 * that comes too late is thrown away; its area is used again once it is there,
 * or its worker is dead.
 */


#ifndef NPROF_PEER_EXCHANGE_H
#define NPROF_PEER_EXCHANGE_H


#include <stdbool.h>
#include <stdint.h>

#include "instance_memory.h"
#include "parcel_file.h"


/* No area was free: the worker is to be asked again. */
#define PEER_NO_AREA INSTANCE_AREAS


struct peer_ask {
    uint64_t worker;
    uint32_t pid;
    uint16_t slot;
    uint8_t  area;

    /* Its configuration is not the newest. */
    bool drains;

    /* Set by who takes the answer: it was used. */
    bool used;
};


/* A question to all workers; all zero is none. */
struct peer_question {
    uint32_t types;

    unsigned        n;
    struct peer_ask asks[INSTANCE_SLOTS];
};


/* Before the first question of this worker. */
void peer_begin(void);

/* This worker exits: from now on nobody waits for an answer beyond that time.
   The event loop. */
void peer_limit_waits(int64_t until_ns);

/*
 * Asks all workers, or the one of that pid if it is not 0, for a set of types of
 * profiles. Those that find no area are asked by peer_take(). Event loop or
 * export thread.
 */
void peer_ask_all(struct peer_question *question, uint32_t types, pid_t pid);

/*
 * Waits for an answer until a time of CLOCK_MONOTONIC, and reads it. Returns 0,
 * -ETIMEDOUT, -ESRCH (the worker is gone), or what went wrong. Export thread.
 */
int peer_take(struct peer_question *question, unsigned i, int64_t until_ns,
              struct parcel_bytes *answer);

/* Nobody wants the answers that were not taken. Export thread. */
void peer_drop(struct peer_question *question);

/* Takes the questions to the worker of a slot, this one, that are there by now.
   Profiler thread, before it takes in what was sampled. */
void peer_accept_all(unsigned own);

/*
 * Answers the questions that were taken: write() makes the parcel of these
 * types, and returns 0 or -errno. Profiler thread.
 */
void peer_answer_all(unsigned own,
                     int (*write)(void *data, uint32_t types,
                                  struct parcel_file *file),
                     void *data);


#endif /* NPROF_PEER_EXCHANGE_H */
