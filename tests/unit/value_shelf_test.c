/* The memory that count/value_shelf.c keeps, and what it does not keep. */

#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>

#include "count/value_shelf.h"


static int64_t *
list_of(size_t capacity)
{
    int64_t *values;

    values = malloc(capacity * sizeof(int64_t));
    cr_assert_not_null(values);

    return values;
}


Test(value_shelf, empty)
{
    size_t capacity;

    capacity = 7;
    cr_assert_null(value_shelf_take(&capacity));
    cr_assert_eq(capacity, 0);
    value_shelf_put(NULL, 100);
    cr_assert_null(value_shelf_take(&capacity));
}


Test(value_shelf, gives_back_the_last_first)
{
    size_t   capacity;
    int64_t *one, *two;

    one = list_of(10);
    two = list_of(20);
    value_shelf_put(one, 10);
    value_shelf_put(two, 20);

    cr_assert_eq(value_shelf_take(&capacity), two);
    cr_assert_eq(capacity, 20);
    cr_assert_eq(value_shelf_take(&capacity), one);
    cr_assert_eq(capacity, 10);
    cr_assert_null(value_shelf_take(&capacity));

    free(one);
    free(two);
}


Test(value_shelf, keeps_no_more_than_it_says)
{
    size_t   i, capacity;
    int64_t *values;

    value_shelf_put(list_of(VALUE_SHELF_CAPACITY + 1),
                    VALUE_SHELF_CAPACITY + 1);
    cr_assert_null(value_shelf_take(&capacity));

    for (i = 0; i < 2 * VALUE_SHELF_LISTS; i++) {
        value_shelf_put(list_of(VALUE_SHELF_CAPACITY), VALUE_SHELF_CAPACITY);
    }

    for (i = 0; (values = value_shelf_take(&capacity)) != NULL; i++) {
        cr_assert_eq(capacity, VALUE_SHELF_CAPACITY);
        free(values);
    }
    cr_assert_eq(i, VALUE_SHELF_LISTS);
}


Test(value_shelf, clear)
{
    size_t capacity;

    value_shelf_put(list_of(10), 10);
    value_shelf_put(list_of(10), 10);
    value_shelf_clear();
    cr_assert_null(value_shelf_take(&capacity));
    value_shelf_clear();
}


/* Takes, marks and puts back; no list is at two threads at a time. */
static void *
use_often(void *data)
{
    size_t   i, k, capacity, wrong;
    int64_t  mark;
    int64_t *values;

    mark = *(int64_t *) data;
    wrong = 0;

    for (i = 0; i < 20000; i++) {
        values = value_shelf_take(&capacity);
        if (values == NULL) {
            capacity = 64;
            values = malloc(capacity * sizeof(int64_t));
            if (values == NULL) {
                return data;
            }
        }

        for (k = 0; k < capacity; k++) {
            values[k] = mark;
        }
        for (k = 0; k < capacity; k++) {
            wrong += values[k] != mark;
        }

        value_shelf_put(values, capacity);
    }

    return wrong ? data : NULL;
}


Test(value_shelf, threads)
{
    size_t    i;
    void     *wrong;
    int64_t   marks[2 * VALUE_SHELF_LISTS];
    pthread_t threads[2 * VALUE_SHELF_LISTS];

    for (i = 0; i < 2 * VALUE_SHELF_LISTS; i++) {
        marks[i] = (int64_t) i;
        cr_assert_eq(pthread_create(&threads[i], NULL, use_often, &marks[i]),
                     0);
    }

    for (i = 0; i < 2 * VALUE_SHELF_LISTS; i++) {
        cr_assert_eq(pthread_join(threads[i], &wrong), 0);
        cr_assert_null(wrong);
    }

    value_shelf_clear();
}
