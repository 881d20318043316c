/*
 * Profiles of many parcels: sums are exact.
 */

#include <criterion/criterion.h>

#include "instance/stack_merge.h"
#include "parcel_fixture.h"


static struct module_registry registry;


static void
merge_parcel(struct stack_merge *merge, const struct parcel_memory *memory,
             const char *mark)
{
    int                  event;
    struct parcel_reader r;
    struct parcel_sample s;

    cr_assert_eq(parcel_read(&r, memory->bytes, memory->n), 0);

    while ((event = parcel_next(&r, &s)) > PARCEL_END) {
        if (event == PARCEL_PROFILE) {
            stack_merge_source(merge);
            stack_merge_mark(merge, mark, "yes");
        } else {
            cr_assert_eq(stack_merge_add(merge, &r, &s, s.values), 0);
        }
    }

    cr_assert_eq(event, PARCEL_END);
    parcel_read_end(&r);
}


static void
sums_are(const struct stack_profile *profile, int64_t first, int64_t second)
{
    size_t  i;
    int64_t sums[2] = {0, 0};

    for (i = 0; i < profile->n_samples; i++) {
        sums[0] += profile->samples[i].values[0];
        sums[1] += profile->samples[i].values[1];
    }

    cr_assert_eq(sums[0], first, "%ld", (long) sums[0]);
    cr_assert_eq(sums[1], second, "%ld", (long) sums[1]);
}


/* n samples of one frame, all different, from an offset on. */
static struct parcel_memory
parcel_of_many(size_t n, uint64_t offset)
{
    size_t                 i;
    struct parcel_memory   memory;
    struct stack_frame    *frames = calloc(n, sizeof(*frames));
    struct profile_sample *samples = calloc(n, sizeof(*samples));

    for (i = 0; i < n; i++) {
        frames[i].address = 0x1000 + offset + i;
        samples[i].frames = &frames[i];
        samples[i].n_frames = 1;
        samples[i].thread = "main";
        samples[i].values[0] = 1;
        samples[i].values[1] = (int64_t) (offset + i);
    }

    memory = parcel_make(1, 0, samples, n, 0);
    free(frames);
    free(samples);

    return memory;
}


/* An hour of steps, each with spans of the same stack. */
Test(stack_merge, memory_grows_as_spans_do)
{
    uint32_t              i;
    struct stack_frame    frame = {.address = 0x2010, .module = 1};
    struct profile_span   spans[100];
    struct profile_sample sample = {.frames = &frame,
                                    .n_frames = 1,
                                    .thread = "a",
                                    .spans = spans,
                                    .n_spans = 100};
    struct parcel_memory  memory;
    struct stack_merge    merge;
    struct stack_profile  profile;

    for (i = 0; i < 100; i++) {
        spans[i] = (struct profile_span){.span = i + 1, .ns = 1, .time_ns = 1};
    }

    sample.values[0] = 100;
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    memory = parcel_make(1, 0, &sample, 1, 0);

    for (i = 0; i < 360; i++) {
        merge_parcel(&merge, &memory, NULL);
    }

    free(memory.bytes);
    stack_merge_profile(&merge, &profile);
    cr_assert_eq(profile.n_samples, 1);
    cr_assert_eq(profile.samples[0].n_spans, 36000);
    cr_assert_eq(profile.samples[0].spans[35999].span, 100);
    cr_assert_lt(merge.arena.mapped, 8 * 36000 * sizeof(spans[0]));
    stack_merge_free(&merge);
}


