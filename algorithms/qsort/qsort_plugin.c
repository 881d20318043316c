/*
 * The sort plug-in "qsort" 2.0.0: the C library's qsort(), which allocates a
 * buffer to merge in where that is more than a kilobyte. Without state of our
 * own: any number of threads may run it.
 */

#include <stdlib.h>

#include "../sort_plugin.h"


static int
compare_values(const void *one, const void *two)
{
    int64_t a, b;

    a = *(const int64_t *) one;
    b = *(const int64_t *) two;

    /* a difference would overflow */
    return (a > b) - (a < b);
}


static void
qsort_values(int64_t *values, size_t count)
{
    qsort(values, count, sizeof(int64_t), compare_values);

    /* keeps the call from becoming a jump, and this function on the stack */
    __asm__ volatile("" ::: "memory");
}


extern __attribute__((visibility("default"))) const sort_plugin_t sort_plugin;

const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "qsort",
    .version = "2.0.0",
    .sort = qsort_values,
};
