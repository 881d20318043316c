/*
 * A plug-in for tests of the loader. What it says of itself is given by the
 * compiler's -D: PLUGIN_VERSION, and what is to be wrong with it. It sorts by
 * insertion.
 */

#include "sort_plugin.h"


#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1"
#endif

#ifndef PLUGIN_ABI
#define PLUGIN_ABI SORT_PLUGIN_ABI
#endif

#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(sort_plugin_t)
#endif

#ifndef PLUGIN_NAME
#define PLUGIN_NAME "test"
#endif

#ifndef PLUGIN_SORT
#define PLUGIN_SORT insertion_sort
#endif

#ifndef PLUGIN_SYMBOL
#define PLUGIN_SYMBOL sort_plugin
#endif


void insertion_sort(int64_t *values, size_t count);

extern const sort_plugin_t PLUGIN_SYMBOL;


void
insertion_sort(int64_t *values, size_t count)
{
    size_t  i, j;
    int64_t value;

    for (i = 1; i < count; i++) {
        value = values[i];
        for (j = i; j > 0 && values[j - 1] > value; j--) {
            values[j] = values[j - 1];
        }
        values[j] = value;
    }
}


const sort_plugin_t PLUGIN_SYMBOL = {
    .abi = PLUGIN_ABI,
    .size = PLUGIN_SIZE,
    .name = PLUGIN_NAME,
    .version = PLUGIN_VERSION,
    .sort = PLUGIN_SORT,
};
