/*
 * The shelf of value_shelf.h: a stack, so that the list whose memory is most
 * likely still in a cache is used first.
 */

#include "value_shelf.h"

#include <pthread.h>
#include <stdlib.h>


typedef struct {
    int64_t *values;
    size_t   capacity;
} kept_list_t;


static pthread_mutex_t shelf_mutex = PTHREAD_MUTEX_INITIALIZER;

/* protected by shelf_mutex */
static kept_list_t shelf[VALUE_SHELF_LISTS];
static size_t      shelf_count;


int64_t *
value_shelf_take(size_t *capacity)
{
    kept_list_t kept;

    kept.values = NULL;
    kept.capacity = 0;

    (void) pthread_mutex_lock(&shelf_mutex);

    if (shelf_count > 0) {
        kept = shelf[--shelf_count];
    }

    (void) pthread_mutex_unlock(&shelf_mutex);

    *capacity = kept.capacity;

    return kept.values;
}


void
value_shelf_put(int64_t *values, size_t capacity)
{
    if (values == NULL) {
        return;
    }

    if (capacity <= VALUE_SHELF_CAPACITY) {
        (void) pthread_mutex_lock(&shelf_mutex);

        if (shelf_count < VALUE_SHELF_LISTS) {
            shelf[shelf_count].values = values;
            shelf[shelf_count].capacity = capacity;
            shelf_count++;
            values = NULL;
        }

        (void) pthread_mutex_unlock(&shelf_mutex);
    }

    free(values);
}


void
value_shelf_clear(void)
{
    size_t   capacity;
    int64_t *values;

    while ((values = value_shelf_take(&capacity)) != NULL) {
        free(values);
    }
}
