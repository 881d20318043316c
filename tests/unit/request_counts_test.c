
/*
 * Requests by label set: counted, and as comments of a file.
 */

#include "decoded_profile.h"

#include "aggregate/request_counts.h"
#include "aggregate/stack_table.h"
#include "encode/pprof_encode.h"
#include "encode/pprof_requests.h"


static uint32_t
version_set(const char *version)
{
    return label_set_with(0, (struct label_text){"version", 7},
                          (struct label_text){version, strlen(version)}, false);
}


Test(request_counts, each_label_set_has_its_own)
{
    size_t                i;
    uint32_t              one = version_set("1"), two = version_set("2");
    struct stack_profile *profile;
    const int64_t         wanted[] = {2, 1, 3};

    for (i = 0; i < 3; i++) {
        request_counts_add(two);
    }

    request_counts_add(one);
    request_counts_add(LABEL_SET_NONE);
    request_counts_add(LABEL_SETS);

    profile = request_counts_profile();
    cr_assert_eq(profile->n_samples, 3);

    for (i = 0; i < 3; i++) {
        cr_expect_eq(profile->samples[i].labels,
                     ((uint32_t[]){LABEL_SET_NONE, one, two})[i]);
        cr_expect_eq(profile->samples[i].values[0], wanted[i]);
    }

    stack_profile_free(profile);
    request_counts_reset();
    profile = request_counts_profile();
    cr_expect_eq(profile->n_samples, 0);
    stack_profile_free(profile);
}


/* The comments of a file of these requests. */
static profile_t *
comments_of(const struct stack_profile *requests)
{
    size_t                      len;
    uint8_t                    *out;
    struct module_identity      module = {.path = "/a", .fd = -1};
    struct module_identity     *modules[] = {&module};
    struct stack_profile        profile = {.modules = modules,
                                           .n_modules = 1,
                                           .value_types = {{"a", "n"}},
                                           .n_value_types = 1,
                                           .period_type = {"a", "n"}};
    const struct stack_profile *profiles[] = {&profile};
    const struct pprof_form     form = {.gzip_level = 1, .requests = requests};

    cr_assert_eq(pprof_encode_all(profiles, 1, &form, NULL, &out, &len), 0);

    return decode(out, len);
}


Test(request_counts, comments_have_all_and_each_set)
{
    profile_t         *p;
    const struct label labels[] = {{0}, {0, "a", "x\"\\\n,=}"}, {1, "b", "y"}};
    struct profile_sample samples[]
        = {{.labels = 0, .values = {5}}, {.labels = 2, .values = {7}}};
    struct stack_profile requests = {.samples = samples,
                                     .n_samples = 2,
                                     .label_sets = labels,
                                     .n_label_sets = 3};

    p = comments_of(&requests);

    cr_assert_eq(p->n_comment, 3);
    cr_expect_str_eq(text_of(p, p->comment[0]), "requests=12");
    cr_expect_str_eq(text_of(p, p->comment[1]), "requests{}=5");
    cr_expect_str_eq(text_of(p, p->comment[2]),
                     "requests{b=\"y\",a=\"x\\\"\\\\\\n,=}\"}=7");

    requests.n_samples = 0;
    p = comments_of(&requests);

    cr_assert_eq(p->n_comment, 1);
    cr_expect_str_eq(text_of(p, p->comment[0]), "requests=0");
    cr_expect_eq(comments_of(NULL)->n_comment, 0);
}


Test(request_counts, too_many_sets_have_no_comments)
{
    size_t                i;
    profile_t            *p;
    struct profile_sample samples[PPROF_REQUEST_SETS + 1] = {0};
    struct stack_profile  requests
        = {.samples = samples, .n_samples = PPROF_REQUEST_SETS + 1};

    for (i = 0; i < requests.n_samples; i++) {
        samples[i].values[0] = 2;
    }

    p = comments_of(&requests);

    cr_assert_eq(p->n_comment, 1);
    cr_expect_str_eq(text_of(p, p->comment[0]), "requests=514");
}
