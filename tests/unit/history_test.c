/*
 * The ring of the history: what is pushed out, and that the rest is whole.
 */

#include <criterion/criterion.h>

#include <errno.h>

#include "instance/history.h"
#include "instance/instance_memory.h"
#include "parcel_fixture.h"


#define SECOND INT64_C(1000000000)
#define BEGIN (1700000000 * SECOND)


static struct module_registry registry;
static struct stack_merge     merge;


/* A value of its own, so that sums tell which steps are there. */
static int64_t
value_of(unsigned step)
{
    return 1000003 * (int64_t) (step + 1);
}


/* Fills the merge with so many stacks, of that sum. */
static void
merge_fill(unsigned stacks, int64_t sum)
{
    unsigned              i;
    struct parcel_memory  memory;
    struct parcel_reader  r;
    struct parcel_sample  s;
    struct stack_frame    frame;
    struct profile_sample sample
        = {.frames = &frame, .n_frames = 1, .thread = "main"};

    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);

    for (i = 0; i < stacks; i++) {
        frame = (struct stack_frame){.address = 0x1000 + i * 977 % 0x7fff};
        sample.values[0] = i == 0 ? sum : 0;
        sample.values[1] = 1;
        memory = parcel_make(1, 0, &sample, 1, 0);

        cr_assert_eq(parcel_read(&r, memory.bytes, memory.n), 0);
        cr_assert_eq(parcel_next(&r, &s), PARCEL_PROFILE);
        stack_merge_source(&merge);
        cr_assert_eq(parcel_next(&r, &s), PARCEL_SAMPLE);
        cr_assert_eq(stack_merge_add(&merge, &r, &s, s.values), 0);
        parcel_read_end(&r);
        free(memory.bytes);
    }
}


static int
step_add(unsigned step, unsigned stacks, int64_t length_ns, uint64_t size)
{
    int rc;

    merge_fill(stacks, value_of(step));
    rc = history_add(&merge, 1, BEGIN + step * length_ns,
                     BEGIN + (step + 1) * length_ns, size);
    stack_merge_free(&merge);

    return rc;
}


static const struct instance_history_entry *
entry(unsigned i)
{
    const struct instance_directory *directory = instance.directory;

    return &directory
                ->history[(directory->history_first + i) % INSTANCE_HISTORY];
}


/* What is there are the last steps, one after the other, apart, in the ring. */
static void
ring_is_sound(unsigned last, int64_t length_ns, uint64_t size)
{
    unsigned                             i, k, n;
    uint64_t                             at, end;
    const struct instance_history_entry *a, *b;

    n = instance.directory->history_count;
    cr_assert_gt(n, 0);
    cr_assert_leq(n, INSTANCE_HISTORY);

    for (i = 0; i < n; i++) {
        a = entry(i);
        at = a->extent.offset - instance_history_offset();
        end = at + a->extent.length;
        cr_assert_leq(end, size);
        cr_assert_eq(a->from_ns, BEGIN + (last - (n - 1 - i)) * length_ns);
        cr_assert_eq(a->to_ns, a->from_ns + length_ns);

        for (k = 0; k < i && n < 100; k++) {
            b = entry(k);
            cr_assert(b->extent.offset - instance_history_offset() >= end
                      || b->extent.offset + b->extent.length
                             <= a->extent.offset);
        }
    }
}


/* The sum of all that is there, as a profile of the past has it. */
static int64_t
sum_read(void)
{
    size_t                i;
    int64_t               sum = 0;
    struct stack_merge   *merges[PROFILE_KINDS] = {&merge};
    struct stack_profile  profile;
    struct history_window window = {.from_ns = 1, .to_ns = INT64_MAX};

    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    cr_assert_eq(history_read(&window), 0);
    cr_assert_eq(window.n, instance.directory->history_count);
    cr_assert_eq(history_merge(&window, merges), 0);
    history_read_end(&window);
    stack_merge_profile(&merge, &profile);

    for (i = 0; i < profile.n_samples; i++) {
        sum += profile.samples[i].values[0];
    }

    stack_merge_free(&merge);
    cr_assert_eq(instance.directory->malformed, 0);

    return sum;
}


static int64_t
sum_of_last(unsigned last)
{
    unsigned i;
    int64_t  sum = 0;

    for (i = 0; i < instance.directory->history_count; i++) {
        sum += value_of(last - i);
    }

    return sum;
}


/* Steps of many lengths, through the ring's end several times. */
Test(history, oldest_steps_make_room)
{
    unsigned       step, wraps = 0;
    uint64_t       before = 0, offset;
    const uint64_t size = 8192;

    cr_assert_eq(instance_join(), 0);

    for (step = 0; step < 400; step++) {
        cr_assert_eq(step_add(step, 1 + step * 7 % 90, SECOND, size), 0);
        ring_is_sound(step, SECOND, size);
        cr_assert_eq(sum_read(), sum_of_last(step), "step %u", step);

        offset = entry(instance.directory->history_count - 1)->extent.offset;
        wraps += offset < before;
        before = offset;
    }

    cr_assert_gt(wraps, 5);
    cr_assert_lt(instance.directory->history_count, 400);
    cr_assert_eq(instance.directory->history_dropped, 0);
}


Test(history, there_are_only_so_many_steps)
{
    unsigned       step;
    const unsigned n = INSTANCE_HISTORY + 100;
    const uint64_t size = UINT64_C(1) << 30;

    cr_assert_eq(instance_join(), 0);

    for (step = 0; step < n; step++) {
        cr_assert_eq(step_add(step, 1, SECOND, size), 0);
    }

    cr_assert_eq(instance.directory->history_count, INSTANCE_HISTORY);
    cr_assert_eq(instance.directory->history_first, 100);
    ring_is_sound(n - 1, SECOND, size);
    cr_assert_eq(sum_read(), sum_of_last(n - 1));
}


Test(history, steps_of_more_than_an_hour_ago_go)
{
    unsigned       step;
    const int64_t  length = 100 * SECOND;
    const uint64_t size = 1 << 20;

    cr_assert_eq(instance_join(), 0);

    for (step = 0; step < 100; step++) {
        cr_assert_eq(step_add(step, 1, length, size), 0);
    }

    /* the newest ended now, the oldest an hour ago */
    cr_assert_eq(instance.directory->history_count, 37);
    ring_is_sound(99, length, size);
    cr_assert_eq(sum_read(), sum_of_last(99));
}


Test(history, a_step_that_has_no_room_changes_nothing)
{
    cr_assert_eq(instance_join(), 0);
    cr_assert_eq(step_add(0, 10, SECOND, 4096), 0);
    cr_assert_eq(step_add(1, 20000, SECOND, 4096), -EFBIG);
    ring_is_sound(0, SECOND, 4096);
    cr_assert_eq(sum_read(), value_of(0));
}


Test(history, nothing_lies_beyond_the_end_of_a_ring_that_was_made_smaller)
{
    unsigned step = 0;
    uint64_t at;

    cr_assert_eq(instance_join(), 0);

    do {
        cr_assert_eq(step_add(step, 10, SECOND, 4096), 0);
        at = entry(step)->extent.offset - instance_history_offset();
        step++;
    } while (at < 2048);

    cr_assert_eq(step_add(step, 10, SECOND, 1024), 0);
    ring_is_sound(step, SECOND, 1024);
    cr_assert_eq(sum_read(), sum_of_last(step));
}
