/*
 * The function that profiles of the service are read by: under `count` stands
 * what the plug-in does. It is in a file of its own, without its callers, and
 * not to be inlined or cloned, so that it has this very name on the stack; the
 * call of the plug-in is no tail call, because the summary comes after it.
 */

#include "count.h"

#include <time.h>


static uint64_t
monotonic_ns(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


__attribute__((noinline)) uint64_t
count(const sort_plugin_t *plugin, int64_t *values, size_t length,
      number_summary_t *summary)
{
    uint64_t start, end;

    start = monotonic_ns();
    plugin->sort(values, length);
    end = monotonic_ns();

    number_summarize(values, length, summary);

    return end - start;
}
