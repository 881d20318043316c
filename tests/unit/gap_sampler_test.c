/*
 * The points of the "jitter" engine: their distribution, and that nothing that
 * the caller does moves them. The seeds are fixed, so a test that passes once
 * passes always.
 */

#include <criterion/criterion.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "sample/gap_sampler.h"


#define MEAN 10101010
#define POINTS 100000

/* Of the Kolmogorov-Smirnov statistic, times the root of n: one in a thousand
   is larger. */
#define KS_LIMIT 1.95


/* Where points are in their cells, in parts of those. */
static double places[POINTS];


/* Draws them, one from each cell. */
static void
places_draw(uint64_t seed)
{
    int                i;
    int64_t            begin, newest;
    struct gap_sampler sampler;

    begin = 12345;
    gap_sampler_start(&sampler, seed, MEAN, begin);

    for (i = 0; i < POINTS; i++) {
        cr_assert_eq(gap_sampler_pass(&sampler, sampler.next_ns, &newest), 1);
        cr_assert(newest >= begin && newest <= begin + MEAN);
        places[i] = (double) (newest - begin) / MEAN;
        begin += MEAN;
    }
}


static int
compare(const void *one, const void *two)
{
    double a = *(const double *) one, b = *(const double *) two;

    return (a > b) - (a < b);
}


/* The largest distance between the sorted values and their distribution. */
static double
kolmogorov_smirnov(double *values, int n, double (*distribution)(double))
{
    int    i;
    double expected, distance;

    qsort(values, n, sizeof(values[0]), compare);
    distance = 0;

    for (i = 0; i < n; i++) {
        expected = distribution(values[i]);
        distance = fmax(distance, fabs(expected - (double) i / n));
        distance = fmax(distance, fabs(expected - (double) (i + 1) / n));
    }

    return distance * sqrt(n);
}


static double
identity(double x)
{
    return x;
}


Test(gap_sampler, every_cell_has_a_point_anywhere)
{
    uint64_t seed;

    for (seed = 0; seed < 5; seed++) {
        places_draw(seed);
        cr_assert_lt(kolmogorov_smirnov(places, POINTS, identity), KS_LIMIT,
                     "seed %d", (int) seed);
    }
}


Test(gap_sampler, places_are_independent)
{
    int    i, lag;
    double sum;

    places_draw(7);

    for (lag = 1; lag <= 20; lag++) {
        sum = 0;
        for (i = lag; i < POINTS; i++) {
            sum += 12 * (places[i] - 0.5) * (places[i - lag] - 0.5);
        }

        /* of variance 1, if they are: four standard deviations */
        cr_assert_lt(fabs(sum / sqrt(POINTS - lag)), 4, "lag %d", lag);
    }
}


/* Whatever is periodic is seen at all its phases alike. */
Test(gap_sampler, phases_are_uniform)
{
    const int64_t      periods[] = {4000000, 8000000, 10101010, 1000000000};
    int                i;
    size_t             k;
    int64_t            newest;
    struct gap_sampler sampler;

    for (k = 0; k < sizeof(periods) / sizeof(periods[0]); k++) {
        gap_sampler_start(&sampler, k, MEAN, 0);

        for (i = 0; i < POINTS; i++) {
            (void) gap_sampler_pass(&sampler, sampler.next_ns, &newest);
            places[i] = (double) (newest % periods[k]) / (double) periods[k];
        }

        cr_assert_lt(kolmogorov_smirnov(places, POINTS, identity), KS_LIMIT);
    }
}


/* However late points are passed, and many at a time: they are the same. */
Test(gap_sampler, late_passes_move_no_point)
{
    int                i;
    int64_t            late, newest, last;
    uint64_t           passed;
    struct gap_sampler sampler, exact;

    gap_sampler_start(&sampler, 3, MEAN, 0);
    gap_sampler_start(&exact, 3, MEAN, 0);
    passed = 0;
    late = 0;
    last = 0;
    newest = 0;

    for (i = 0; i < 1000; i++) {
        late += (i % 7) * MEAN;
        passed += gap_sampler_pass(&sampler, late, &last);
        cr_assert_gt(sampler.next_ns, late);

        while (exact.next_ns <= late) {
            cr_assert_eq(gap_sampler_pass(&exact, exact.next_ns, &newest), 1);
            passed--;
        }

        cr_assert_eq(passed, 0);
        cr_assert_eq(last, newest);
        cr_assert_eq(sampler.next_ns, exact.next_ns);
    }
}


Test(gap_sampler, passing_too_early_does_nothing)
{
    int64_t            next, newest;
    struct gap_sampler sampler;

    gap_sampler_start(&sampler, 1, MEAN, 0);
    next = sampler.next_ns;
    newest = -1;

    cr_assert_eq(gap_sampler_pass(&sampler, next - 1, &newest), 0);
    cr_assert_eq(newest, -1);
    cr_assert_eq(sampler.next_ns, next);
}


/* As many points at once as one by one. */
Test(gap_sampler, skipping_counts_all_cells)
{
    int64_t            newest;
    uint32_t           i;
    uint64_t           points;
    struct gap_sampler sampler;

    gap_sampler_start(&sampler, 4, MEAN, 0);
    points = 0;

    for (i = 1; i <= 10000; i++) {
        points += gap_sampler_skip(&sampler, INT64_C(20) * i * MEAN);
        cr_assert_gt(sampler.next_ns, INT64_C(20) * i * MEAN);
        points += gap_sampler_pass(&sampler, sampler.next_ns, &newest);
        cr_assert_eq(gap_sampler_skip(&sampler, newest), 0);
    }

    cr_assert_eq(points, (uint64_t) (sampler.cell_ns / MEAN));
}


/* Over a long time there is a point for each cell, also with its length changed
   at any time. */
Test(gap_sampler, rate_does_not_drift)
{
    int64_t            now, newest;
    uint64_t           points;
    struct gap_sampler sampler;
    const int64_t      day = INT64_C(86400000000000);

    gap_sampler_start(&sampler, 11, MEAN, 0);
    points = 0;

    for (now = 0; now < day; now += 1000000000) {
        points += gap_sampler_pass(&sampler, now, &newest);

        if (now % 7000000000 == 0) {
            gap_sampler_set_mean(&sampler, MEAN);
        }
    }

    cr_assert_eq(points, (uint64_t) (sampler.cell_ns / MEAN));
    cr_assert_leq(labs((long) points - (long) (day / MEAN)), 101);
}


Test(gap_sampler, chance_is_the_probability)
{
    int                i;
    size_t             k;
    int                n;
    struct gap_sampler sampler;
    const double       probabilities[] = {0, 0.001, 0.3, 0.999, 1};

    gap_sampler_start(&sampler, 5, MEAN, 0);

    for (k = 0; k < sizeof(probabilities) / sizeof(probabilities[0]); k++) {
        const double p = probabilities[k];

        n = 0;
        for (i = 0; i < POINTS; i++) {
            n += gap_sampler_chance(&sampler, p);
        }

        cr_assert_leq(fabs(n - POINTS * p), 4 * sqrt(POINTS * p * (1 - p)));
    }
}
