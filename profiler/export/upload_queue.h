
/*
 * Profiles that wait for their upload to one destination: few, and the oldest
 * goes where there is no room. Any thread, one at a time.
 */


#ifndef NPROF_UPLOAD_QUEUE_H
#define NPROF_UPLOAD_QUEUE_H


#include <stddef.h>
#include <stdint.h>


/* Profiles, and bytes of them: Pyroscope gets four types of three versions. */
#define UPLOAD_QUEUE_MAX 16
#define UPLOAD_QUEUE_BYTES (16 * 1024 * 1024)


/* A profile on its way. All is malloc'ed and its own. */
struct upload_item {
    struct upload_item *next;

    /* gzipped profile.proto */
    uint8_t *profile;
    size_t   len;

    /* Of Datadog: event.json, else NULL. */
    char *event;

    /* What comes after the destination's URL, or NULL. */
    char *query;

    /* Answers so far that asked for another try. */
    unsigned rejections;
};


struct upload_queue {
    struct upload_item *first;
    uint32_t            n;
    size_t              bytes;
};


void upload_item_free(struct upload_item *item);

/*
 * Adds the item, which is the queue's from now on, as its newest. Returns how
 * many were dropped for that, the item itself if it is larger than all may be.
 */
unsigned upload_queue_put(struct upload_queue *queue, struct upload_item *item);

/* Puts back what take() gave, as the oldest. Returns 1 if there was no room for
   it and it is gone, else 0. */
unsigned upload_queue_return(struct upload_queue *queue,
                             struct upload_item  *item);

/* The oldest, which is the caller's, or NULL. */
struct upload_item *upload_queue_take(struct upload_queue *queue);


#endif /* NPROF_UPLOAD_QUEUE_H */
