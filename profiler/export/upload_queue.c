
/*
 * The queue of one destination; see upload_queue.h.
 */


#include <stdbool.h>
#include <stdlib.h>

#include "upload_queue.h"


void
upload_item_free(struct upload_item *item)
{
    free(item->profile);
    free(item->event);
    free(item->query);
    free(item);
}


static bool
has_room(const struct upload_queue *queue, const struct upload_item *item)
{
    return queue->n < UPLOAD_QUEUE_MAX
           && item->len <= UPLOAD_QUEUE_BYTES - queue->bytes;
}


static void
count_in(struct upload_queue *queue, const struct upload_item *item)
{
    queue->n++;
    queue->bytes += item->len;
}


unsigned
upload_queue_put(struct upload_queue *queue, struct upload_item *item)
{
    unsigned             dropped;
    struct upload_item **last;

    if (item->len > UPLOAD_QUEUE_BYTES) {
        upload_item_free(item);
        return 1;
    }

    for (dropped = 0; !has_room(queue, item); dropped++) {
        upload_item_free(upload_queue_take(queue));
    }

    for (last = &queue->first; *last != NULL; last = &(*last)->next) {
    }

    *last = item;
    item->next = NULL;
    count_in(queue, item);

    return dropped;
}


unsigned
upload_queue_return(struct upload_queue *queue, struct upload_item *item)
{
    if (!has_room(queue, item)) {
        upload_item_free(item);
        return 1;
    }

    item->next = queue->first;
    queue->first = item;
    count_in(queue, item);

    return 0;
}


struct upload_item *
upload_queue_take(struct upload_queue *queue)
{
    struct upload_item *item;

    item = queue->first;

    if (item != NULL) {
        queue->first = item->next;
        queue->n--;
        queue->bytes -= item->len;
    }

    return item;
}
