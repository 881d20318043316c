/*
 * Memory of lists that were sorted, kept for the lists of the next requests:
 * to get it from the system anew costs more than to parse into it. One shelf
 * per process, for all threads; a mutex is held for a few instructions. What
 * it holds is bounded: VALUE_SHELF_LISTS lists of VALUE_SHELF_CAPACITY numbers
 * at most, 4 MB. Free of nginx.
 */


#ifndef VALUE_SHELF_H
#define VALUE_SHELF_H


#include <stddef.h>
#include <stdint.h>


#define VALUE_SHELF_LISTS 4
#define VALUE_SHELF_CAPACITY (128 * 1024)


/*
 * Takes the list that was put there last. It is of malloc(), with room for
 * *capacity numbers, and the caller's; its contents are undefined. NULL, and
 * *capacity 0, if there is none. Any thread.
 */
int64_t *value_shelf_take(size_t *capacity);


/*
 * Keeps a list of malloc() with room for capacity numbers, or frees it if it
 * is too large or there are enough. NULL is allowed. Any thread.
 */
void value_shelf_put(int64_t *values, size_t capacity);


/* Frees all that is kept. Any thread; the shelf can be used on. */
void value_shelf_clear(void);


#endif /* VALUE_SHELF_H */
