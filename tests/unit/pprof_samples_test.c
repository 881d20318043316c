/*
 * Files of several profiles, and labels as their receivers want them.
 */

#include "decoded_profile.h"

#include "encode/pprof_encode.h"


/* Two profiles whose modules and label sets are numbered differently. */
Test(pprof_samples, several_profiles_in_one_file)
{
    size_t                  i, len;
    uint8_t                *out;
    profile_t              *p;
    struct module_identity  a = {.path = "/a", .text_end = 4096, .fd = -1};
    struct module_identity  b = {.path = "/b", .text_end = 4096, .fd = -1};
    struct module_identity *modules_1[] = {&a, &b}, *modules_2[] = {&a, &b};

    const struct label labels_1[] = {{0}, {0, "version", "1"}, {1, "x", "y"}};
    const struct label labels_2[] = {{0}, {0, "x", "y"}};

    const struct stack_frame frame_1 = {.address = 16, .module = 1};
    const struct stack_frame frame_2 = {.address = 16, .module = 0};

    struct profile_sample samples_1[] = {
        {.frames = &frame_1,
         .n_frames = 1,
         .thread = "t",
         .labels = 2,
         .values = {1, 10}},
        {.frames = &frame_1, .n_frames = 1, .thread = "t", .values = {2, 20}}};
    struct profile_sample samples_2[] = {{.frames = &frame_2,
                                          .n_frames = 1,
                                          .thread = "t",
                                          .labels = 1,
                                          .values = {5}}};

    struct stack_profile one = {.modules = modules_1,
                                .n_modules = 2,
                                .value_types = {{"a", "n"}, {"b", "n"}},
                                .n_value_types = 2,
                                .period_type = {"a", "n"},
                                .period = 1,
                                .samples = samples_1,
                                .n_samples = 2,
                                .label_sets = labels_1,
                                .n_label_sets = 3};
    struct stack_profile two = {.modules = modules_2 + 1,
                                .n_modules = 1,
                                .value_types = {{"c", "n"}},
                                .n_value_types = 1,
                                .samples = samples_2,
                                .n_samples = 1,
                                .label_sets = labels_2,
                                .n_label_sets = 2};

    const struct stack_profile *profiles[] = {&one, &two};
    struct pprof_form           form
        = {.names = PPROF_NAMES_DATADOG, .version = "1", .gzip_level = 1};

    struct symbolizer *symbolizer = symbolizer_create(NULL);

    cr_assert_eq(pprof_encode_all(profiles, 2, &form, symbolizer, &out, &len),
                 0);
    p = decode(out, len);

    cr_assert_eq(p->n_sample_type, 3);
    cr_assert_str_eq(text_of(p, p->sample_type[2]->type), "c");
    cr_assert_eq(p->n_location, 1, "the same module by two numbers");
    cr_assert_eq(p->n_sample, 3);

    for (i = 0; i < 3; i++) {
        cr_assert_eq(p->sample[i]->n_value, 3);
        cr_assert_str_eq(text_of(p, p->sample[i]->label[0]->key),
                         "thread name");
    }

    /* the version is said by the file, x=y is not */
    cr_assert_eq(p->sample[0]->n_label, 2);
    cr_assert_str_eq(text_of(p, p->sample[0]->label[1]->key), "x");
    cr_assert_eq(p->sample[0]->value[1], 10);
    cr_assert_eq(p->sample[0]->value[2], 0);
    cr_assert_eq(p->sample[1]->n_label, 1);
    cr_assert_eq(p->sample[2]->n_label, 2);
    cr_assert_str_eq(text_of(p, p->sample[2]->label[1]->key), "x");
    cr_assert_eq(p->sample[2]->value[0], 0);
    cr_assert_eq(p->sample[2]->value[2], 5);

    perftools__profiles__profile__free_unpacked(p, NULL);
    symbolizer_destroy(symbolizer);
    free(out);
}


/* A name that Pyroscope takes, and no key twice, whatever labels there are. */
Test(pprof_samples, names_of_series)
{
    size_t                  len;
    uint8_t                *out;
    profile_t              *p;
    struct module_identity  a = {.path = "/a", .text_end = 4096, .fd = -1};
    struct module_identity *modules[] = {&a};

    const struct label labels[]
        = {{0}, {0, "x-y", "1"}, {1, "x_y", "2"}, {2, "9z", "3"}};

    const struct stack_frame frame = {.address = 16, .module = 0};
    struct profile_sample    sample = {.frames = &frame,
                                       .n_frames = 1,
                                       .thread = "t",
                                       .labels = 3,
                                       .values = {1}};

    struct stack_profile one = {.modules = modules,
                                .n_modules = 1,
                                .value_types = {{"a", "n"}},
                                .n_value_types = 1,
                                .period_type = {"a", "n"},
                                .period = 1,
                                .samples = &sample,
                                .n_samples = 1,
                                .label_sets = labels,
                                .n_label_sets = 4};

    const struct stack_profile *profiles[] = {&one};
    struct pprof_form           form = {.names = PPROF_NAMES_SERIES};

    struct symbolizer *symbolizer = symbolizer_create(NULL);

    cr_assert_eq(pprof_encode_all(profiles, 1, &form, symbolizer, &out, &len),
                 0);
    p = decode(out, len);

    cr_assert_eq(p->sample[0]->n_label, 3);
    cr_assert_str_eq(text_of(p, p->sample[0]->label[0]->key), "thread");
    cr_assert_str_eq(text_of(p, p->sample[0]->label[1]->key), "_9z");
    cr_assert_str_eq(text_of(p, p->sample[0]->label[2]->key), "x_y");
    cr_assert_str_eq(text_of(p, p->sample[0]->label[2]->str), "2");

    perftools__profiles__profile__free_unpacked(p, NULL);
    symbolizer_destroy(symbolizer);
    free(out);
}
