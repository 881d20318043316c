/*
 * The cumulative table against a model: sums are exact, full or not.
 */

#include <criterion/criterion.h>

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate/stack_table.h"
#include "unwind/stack_unwind.h"


#define MODULES 5
#define STACKS 400
#define ROUNDS 8


static struct module_identity identities[MODULES];
static struct module_table    modules;

static const struct stack_table_shape shape
    = {16384, 384 * 1024, STACK_VALUES, {0}};


static void
modules_make(void)
{
    unsigned i;

    for (i = 0; i < MODULES; i++) {
        identities[i].text_start = 0x1000 * i;
        modules.identities[i] = &identities[i];
    }

    modules.n_identities = MODULES;
}


TestSuite(stack_table, .init = modules_make, .timeout = 60);


static void
add(struct stack_table *table, const char *thread, uint32_t labels,
    const struct stack_frame *frames, uint32_t n_frames, int64_t count,
    int64_t nanoseconds)
{
    stack_table_count(table,
                      stack_table_find(table, thread, labels, frames, n_frames),
                      count, nanoseconds);
}


static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return *state * 0x2545f4914f6cdd1du;
}


/* A stack, the thread that it belongs to, and what the model knows of it. */
struct model_stack {
    char               thread[16];
    struct stack_frame frames[40];
    uint32_t           n_frames;
    int64_t            sum[STACK_VALUES];
};


static void
frame_make(struct stack_frame *frame, uint64_t *state)
{
    static const enum stack_frame_kind marks[]
        = {STACK_FRAME_LOST, STACK_FRAME_TRUNCATED, STACK_FRAME_JIT};

    memset(frame, 0, sizeof(*frame));

    if (next_random(state) % 16 == 0) {
        frame->kind = marks[next_random(state) % 3];
        frame->module = STACK_FRAME_NO_MODULE;
        return;
    }

    frame->kind = (uint32_t) (next_random(state) % 3);
    frame->module = (uint32_t) (next_random(state) % MODULES);
    /* few addresses, so that stacks have frames in common; the largest too */
    frame->address = identities[frame->module].text_start
                     + (next_random(state) % 8 == 0 ? (1ull << 40) - 1
                                                    : next_random(state) % 4);
}


static bool
frames_equal(const struct stack_frame *one, const struct stack_frame *two,
             uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (one[i].address != two[i].address || one[i].kind != two[i].kind
            || one[i].module != two[i].module) {
            return false;
        }
    }

    return true;
}


static bool
is_stack(const struct model_stack *stack, const char *thread,
         const struct stack_frame *frames, uint32_t n_frames)
{
    return strcmp(stack->thread, thread) == 0 && stack->n_frames == n_frames
           && frames_equal(stack->frames, frames, n_frames);
}


/* Different stacks, many of which differ in one frame or the thread alone. */
static struct model_stack *
model_make(uint64_t *state)
{
    unsigned            i, j, f;
    struct model_stack *model = calloc(STACKS, sizeof(*model));

    for (i = 0; i < STACKS; i++) {
        snprintf(model[i].thread, sizeof(model[i].thread), "pool#%u",
                 (unsigned) (next_random(state) % 4));

        if (i > 0 && next_random(state) % 2 == 0) {
            memcpy(model[i].frames, model[i - 1].frames,
                   sizeof(model[i].frames));
            model[i].n_frames = model[i - 1].n_frames;
            frame_make(&model[i].frames[next_random(state) % model[i].n_frames],
                       state);

        } else {
            model[i].n_frames = 1 + (uint32_t) (next_random(state) % 40);
            for (f = 0; f < model[i].n_frames; f++) {
                frame_make(&model[i].frames[f], state);
            }
        }

        for (j = 0; j < i; j++) {
            if (is_stack(&model[j], model[i].thread, model[i].frames,
                         model[i].n_frames)) {
                i--;
                break;
            }
        }
    }

    return model;
}


/* The profile has exactly the stacks that were counted, and all of that. */
static void
check_profile(const struct stack_profile *profile,
              const struct model_stack   *model)
{
    size_t   s, counted = 0;
    unsigned i;

    cr_assert_eq(profile->n_modules, MODULES);
    cr_assert_eq(profile->modules[3], &identities[3]);

    for (i = 0; i < STACKS; i++) {
        if (model[i].sum[STACK_COUNT] == 0) {
            continue;
        }

        counted++;

        for (s = 0; s < profile->n_samples; s++) {
            if (is_stack(&model[i], profile->samples[s].thread,
                         profile->samples[s].frames,
                         profile->samples[s].n_frames)) {
                break;
            }
        }

        cr_assert_lt(s, profile->n_samples);
        cr_assert_eq(profile->samples[s].values[STACK_COUNT],
                     model[i].sum[STACK_COUNT]);
        cr_assert_eq(profile->samples[s].values[STACK_NANOSECONDS],
                     model[i].sum[STACK_NANOSECONDS]);
    }

    cr_assert_eq(profile->n_samples, counted);
}


