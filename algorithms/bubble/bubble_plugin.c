/*
 * The sort plug-in "bubble" 1.0.0: the textbook's bubble sort, which stops
 * when a pass has swapped nothing. O(n^2), in place, without state: any number
 * of threads may run it. It is slow on purpose; what is slow about it shall be
 * found by the profiler.
 */

#include <stdbool.h>

#include "../sort_plugin.h"


static void
bubble_sort(int64_t *values, size_t count)
{
    bool    swapped;
    size_t  i, end;
    int64_t value;

    swapped = true;

    for (end = count; swapped && end > 1; end--) {
        swapped = false;

        for (i = 1; i < end; i++) {
            if (values[i - 1] > values[i]) {
                value = values[i - 1];
                values[i - 1] = values[i];
                values[i] = value;
                swapped = true;
            }
        }
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
