/*
 * The work of the service: sort a list with a plug-in and sum it up. Free of
 * nginx. Any thread may call it, several at once with lists of their own.
 */


#ifndef COUNT_H
#define COUNT_H


#include <stddef.h>
#include <stdint.h>

#include "number_summary.h"
#include "sort_plugin.h"


/*
 * Sorts the values in place, length of them, at least one, and summarizes
 * them. Returns the time that the sort took, in nanoseconds of the monotonic
 * clock. On the stack it stands right above the function of the plug-in.
 */
uint64_t count(const sort_plugin_t *plugin, int64_t *values, size_t length,
               number_summary_t *summary);


#endif /* COUNT_H */
