/*
 * Nested and overlapping ranges: every address against a plain search.
 */

#include <criterion/criterion.h>

#include <stdlib.h>

#include "symbolize/interval_map.h"


#define SPACE 512


Test(interval_map, the_innermost_range_wins)
{
    struct interval_map map = {0};

    cr_assert_eq(interval_map_add(&map, 100, 200, 1, 0), 0);
    cr_assert_eq(interval_map_add(&map, 120, 160, 2, 0), 0);
    cr_assert_eq(interval_map_add(&map, 130, 131, 3, 0), 0);
    cr_assert_eq(interval_map_seal(&map), 0);

    cr_expect_eq(interval_map_find(&map, 99), INTERVAL_MAP_NONE);
    cr_expect_eq(interval_map_find(&map, 100), 1);
    cr_expect_eq(interval_map_find(&map, 120), 2);
    cr_expect_eq(interval_map_find(&map, 130), 3);
    cr_expect_eq(interval_map_find(&map, 131), 2);
    cr_expect_eq(interval_map_find(&map, 160), 1);
    cr_expect_eq(interval_map_find(&map, 199), 1);
    cr_expect_eq(interval_map_find(&map, 200), INTERVAL_MAP_NONE);

    interval_map_free(&map);
}


Test(interval_map, of_equal_ranges_the_lowest_rank_wins_then_the_first)
{
    struct interval_map map = {0};

    interval_map_add(&map, 10, 20, 1, 5);
    interval_map_add(&map, 10, 20, 2, 3);
    interval_map_add(&map, 10, 20, 3, 3);
    interval_map_add(&map, 10, 10, 4, 0);
    interval_map_add(&map, 20, 10, 5, 0);
    cr_assert_eq(interval_map_seal(&map), 0);

    cr_expect_eq(interval_map_find(&map, 10), 2);
    cr_expect_eq(interval_map_find(&map, 19), 2);

    interval_map_free(&map);
}


Test(interval_map, an_empty_map_has_nothing)
{
    struct interval_map map = {0};

    cr_assert_eq(interval_map_seal(&map), 0);
    cr_expect_eq(interval_map_find(&map, 0), INTERVAL_MAP_NONE);
    interval_map_free(&map);
}


/* Of ranges that hold an address: the last to start, then the first to end. */
static uint32_t
plain_search(const uint64_t (*ranges)[2], uint32_t n, uint64_t address)
{
    uint32_t i, best = INTERVAL_MAP_NONE;

    for (i = 0; i < n; i++) {
        if (ranges[i][0] > address || ranges[i][1] <= address) {
            continue;
        }

        if (best == INTERVAL_MAP_NONE || ranges[i][0] > ranges[best][0]
            || (ranges[i][0] == ranges[best][0]
                && ranges[i][1] < ranges[best][1])) {
            best = i;
        }
    }

    return best;
}


Test(interval_map, any_ranges_answer_as_a_plain_search_does)
{
    unsigned            round;
    uint32_t            i, n;
    uint64_t            ranges[40][2], address;
    struct interval_map map;

    srand(7);

    for (round = 0; round < 500; round++) {
        map = (struct interval_map){0};
        n = 1 + (uint32_t) rand() % 40;

        for (i = 0; i < n; i++) {
            ranges[i][0] = (uint64_t) rand() % SPACE;
            ranges[i][1] = ranges[i][0] + (uint64_t) rand() % 80;
            interval_map_add(&map, ranges[i][0], ranges[i][1], i, 0);
        }

        cr_assert_eq(interval_map_seal(&map), 0);

        for (address = 0; address < SPACE + 100; address++) {
            cr_assert_eq(interval_map_find(&map, address),
                         plain_search(ranges, n, address), "round %u at %lu",
                         round, address);
        }

        interval_map_free(&map);
    }
}
