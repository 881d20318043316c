/*
 * The summary of a sorted list: one pass for the distinct values, and reads at
 * three places.
 */

#include "number_summary.h"


void
number_summarize(const int64_t *sorted, size_t count, number_summary_t *summary)
{
    size_t i, distinct;

    distinct = 1;

    for (i = 1; i < count; i++) {
        distinct += (sorted[i] != sorted[i - 1]);
    }

    summary->count = count;
    summary->distinct = distinct;
    summary->min = sorted[0];
    summary->max = sorted[count - 1];
    summary->median = sorted[(count - 1) / 2];
}
