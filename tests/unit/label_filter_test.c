/*
 * Profiles of the samples that have certain labels.
 */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "encode/label_filter.h"


#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Number 2 is the set version=1, location=/a; 3 is version=2. */
static const struct label labels[] = {{0, NULL, NULL},
                                      {0, "location", "/a"},
                                      {1, "version", "1"},
                                      {0, "version", "2"}};

static struct profile_span spans[3];

/* By what samples are told apart: the first value. */
static struct profile_sample samples[5];

static struct stack_profile profile;


static void
profile_make(void)
{
    size_t i;

    static const char *const threads[] = {"main", "pool", "main", "main", ""};
    static const uint32_t    sets[] = {2, 2, 3, 0, 0};

    for (i = 0; i < ROWS(samples); i++) {
        samples[i] = (struct profile_sample){
            .thread = threads[i],
            .labels = sets[i],
            .values = {1 << i, 1000},
        };
    }

    /* of the first sample a half is span 7's, in two pieces, a fifth 8's */
    spans[0] = (struct profile_span){.span = 7, .ns = 333};
    spans[1] = (struct profile_span){.span = 8, .ns = 200};
    spans[2] = (struct profile_span){.span = 7, .ns = 167};
    samples[0].values[0] = 10;
    samples[0].spans = spans;
    samples[0].n_spans = 3;
    samples[0].span_ns = 1000;

    profile = (struct stack_profile){
        .samples = samples,
        .n_samples = ROWS(samples),
        .label_sets = labels,
        .n_label_sets = ROWS(labels),
    };
}


/* A filter of "name=value" that end with NUL each, and with one more. */
static struct label_filter *
filter_of(const char *wanted)
{
    uint32_t                 n = 0;
    const char              *value;
    struct nprof_label_match matches[NPROF_MATCHES_MAX];

    for (/* void */; *wanted != '\0'; wanted = value + strlen(value) + 1) {
        value = strchr(wanted, '=') + 1;
        matches[n].name
            = (struct nprof_text){wanted, (size_t) (value - wanted) - 1};
        matches[n].value = (struct nprof_text){value, strlen(value)};
        n++;
    }

    return label_filter_create(matches, n);
}


/* The sum of the first value of the samples that are left. */
static int64_t
left_of(const char *wanted, bool requests)
{
    size_t               i;
    int64_t              sum = 0;
    struct label_filter *filter = filter_of(wanted);

    profile_make();

    if (requests) {
        label_filter_requests(filter, &profile);
    } else {
        label_filter_samples(filter, &profile);
    }

    for (i = 0; i < profile.n_samples; i++) {
        sum += profile.samples[i].values[0];
    }

    free(filter);

    return sum;
}


Test(label_filter, samples_by_their_labels)
{
    size_t i;

    static const struct {
        const char *wanted;
        int64_t     samples;
        int64_t     requests;
    } rows[] = {
        {"", 40, 40},
        {"version=1\0", 12, 12},
        {"version=2\0", 4, 4},
        {"version=3\0", 0, 0},
        {"location=/a\0", 12, 12},
        {"location=/a\0version=1\0", 12, 12},
        {"location=/a\0version=2\0", 0, 0},
        /* without such a label */
        {"version=\0", 24, 24},
        {"location=\0version=2\0", 4, 4},
        {"nothing=\0", 40, 40},
        {"nothing=x\0", 0, 0},
        {"versio=1\0", 0, 0},
        /* requests have no thread */
        {"thread=main\0", 22, 40},
        {"thread=pool\0", 2, 40},
        {"thread=\0", 16, 40},
        {"thread=main\0version=1\0", 10, 12},
        /* nor a span */
        {"span_id=7\0", 5, 40},
        {"local_root_span_id=8\0", 2, 40},
        {"span_id=7\0local_root_span_id=7\0", 5, 40},
        {"span_id=7\0local_root_span_id=8\0", 0, 40},
        {"span_id=7\0version=2\0", 0, 4},
        {"span_id=9\0", 0, 40},
        {"span_id=\0", 33, 40},
        {"span_id=\0version=1\0", 5, 12},
        /* no span has these */
        {"span_id=0\0", 0, 0},
        {"span_id=x\0", 0, 0},
        {"span_id=7x\0", 0, 0},
        {"span_id= 7\0", 0, 0},
        {"span_id=99999999999999999999\0", 0, 0},
    };

    for (i = 0; i < ROWS(rows); i++) {
        cr_expect_eq(left_of(rows[i].wanted, false), rows[i].samples, "%s",
                     rows[i].wanted);
        cr_expect_eq(left_of(rows[i].wanted, true), rows[i].requests, "%s",
                     rows[i].wanted);
    }
}


/* A file shows ids as signed numbers. */
Test(label_filter, span_ids_with_the_top_bit)
{
    struct label_filter *filter = filter_of("span_id=-1\0");

    profile_make();
    spans[1].span = UINT64_MAX;
    label_filter_samples(filter, &profile);
    cr_assert_eq(profile.n_samples, 1);
    cr_assert_eq(samples[0].values[0], 2);
    free(filter);
}


Test(label_filter, pieces_of_a_span_become_one)
{
    struct label_filter *filter = filter_of("span_id=7\0");

    profile_make();
    label_filter_samples(filter, &profile);
    cr_assert_eq(profile.n_samples, 1);
    cr_assert_eq(samples[0].values[1], 500);
    cr_assert_eq(samples[0].n_spans, 1);
    cr_assert_eq(samples[0].spans[0].span, 7);
    cr_assert_eq(samples[0].spans[0].ns, 500);
    cr_assert_eq(samples[0].span_ns, 500);
    free(filter);
}
