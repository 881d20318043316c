
/*
 * A list that producers push to and the consumer takes whole and reverses.
 */


#include "job_queue.h"


void
job_queue_put(struct job_queue *queue, struct job_link *link)
{
    link->next = atomic_load_explicit(&queue->last, memory_order_relaxed);

    /* release: pairs with the acquire of job_queue_take() */
    while (!atomic_compare_exchange_weak_explicit(&queue->last, &link->next,
                                                  link, memory_order_release,
                                                  memory_order_relaxed)) {
        /* void */
    }
}


struct job_link *
job_queue_take(struct job_queue *queue)
{
    struct job_link *link, *next, *first;

    /* acquire: pairs with the release of job_queue_put() */
    link = atomic_exchange_explicit(&queue->last, NULL, memory_order_acquire);
    first = NULL;

    while (link != NULL) {
        next = link->next;
        link->next = first;
        first = link;
        link = next;
    }

    return first;
}
