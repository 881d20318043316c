/*
 * What windows are measured from.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "instance/window_base.h"


Test(window_base, sums_are_found_once)
{
    uint64_t           i;
    int64_t            values[4], row[2];
    struct window_base base = {0};
    struct base_sums   sums;

    const struct base_source *last;

    window_base_source(&base, 5, 1, 2);
    for (i = 0; i < 10000; i++) {
        row[0] = 1;
        row[1] = (int64_t) i;
        window_base_row(&base, i << 32, row);
    }

    window_base_source(&base, 6, WINDOW_BASE_UNKNOWN, 0);
    cr_assert(window_base_check(&base));
    last = window_base_next(&base, window_base_next(&base, NULL));
    cr_assert_eq(last->worker, 6);
    cr_assert_eq(last->kind, WINDOW_BASE_UNKNOWN);
    cr_assert_null(window_base_next(&base, last));

    base_sums_init(&sums);
    cr_assert_eq(base_sums_add(&sums, window_base_next(&base, NULL)), 0);
    cr_assert_eq(base_sums_add(&sums, window_base_next(&base, NULL)), 0);

    memset(values, 0, sizeof(values));
    base_sums_take(&sums, UINT64_C(77) << 32, values);
    base_sums_take(&sums, UINT64_C(77) << 32, values);
    cr_assert_eq(values[0], -2);
    cr_assert_eq(values[1], -154);

    base_sums_take_rest(&sums, values);
    cr_assert_eq(values[0], -20000);
    base_sums_take_rest(&sums, values);
    cr_assert_eq(values[0], -20000);

    /* a cut one is none */
    base.used -= 8;
    cr_assert(!window_base_check(&base));
    base.used += 8;

    base_sums_free(&sums);
    window_base_free(&base);
}
