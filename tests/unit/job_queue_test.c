/*
 * The queue of jobs: nothing lost, nothing twice, each producer's in its order.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "job_queue.h"


#define PRODUCERS 4
#define JOBS 200000


/* A link and what a job carries, written before it is put. */
struct numbered_job {
    struct job_link link;
    unsigned        producer;
    unsigned        number;
};

struct producer {
    struct job_queue    *queue;
    struct numbered_job *jobs;
    unsigned             index;
    pthread_t            thread;
};


Test(job_queue, an_empty_queue_gives_nothing)
{
    struct job_queue queue = {0};

    cr_expect_null(job_queue_take(&queue));
    cr_expect_null(job_queue_take(&queue));
}


Test(job_queue, the_oldest_comes_first_and_a_link_can_be_put_again)
{
    unsigned            i, round;
    struct job_link    *link;
    struct job_queue    queue = {0};
    struct numbered_job jobs[10];

    for (round = 0; round < 3; round++) {
        for (i = 0; i < 10; i++) {
            jobs[i].number = i;
            job_queue_put(&queue, &jobs[i].link);
        }

        link = job_queue_take(&queue);

        for (i = 0; i < 10; i++) {
            cr_assert_eq(((struct numbered_job *) link)->number, i);
            link = link->next;
        }

        cr_assert_null(link);
        cr_assert_null(job_queue_take(&queue));
    }
}


static void *
produce(void *data)
{
    unsigned         i;
    struct producer *producer = data;

    for (i = 0; i < JOBS; i++) {
        producer->jobs[i].producer = producer->index;
        producer->jobs[i].number = i;
        job_queue_put(producer->queue, &producer->jobs[i].link);
    }

    return NULL;
}


Test(job_queue, several_producers_lose_nothing, .timeout = 60)
{
    bool                 in_order = true;
    unsigned             i, taken = 0, next[PRODUCERS] = {0};
    struct job_link     *link;
    struct producer      producers[PRODUCERS];
    struct job_queue     queue = {0};
    struct numbered_job *job;

    for (i = 0; i < PRODUCERS; i++) {
        producers[i].queue = &queue;
        producers[i].index = i;
        producers[i].jobs = calloc(JOBS, sizeof(producers[i].jobs[0]));
        cr_assert_eq(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
            0);
    }

    while (taken < PRODUCERS * JOBS) {
        link = job_queue_take(&queue);

        if (link == NULL) {
            sched_yield();
        }

        for (/* void */; link != NULL; link = link->next) {
            job = (struct numbered_job *) link;
            in_order &= job->number == next[job->producer]++;
            taken++;
        }
    }

    for (i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        cr_expect_eq(next[i], JOBS);
        free(producers[i].jobs);
    }

    cr_expect(in_order);
    cr_expect_null(job_queue_take(&queue));
}
