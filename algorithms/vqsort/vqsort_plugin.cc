/*
 * The sort plug-in "vqsort" 3.0.0: Highway's vectorized quicksort, with the
 * widest vectors that the machine has. The library picks them when it is
 * called, allocates nothing and throws nothing; it may be called from any
 * number of threads.
 */

#include <hwy/contrib/sort/vqsort.h>

#include "../sort_plugin.h"


namespace {

void
vqsort_values(int64_t *values, size_t count) noexcept
{
    hwy::Sorter()(values, count, hwy::SortAscending());

    /* keeps the call from becoming a jump, and this function on the stack */
    __asm__ volatile("" ::: "memory");
}

} // namespace


extern "C" __attribute__((visibility("default")))
const sort_plugin_t sort_plugin;

const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "vqsort",
    .version = "3.0.0",
    .sort = vqsort_values,
};