Test(stack_merge, workers_that_number_things_otherwise)
{
    size_t                i;
    struct stack_frame    one[] = {{.address = 0x2010, .module = 1}};
    struct stack_frame    two[] = {{.address = 0x2010, .module = 0}};
    struct profile_sample of_one
        = {.frames = one, .n_frames = 1, .thread = "a", .labels = 2};
    struct profile_sample of_two
        = {.frames = two, .n_frames = 1, .thread = "a", .labels = 4};
    struct parcel_memory memory;
    struct stack_merge   merge;
    struct stack_profile profile;
    const struct label  *label;

    of_one.values[0] = 1;
    of_two.values[0] = 10;
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);

    memory = parcel_make(1, 0, &of_one, 1, 0);
    merge_parcel(&merge, &memory, NULL);
    free(memory.bytes);
    memory = parcel_make(2, 0, &of_two, 1, 1);
    merge_parcel(&merge, &memory, NULL);
    merge_parcel(&merge, &memory, "old");
    free(memory.bytes);

    stack_merge_profile(&merge, &profile);
    cr_assert_eq(profile.n_samples, 2);
    cr_assert_eq(profile.samples[0].values[0], 11);
    cr_assert_eq(profile.samples[1].values[0], 10);
    cr_assert_str_eq(profile.modules[0]->path, "/nginx");

    for (i = 0; i < 2; i++) {
        cr_assert_eq(profile.samples[i].frames[0].module, 1);
        cr_assert_str_eq(profile.modules[1]->path, "/plug-in.so");
    }

    /* all labels, and the mark */
    label = stack_profile_label(&profile, profile.samples[1].labels);
    for (i = 0; label != NULL; i++) {
        cr_assert((i == 0) == (strcmp(label->name, "old") == 0));
        label = stack_profile_label(&profile, label->rest);
    }

    cr_assert_eq(i, 3);
    stack_merge_free(&merge);
}


Test(stack_merge, what_has_no_room_is_other)
{
    size_t               n = STACK_MERGE_SAMPLES + 1000;
    struct parcel_memory memory = parcel_of_many(n, 0);
    struct stack_merge   merge;
    struct stack_profile profile;

    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    merge_parcel(&merge, &memory, NULL);
    cr_assert_eq(merge.overflows, 1000);

    /* what is there already finds its place */
    merge_parcel(&merge, &memory, NULL);
    cr_assert_eq(merge.overflows, 2000);

    stack_merge_profile(&merge, &profile);
    cr_assert_leq(profile.n_samples, STACK_MERGE_SAMPLES + 1);
    sums_are(&profile, 2 * (int64_t) n, (int64_t) (n * (n - 1)));

    stack_merge_free(&merge);
    free(memory.bytes);
}


Test(stack_merge, the_heaviest_stay)
{
    size_t               i, others;
    struct parcel_memory memory = parcel_of_many(1000, 0);
    struct stack_merge   merge;
    struct stack_profile profile;

    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    merge_parcel(&merge, &memory, NULL);
    cr_assert_eq(stack_merge_shrink(&merge, 100, 0), 0);
    stack_merge_profile(&merge, &profile);

    cr_assert_leq(profile.n_samples, 101);
    sums_are(&profile, 1000, 999 * 1000 / 2);
    others = 0;

    for (i = 0; i < profile.n_samples; i++) {
        if (profile.samples[i].frames[0].kind == STACK_FRAME_OTHER) {
            others++;
        } else {
            cr_assert_geq(profile.samples[i].values[1], 900);
        }
    }

    cr_assert_eq(others, 1);
    stack_merge_free(&merge);
    free(memory.bytes);
}


Test(stack_merge, what_was_folded_since_is_taken_off_other)
{
    int64_t              minus[4] = {-1, -5}, plus[4] = {1, 5};
    struct parcel_memory memory = parcel_of_many(1, 0);
    struct parcel_reader r;
    struct parcel_sample s;
    struct stack_merge   merge;
    struct stack_profile profile;

    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    cr_assert_eq(parcel_read(&r, memory.bytes, memory.n), 0);
    cr_assert_eq(parcel_next(&r, &s), PARCEL_PROFILE);
    stack_merge_source(&merge);
    cr_assert_eq(parcel_next(&r, &s), PARCEL_SAMPLE);
    cr_assert_eq(stack_merge_add(&merge, &r, &s, minus), 0);
    cr_assert_eq(stack_merge_other(&merge, plus), 0);

    cr_assert_eq(stack_merge_settle(&merge, 0), 0);
    stack_merge_profile(&merge, &profile);
    cr_assert_eq(profile.n_samples, 0);

    parcel_read_end(&r);
    stack_merge_free(&merge);
    free(memory.bytes);
}
