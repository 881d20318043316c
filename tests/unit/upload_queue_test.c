/*
 * The queue of uploads: bounded in number and bytes, the oldest goes.
 */

#include <criterion/criterion.h>

#include <stdlib.h>

#include "export/upload_queue.h"


static struct upload_queue queue;


static struct upload_item *
item(unsigned number, size_t len)
{
    struct upload_item *made = calloc(1, sizeof(*made));

    cr_assert_not_null(made);
    made->rejections = number;
    made->len = len;

    return made;
}


static void
expect(unsigned first, unsigned last)
{
    unsigned            number;
    struct upload_item *taken;

    for (number = first; number <= last; number++) {
        taken = upload_queue_take(&queue);
        cr_assert_not_null(taken, "no %u", number);
        cr_assert_eq(taken->rejections, number, "%u instead of %u",
                     taken->rejections, number);
        upload_item_free(taken);
    }

    cr_assert_null(upload_queue_take(&queue));
    cr_assert_eq(queue.n, 0);
    cr_assert_eq(queue.bytes, 0);
}


Test(upload_queue, keeps_the_order)
{
    unsigned i;

    for (i = 1; i <= UPLOAD_QUEUE_MAX; i++) {
        cr_assert_eq(upload_queue_put(&queue, item(i, 10)), 0);
    }

    expect(1, UPLOAD_QUEUE_MAX);
}


Test(upload_queue, drops_the_oldest)
{
    unsigned i;

    for (i = 1; i <= UPLOAD_QUEUE_MAX; i++) {
        upload_queue_put(&queue, item(i, 10));
    }

    cr_assert_eq(upload_queue_put(&queue, item(i, 10)), 1);
    expect(2, UPLOAD_QUEUE_MAX + 1);
}


Test(upload_queue, is_bounded_in_bytes)
{
    upload_queue_put(&queue, item(1, UPLOAD_QUEUE_BYTES / 4));
    upload_queue_put(&queue, item(2, UPLOAD_QUEUE_BYTES / 4));
    upload_queue_put(&queue, item(3, UPLOAD_QUEUE_BYTES / 4));

    cr_assert_eq(upload_queue_put(&queue, item(4, UPLOAD_QUEUE_BYTES * 3 / 4)),
                 2);
    expect(3, 4);
}


Test(upload_queue, refuses_what_never_fits)
{
    upload_queue_put(&queue, item(1, 10));
    cr_assert_eq(upload_queue_put(&queue, item(2, UPLOAD_QUEUE_BYTES + 1)), 1);
    expect(1, 1);
}


Test(upload_queue, takes_back_as_the_oldest)
{
    unsigned            i;
    struct upload_item *first;

    upload_queue_put(&queue, item(1, 10));
    upload_queue_put(&queue, item(2, 10));
    first = upload_queue_take(&queue);
    cr_assert_eq(upload_queue_return(&queue, first), 0);
    expect(1, 2);

    /* while it was away the queue became full: it is the one to go */
    first = item(1, 10);

    for (i = 2; i < 2 + UPLOAD_QUEUE_MAX; i++) {
        upload_queue_put(&queue, item(i, 10));
    }

    cr_assert_eq(upload_queue_return(&queue, first), 1);
    expect(2, UPLOAD_QUEUE_MAX + 1);
}
