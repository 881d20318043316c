
/*
 * A queue of any number of producers and one consumer, without locks: a
 * producer, the event loop above all, never waits for a thread that was
 * preempted while it held one.
 */


#ifndef NPROF_JOB_QUEUE_H
#define NPROF_JOB_QUEUE_H


#include <stdatomic.h>
#include <stddef.h>


/* Part of what is queued; in one queue at a time. */
struct job_link {
    struct job_link *next;
};

struct job_queue {
    _Atomic(struct job_link *) last;
};


/* Any thread. What was written before is visible to job_queue_take()'s. */
void job_queue_put(struct job_queue *queue, struct job_link *link);

/*
 * All that was put, oldest first, linked by next, or NULL. One thread at a
 * time.
 */
struct job_link *job_queue_take(struct job_queue *queue);


#endif /* NPROF_JOB_QUEUE_H */