static void
table_fill(struct stack_table *table, struct model_stack *model,
           uint64_t *state)
{
    unsigned i, n;
    int64_t  samples, nanoseconds;

    /* there may be nothing to add */
    for (n = (unsigned) (next_random(state) % 4) * 500; n > 0; n--) {
        i = (unsigned) (next_random(state) % STACKS);
        samples = 1 + (int64_t) (next_random(state) % 4);
        nanoseconds = samples * 10101010;
        add(table, model[i].thread, 0, model[i].frames, model[i].n_frames,
            samples, nanoseconds);
        model[i].sum[STACK_COUNT] += samples;
        model[i].sum[STACK_NANOSECONDS] += nanoseconds;
    }
}


Test(stack_table, a_profile_is_all_that_was_counted)
{
    unsigned              round;
    uint64_t              state = 11;
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct model_stack   *model = model_make(&state);
    struct stack_profile *profile;

    for (round = 0; round < ROUNDS; round++) {
        profile = stack_table_profile(table);
        cr_assert_not_null(profile);
        check_profile(profile, model);
        stack_profile_free(profile);
        table_fill(table, model, &state);
    }

    cr_expect_eq(stack_table_overflows(table), 0);
    stack_table_destroy(table);
    free(model);
}


Test(stack_table, a_profile_outlives_its_table)
{
    struct stack_frame    frame = {0x1234, 1, STACK_FRAME_CODE};
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct stack_profile *profile;

    add(table, "main", 0, &frame, 1, 2, 3);
    profile = stack_table_profile(table);
    stack_table_destroy(table);

    cr_assert_eq(profile->n_samples, 1);
    cr_expect_str_eq(profile->samples[0].thread, "main");
    cr_expect_eq(profile->samples[0].frames[0].address, 0x1234);
    cr_expect_eq(profile->samples[0].values[STACK_NANOSECONDS], 3);
    stack_profile_free(profile);
}


Test(stack_table, labels_set_stacks_apart)
{
    uint32_t              i;
    struct stack_frame    frame = {0x1234, 1, STACK_FRAME_CODE};
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct stack_profile *profile;

    for (i = 0; i < 3; i++) {
        add(table, "main", i, &frame, 1, 1, i);
        add(table, "main", i, &frame, 1, 1, i);
    }

    profile = stack_table_profile(table);
    cr_assert_eq(profile->n_samples, 3);

    for (i = 0; i < 3; i++) {
        cr_expect_eq(profile->samples[i].labels, i);
        cr_expect_eq(profile->samples[i].values[STACK_COUNT], 2);
        cr_expect_eq(profile->samples[i].values[STACK_NANOSECONDS], 2 * i);
    }

    stack_profile_free(profile);
    stack_table_destroy(table);
}


Test(stack_table, the_deepest_stack_is_kept_whole)
{
    uint32_t              i;
    struct stack_frame    frames[STACK_UNWIND_MAX + 1];
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct stack_profile *profile;

    for (i = 0; i <= STACK_UNWIND_MAX; i++) {
        frames[i] = (struct stack_frame){0x4000 + i, 4, STACK_FRAME_CODE};
    }

    add(table, "main", 0, frames, STACK_UNWIND_MAX + 1, 1, 1);
    profile = stack_table_profile(table);
    cr_assert_eq(profile->samples[0].n_frames, STACK_UNWIND_MAX + 1);
    cr_expect(
        frames_equal(profile->samples[0].frames, frames, STACK_UNWIND_MAX + 1));
    stack_profile_free(profile);
    stack_table_destroy(table);
}


/* Sums of a profile: all of a thread's, and what is in its "[other]". */
static void
thread_sums(const struct stack_profile *profile, const char *thread,
            int64_t *all, int64_t *other)
{
    size_t                       s;
    const struct profile_sample *sample;

    *all = *other = 0;

    for (s = 0; s < profile->n_samples; s++) {
        sample = &profile->samples[s];

        if (strcmp(sample->thread, thread) == 0) {
            *all += sample->values[STACK_COUNT];
            if (sample->frames[0].kind == STACK_FRAME_OTHER) {
                cr_assert_eq(sample->n_frames, 1);
                *other += sample->values[STACK_COUNT];
            }
        }
    }
}


