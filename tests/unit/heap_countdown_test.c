/*
 * What is sampled of the heap, and what a sample stands for. The seeds are
 * fixed, so a test that passes once passes always.
 */

#include <criterion/criterion.h>

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap_capture.h"
#include "heap/heap_countdown.h"
#include "heap/heap_weight.h"


TestSuite(heap_countdown, .timeout = 60);


#define SEEDS 200
#define INTERVAL (512 * 1024)

/* From nothing at all to several intervals, as a server's are. */
static const struct {
    uint64_t size;
    unsigned n;
} blocks[] = {
    {0, 100000},   {16, 300000},  {64, 200000},  {1000, 100000},
    {4096, 50000}, {30000, 6000}, {524288, 400}, {3000000, 60},
};

#define BLOCKS (sizeof(blocks) / sizeof(blocks[0]))


static void
countdown_start(uint64_t seed, uint64_t interval)
{
    heap_countdown_setup(seed, interval);
    /* not the generator's own step: the seeds would be one sequence */
    heap_countdown.state = seed * 0xd1342543de82ef95u | 1;
    heap_countdown.left = 0;
    (void) heap_countdown_draw(0);
}


static bool
is_sampled(uint64_t size)
{
    return !heap_countdown_passes(size) && heap_countdown_draw(size);
}


/* The estimates of one pass over all blocks, sizes in turn. */
static void
blocks_estimate(double *objects, double *bytes)
{
    size_t             b;
    unsigned           i;
    struct heap_weight weight;

    *objects = 0;
    *bytes = 0;

    for (i = 0; i < 300000; i++) {
        for (b = 0; b < BLOCKS; b++) {
            if (i < blocks[b].n && is_sampled(blocks[b].size)) {
                weight = heap_weight(blocks[b].size, INTERVAL);
                *objects += ldexp((double) weight.objects, -HEAP_OBJECT_BITS);
                *bytes += (double) weight.bytes;
            }
        }
    }
}


/*
 * The truth is inside the 95 % interval in 95 % of the passes, and the mean of
 * all passes is the truth.
 */
Test(heap_countdown, estimates_have_the_error_that_the_derivation_says)
{
    int      inside_objects, inside_bytes;
    size_t   b;
    double   p, objects, bytes, all_objects, all_bytes;
    double   true_objects, true_bytes, variance_objects, variance_bytes;
    uint64_t seed;

    true_objects = true_bytes = variance_objects = variance_bytes = 0;

    for (b = 0; b < BLOCKS; b++) {
        p = 1 - exp(-((double) blocks[b].size + 1) / INTERVAL);
        true_objects += blocks[b].n;
        true_bytes += (double) blocks[b].n * (double) blocks[b].size;
        variance_objects += blocks[b].n * (1 - p) / p;
        variance_bytes += blocks[b].n * (1 - p) / p * (double) blocks[b].size
                          * (double) blocks[b].size;
    }

    inside_objects = inside_bytes = 0;
    all_objects = all_bytes = 0;

    for (seed = 1; seed <= SEEDS; seed++) {
        countdown_start(seed, INTERVAL);
        blocks_estimate(&objects, &bytes);
        all_objects += objects / SEEDS;
        all_bytes += bytes / SEEDS;
        inside_objects
            += fabs(objects - true_objects) < 1.96 * sqrt(variance_objects);
        inside_bytes += fabs(bytes - true_bytes) < 1.96 * sqrt(variance_bytes);
    }

    /* of 200, 190 are expected; three standard deviations are 9 */
    cr_expect(inside_objects >= 181, "%d", inside_objects);
    cr_expect(inside_bytes >= 181, "%d", inside_bytes);
    cr_expect(inside_bytes < 200, "%d", inside_bytes);
    cr_expect_lt(fabs(all_objects - true_objects),
                 3.3 * sqrt(variance_objects / SEEDS), "%f", all_objects);
    cr_expect_lt(fabs(all_bytes - true_bytes),
                 3.3 * sqrt(variance_bytes / SEEDS), "%f", all_bytes);
}


