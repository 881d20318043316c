/*
 * The sort plug-in "bubble" 1.0.0: bubble sort, which stops when a pass has
 * swapped nothing. O(n^2), in place, without state: any number of threads may
 * run it. It is slow on purpose, by its algorithm alone: a comparison is a
 * conditional move, since a branch that nobody can predict would cost four
 * times as much, and hide what the profiler shall find.
 */

#include <stdbool.h>

#include "../sort_plugin.h"


static void
bubble_sort(int64_t *values, size_t count)
{
    bool    swapped;
    size_t  i, end;
    int64_t next, largest;

    swapped = true;

    for (end = count; swapped && end > 1; end--) {
        swapped = false;
        largest = values[0];

        /* the largest value so far rises to the end of the pass */
        for (i = 1; i < end; i++) {
            next = values[i];
            swapped |= next < largest;
            values[i - 1] = next < largest ? next : largest;
            largest = next < largest ? largest : next;
        }

        values[end - 1] = largest;
    }
}


extern __attribute__((visibility("default"))) const sort_plugin_t sort_plugin;

const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "bubble",
    .version = "1.0.0",
    .sort = bubble_sort,
};