/* More stacks than fit, by their number or by their frames. */
static void
overflow(uint32_t n_frames)
{
    char                  thread[16];
    int64_t               all, other, others = 0;
    uint32_t              i, f;
    struct stack_frame    frames[100];
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct stack_profile *profile;

    for (i = 0; i < 40000; i++) {
        for (f = 0; f < n_frames; f++) {
            frames[f]
                = (struct stack_frame){0x1000 + i % 20000 * 100 + f, 1, 0};
        }
        snprintf(thread, sizeof(thread), "t%u", i % 200);
        add(table, thread, 0, frames, n_frames, 3, 30);
    }

    cr_expect_leq(stack_table_used(table), shape.stacks_max);
    profile = stack_table_profile(table);

    for (i = 0; i < 200; i++) {
        snprintf(thread, sizeof(thread), "t%u", i);
        thread_sums(profile, thread, &all, &other);
        cr_expect_eq(all, 40000 / 200 * 3);
        others += other;
    }

    cr_expect_gt(others, 0);
    cr_expect_eq((uint64_t) others, stack_table_overflows(table));
    stack_profile_free(profile);
    stack_table_destroy(table);
}


Test(stack_table, too_many_stacks_go_to_other_and_sums_are_exact)
{
    overflow(2);
}


Test(stack_table, too_many_frames_go_to_other_and_sums_are_exact)
{
    overflow(100);
}


/* A name that found no place is none, and not that of another thread. */
Test(stack_table, too_many_threads_lose_their_names_and_no_sample)
{
    char                  thread[16];
    int64_t               all, other;
    unsigned              i, named = 0;
    struct stack_frame    frame = {0x1000, 1, STACK_FRAME_CODE};
    struct stack_table   *table = stack_table_create(&modules, &shape);
    struct stack_profile *profile;

    for (i = 0; i < 2 * STACK_TABLE_THREADS; i++) {
        snprintf(thread, sizeof(thread), "t%u", i);
        add(table, thread, 0, &frame, 1, 1, 10);
    }

    profile = stack_table_profile(table);

    for (i = 0; i < 2 * STACK_TABLE_THREADS; i++) {
        snprintf(thread, sizeof(thread), "t%u", i);
        thread_sums(profile, thread, &all, &other);
        cr_expect_leq(all, 1, "%s has %ld samples", thread, all);
        named += all == 1;
    }

    cr_expect_eq(named, STACK_TABLE_THREADS - 1);
    thread_sums(profile, "", &all, &other);
    cr_expect_eq(all + named, 2 * STACK_TABLE_THREADS);

    stack_profile_free(profile);
    stack_table_destroy(table);
}


Test(stack_table, profiles_give_their_memory_back)
{
#ifndef __SANITIZE_ADDRESS__
    unsigned            i;
    size_t              before;
    struct stack_frame  frame = {0x1000, 1, STACK_FRAME_CODE};
    struct stack_table *table = stack_table_create(&modules, &shape);

    for (i = 0; i < 1000; i++) {
        frame.address = 0x1000 + i;
        add(table, "main", 0, &frame, 1, 1, 1);
    }

    before = mallinfo2().uordblks;

    for (i = 0; i < 1000; i++) {
        stack_profile_free(stack_table_profile(table));
    }

    cr_expect_eq(mallinfo2().uordblks, before);
    stack_table_destroy(table);
#endif
}


/* Values have the fractions that they were given, and go down, too. */
Test(stack_table, four_values_are_kept_as_they_are)
{
    int                   i, v;
    uint32_t              index;
    struct stack_table   *table;
    struct stack_profile *profile;

    static const struct stack_table_shape four
        = {1024, 16384, 4, {16, 0, 16, 0}};
    static const struct stack_frame frame = {.module = 1, .address = 0x1010};

    /* one and a third objects of 100 bytes, of which half are freed */
    static const int64_t made[] = {87381, 133, 87381, 133};
    static const int64_t freed[] = {0, 0, -87381, -133};

    table = stack_table_create(&modules, &four);
    index = stack_table_find(table, "a", 0, &frame, 1);

    for (i = 1; i <= 300; i++) {
        stack_table_change(table, index, made);
        if (i % 2 == 0) {
            stack_table_change(table, index, freed);
        }
    }

    profile = stack_table_profile(table);

    for (v = 0; v < 4; v++) {
        cr_expect_eq(profile->samples[0].values[v],
                     (v < 2 ? 300 : 150) * made[v]);
    }

    stack_profile_free(profile);
    stack_table_destroy(table);
}
