/*
 * The profile of many workers with many stacks each: sums are exact, and memory
 * grows as stacks do, up to a bound that more workers do not move. Bytes are
 * counted, not time: bench/merge has that.
 */

#include <criterion/criterion.h>

#include "instance/stack_merge.h"
#include "instance/window_base.h"
#include "parcel_fixture.h"


#define FRAMES 20

/* What a merged stack of FRAMES may take, bytes, with rows that were outgrown. */
#define STACK_BYTES 1024

/* What the largest profile may take, of the 64 MB that a merge as a whole may. */
#define MERGE_BYTES (24 << 20)


static struct module_registry registry;
static struct stack_merge     merge;
static struct window_base     base;


/* The stacks of a worker, from a number on. */
static struct parcel_memory
worker_parcel(uint32_t worker, uint32_t first, uint32_t n)
{
    uint32_t               i, f;
    struct parcel_memory   memory;
    struct stack_frame    *frames = calloc(n * FRAMES, sizeof(*frames));
    struct profile_sample *samples = calloc(n, sizeof(*samples));

    for (i = 0; i < n; i++) {
        for (f = 0; f < FRAMES; f++) {
            frames[i * FRAMES + f].address = 0x1000 + (f * 97 + i) % 0x7000;
        }

        /* the leaf makes the difference */
        frames[i * FRAMES].address = 0x1000 + first + i;
        samples[i].frames = &frames[i * FRAMES];
        samples[i].n_frames = FRAMES;
        samples[i].thread = "main";
        samples[i].values[0] = 1;
        samples[i].values[1] = worker + 1;
    }

    memory = parcel_make(worker + 1, 0, samples, n, 0);
    free(frames);
    free(samples);

    return memory;
}


static void
worker_merge(const struct parcel_memory *memory)
{
    int                  event;
    struct parcel_reader r;
    struct parcel_sample s;

    cr_assert_eq(parcel_read(&r, memory->bytes, memory->n), 0);

    while ((event = parcel_next(&r, &s)) > PARCEL_END) {
        if (event == PARCEL_PROFILE) {
            stack_merge_source(&merge);
            window_base_source(&base, r.worker, r.kind, r.n_values);
        } else {
            window_base_row(&base, s.hash, s.values);
            cr_assert_eq(stack_merge_add(&merge, &r, &s, s.values), 0);
        }
    }

    cr_assert_eq(event, PARCEL_END);
    parcel_read_end(&r);
}


/* Merges the workers' stacks, the same ones or all different; the bytes that it
   took while there were most, all of them counted. */
static size_t
merge_bytes(uint32_t workers, uint32_t stacks, bool same)
{
    size_t               i, bytes;
    int64_t              sums[2] = {0, 0};
    uint32_t             w;
    struct parcel_memory memory;
    struct stack_profile profile;

    memset(&base, 0, sizeof(base));
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);

    for (w = 0; w < workers; w++) {
        memory = worker_parcel(w, same ? 0 : w * stacks, stacks);
        worker_merge(&memory);
        free(memory.bytes);
    }

    bytes = merge.arena.mapped + merge.source_arena.mapped;
    cr_assert_eq(base.error, 0);
    cr_assert_eq(stack_merge_settle(&merge, 0), 0);
    stack_merge_profile(&merge, &profile);

    for (i = 0; i < profile.n_samples; i++) {
        sums[0] += profile.samples[i].values[0];
        sums[1] += profile.samples[i].values[1];
    }

    cr_assert_eq(sums[0], workers * stacks);
    cr_assert_eq(sums[1], (int64_t) stacks * workers * (workers + 1) / 2);
    stack_merge_free(&merge);

    return bytes;
}


Test(merge_scale, memory_grows_as_stacks_do)
{
    size_t   bytes, before = 0;
    uint32_t workers;

    for (workers = 4; workers <= 32; workers *= 2) {
        bytes = merge_bytes(workers, 500, false);
        cr_assert_lt(bytes, workers * 500 * STACK_BYTES, "%u workers: %zu",
                     workers, bytes);

        /* rows double: it may be so much more in one step, but not in each */
        cr_assert(before == 0 || bytes < 3 * before, "%u workers: %zu, %zu",
                  workers, bytes, before);
        before = bytes;

        /* a hash and two values of each, and a head for each worker */
        cr_assert_lt(base.used, workers * (500 * 24 + 64));
        window_base_free(&base);
    }
}


Test(merge_scale, workers_with_the_same_stacks_are_one)
{
    size_t one, all;

    one = merge_bytes(1, 4000, true);
    window_base_free(&base);
    all = merge_bytes(32, 4000, true);
    window_base_free(&base);
    cr_assert_leq(all, one, "%zu, %zu", all, one);
}


Test(merge_scale, a_bound_that_no_number_of_stacks_moves)
{
    size_t some, all;

    some = merge_bytes(32, 2000, false);
    cr_assert_gt(merge.overflows, 0);
    cr_assert_lt(some, MERGE_BYTES, "%zu", some);
    window_base_free(&base);

    all = merge_bytes(32, 4000, false);
    cr_assert_lt(all, MERGE_BYTES, "%zu", all);
    cr_assert_leq(all, some + (256 << 10), "%zu, %zu", all, some);

    /* what a window begins with is of all stacks, 24 bytes each */
    cr_assert_lt(base.used, 32 * (4000 * 24 + 64));
    window_base_free(&base);
}