/* The share of blocks of one size that is sampled. */
Test(heap_countdown, a_block_is_sampled_with_the_probability_of_its_weight)
{
    int                   i, n, sampled;
    size_t                s;
    double                p;
    static const uint64_t sizes[] = {100, 1000, 4096, 20000};

    for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        countdown_start(7 + s, 4096);
        n = 400000;
        sampled = 0;

        for (i = 0; i < n; i++) {
            sampled += is_sampled(sizes[s]);
        }

        p = ldexp(1, HEAP_OBJECT_BITS)
            / (double) heap_weight(sizes[s], 4096).objects;
        cr_expect_lt(fabs(sampled - n * p), 4 * sqrt(n * p * (1 - p)),
                     "%lu: %d of %f", (unsigned long) sizes[s], sampled, n * p);
    }
}


Test(heap_countdown, with_an_interval_of_one_everything_is_itself)
{
    uint64_t           size;
    struct heap_weight weight;

    countdown_start(1, 1);

    for (size = 0; size < 100000; size = size * 3 / 2 + 1) {
        cr_assert(is_sampled(size));
        weight = heap_weight(size, 1);
        cr_assert_eq(weight.objects, 1 << HEAP_OBJECT_BITS);
        cr_assert_eq(weight.bytes, (int64_t) size);
    }
}


/* Nobody can allocate so much, but ask for it, and be counted ever after. */
Test(heap_countdown, absurd_sizes_do_not_move_the_countdown)
{
    uint64_t left;

    countdown_start(3, INTERVAL);
    left = heap_countdown.left;

    cr_expect_not(heap_countdown_passes(UINT64_MAX));
    cr_expect_not(heap_countdown_passes(UINT64_MAX - 1));
    cr_expect_not(heap_countdown_passes(UINT64_C(3) << 62));
    cr_expect_eq(heap_countdown.left, left);
}


/* A thread that comes back after sampling was off has no gap from before: were
   what it looks at then a sample each time, large blocks or small, it would be
   one too many. */
Test(heap_countdown, a_pause_ends_in_a_gap_that_is_drawn)
{
    uint64_t seed;
    unsigned sampled;

    sampled = 0;

    for (seed = 1; seed <= 1000; seed++) {
        heap_countdown_rest();
        cr_assert(heap_countdown_passes(4096));
        heap_countdown_setup(seed * 0xd1342543de82ef95u, INTERVAL);

        while (heap_countdown_passes(4096)) {
            /* void */
        }

        sampled += heap_countdown_draw(4096);
    }

    /* 8 are expected */
    cr_expect(sampled > 0 && sampled < 30, "%u", sampled);
}


/* Allocates once. */
static void *
short_thread(void *sampled)
{
    *(unsigned *) sampled += is_sampled(INTERVAL / 2);

    return NULL;
}


/* One thread after the other has its variable at the same address, and may have
   the same id. */
Test(heap_countdown, short_threads_draw_different_gaps)
{
    unsigned  i, sampled = 0;
    pthread_t thread;

    heap_countdown_setup(1, INTERVAL);

    for (i = 0; i < 2000; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, short_thread, &sampled), 0);
        pthread_join(thread, NULL);
    }

    /* 787 are expected, 22 the standard deviation */
    cr_expect(sampled > 700 && sampled < 875, "%u", sampled);
}


#define POINTS 8


/* How many blocks of 4 KB a worker passes before each of its first samples. */
static void
worker_points(uint64_t *points)
{
    int      status, pipes[2];
    unsigned i;

    cr_assert_eq(pipe(pipes), 0);

    if (fork() == 0) {
        if (heap_capture_prepare() != 0) {
            _exit(1);
        }

        heap_capture_start(INTERVAL);

        for (i = 0; i < POINTS; i++) {
            points[i] = 1;

            while (heap_countdown_passes(4096) || !heap_capture_wanted(4096)) {
                points[i]++;
            }
        }

        _exit(write(pipes[1], points, POINTS * sizeof(*points)) < 0);
    }

    wait(&status);
    cr_assert_eq(status, 0);
    cr_assert_eq(read(pipes[0], points, POINTS * sizeof(*points)),
                 POINTS * sizeof(*points));
    close(pipes[0]);
    close(pipes[1]);
}


Test(heap_countdown, workers_do_not_sample_the_same_points)
{
    uint64_t one[POINTS], two[POINTS];

    worker_points(one);
    worker_points(two);

    cr_expect_neq(memcmp(one, two, sizeof(one)), 0);
}
