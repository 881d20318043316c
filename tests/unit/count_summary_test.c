/*
 * The summary of a sorted list, and count(), which sorts first.
 */

#include <criterion/criterion.h>

#include <stdlib.h>
#include <time.h>

#include "algorithms/sort_plugin.h"
#include "count/count.h"
#include "count/number_summary.h"


static void
check(const int64_t *sorted, size_t length, size_t distinct, int64_t min,
      int64_t max, int64_t median)
{
    number_summary_t summary;

    number_summarize(sorted, length, &summary);

    cr_assert_eq(summary.count, length);
    cr_assert_eq(summary.distinct, distinct);
    cr_assert_eq(summary.min, min);
    cr_assert_eq(summary.max, max);
    cr_assert_eq(summary.median, median);
}


Test(count_summary, lists)
{
    check((int64_t[]){5}, 1, 1, 5, 5, 5);
    check((int64_t[]){1, 2}, 2, 2, 1, 2, 1);
    check((int64_t[]){1, 2, 3}, 3, 3, 1, 3, 2);
    check((int64_t[]){1, 2, 3, 4}, 4, 4, 1, 4, 2);
    check((int64_t[]){7, 7, 7, 7, 7}, 5, 1, 7, 7, 7);
    check((int64_t[]){-3, -3, 0, 0, 9}, 5, 3, -3, 9, 0);
    check((int64_t[]){INT64_MIN, INT64_MAX}, 2, 2, INT64_MIN, INT64_MAX,
          INT64_MIN);
}


static void
reverse_after_a_while(int64_t *values, size_t length)
{
    size_t          i;
    int64_t         value;
    struct timespec pause = {0, 20000000};

    for (i = 0; i < length / 2; i++) {
        value = values[i];
        values[i] = values[length - 1 - i];
        values[length - 1 - i] = value;
    }

    (void) nanosleep(&pause, NULL);
}


Test(count_summary, count_sorts_and_measures)
{
    uint64_t            ns;
    int64_t             values[] = {3, 2, 2, 1};
    number_summary_t    summary;
    const sort_plugin_t plugin = {SORT_PLUGIN_ABI, sizeof(plugin), "reverse",
                                  "0", reverse_after_a_while};

    ns = count(&plugin, values, 4, &summary);

    cr_assert_arr_eq(values, ((int64_t[]){1, 2, 2, 3}), sizeof(values));
    cr_assert_eq(summary.distinct, 3);
    cr_assert_eq(summary.median, 2);
    cr_assert_geq(ns, 20000000);
    cr_assert_lt(ns, UINT64_C(20000000000));
}
