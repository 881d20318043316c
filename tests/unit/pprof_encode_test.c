/*
 * The encoder: every rule that readers of profile.proto hold producers to,
 * asked of the decoded file.
 */

#include "decoded_profile.h"
#include "symbol_fixture.h"

#include <errno.h>
#include <time.h>

#include "encode/mapping_layout.h"
#include "encode/pprof_encode.h"
#include "encode/utf8_text.h"
#include "sample/label_set.h"


#define NO_MODULE STACK_FRAME_NO_MODULE


static void
check_mappings(const profile_t *p)
{
    size_t i, j;

    for (i = 0; i < p->n_mapping; i++) {
        cr_assert_eq(p->mapping[i]->id, i + 1);
        cr_assert_lt(p->mapping[i]->memory_start, p->mapping[i]->memory_limit);
        cr_assert_str_neq(text_of(p, p->mapping[i]->filename), "");
        text_of(p, p->mapping[i]->build_id);

        for (j = 0; j < i; j++) {
            cr_assert(p->mapping[i]->memory_start >= p->mapping[j]->memory_limit
                          || p->mapping[j]->memory_start
                                 >= p->mapping[i]->memory_limit,
                      "mappings %zu and %zu overlap", i, j);
        }
    }
}


static void
check_tables(const profile_t *p)
{
    size_t i, j;

    for (i = 0; i < p->n_function; i++) {
        cr_assert_eq(p->function[i]->id, i + 1);
        cr_assert_str_neq(text_of(p, p->function[i]->name), "");
        text_of(p, p->function[i]->system_name);
        text_of(p, p->function[i]->filename);
    }

    for (i = 0; i < p->n_location; i++) {
        cr_assert_eq(p->location[i]->id, i + 1);
        cr_assert(p->location[i]->mapping_id >= 1
                  && p->location[i]->mapping_id <= p->n_mapping);
        cr_assert_gt(p->location[i]->n_line, 0);

        for (j = 0; j < p->location[i]->n_line; j++) {
            cr_assert(p->location[i]->line[j]->function_id >= 1
                      && p->location[i]->line[j]->function_id <= p->n_function);
        }
    }
}


/* What pprof's CheckValid asks, and more. */
static void
check_valid(const profile_t *p)
{
    size_t i, j;

    cr_assert_gt(p->n_string_table, 0);
    cr_assert_str_eq(p->string_table[0], "");

    for (i = 1; i < p->n_string_table; i++) {
        cr_assert_str_neq(p->string_table[i], "");
    }

    for (i = 0; i < p->n_sample_type; i++) {
        text_of(p, p->sample_type[i]->type);
        text_of(p, p->sample_type[i]->unit);
    }

    for (i = 0; i < p->n_sample; i++) {
        cr_assert_eq(p->sample[i]->n_value, p->n_sample_type);
        for (j = 0; j < p->sample[i]->n_location_id; j++) {
            cr_assert(p->sample[i]->location_id[j] >= 1
                      && p->sample[i]->location_id[j] <= p->n_location);
        }
    }

    check_mappings(p);
    check_tables(p);
}


static struct stack_profile
cpu_profile(struct module_identity **modules, uint32_t n_modules,
            struct profile_sample *samples, size_t n_samples)
{
    return (struct stack_profile){
        .modules = modules,
        .n_modules = n_modules,
        .value_types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
        .n_value_types = 2,
        .default_value_type = 1,
        .period_type = {"cpu", "nanoseconds"},
        .period = 10101010,
        .time_ns = 1700000000123456789,
        .duration_ns = 30000000000,
        .samples = samples,
        .n_samples = n_samples,
    };
}


static profile_t *
encode(const struct stack_profile *profile, const char *debug_folder)
{
    size_t             len;
    uint8_t           *out;
    profile_t         *decoded;
    struct symbolizer *symbolizer = symbolizer_create(debug_folder);

    cr_assert_eq(pprof_encode(profile, symbolizer, 5, &out, &len), 0);
    symbolizer_destroy(symbolizer);

    decoded = decode(out, len);
    check_valid(decoded);
    free(out);

    return decoded;
}


static struct module_identity
nginx_identity(void)
{
    struct module_identity nginx = fixture_identity(NGINX);

    nginx.bias = 0x555555554000;

    return nginx;
}


Test(pprof_encode, an_empty_profile_is_valid_and_has_nginx)
{
    size_t                 len;
    uint8_t               *out;
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_profile   profile = cpu_profile(modules, 1, NULL, 0);

    cr_assert_eq(pprof_encode(&profile, NULL, 5, &out, &len), 0);
    p = decode(out, len);
    check_valid(p);

    cr_expect_eq(p->n_sample, 0);
    cr_expect_eq(p->n_mapping, 1);
    cr_expect_str_eq(text_of(p, p->mapping[0]->filename), NGINX);
    cr_expect_eq(p->mapping[0]->has_functions, 0);
    cr_expect_eq(p->time_nanos, 1700000000123456789);
    cr_expect_eq(p->duration_nanos, 30000000000);
    cr_expect_eq(p->period, 10101010);
    cr_expect_str_eq(text_of(p, p->period_type->type), "cpu");
    cr_expect_str_eq(text_of(p, p->period_type->unit), "nanoseconds");
    cr_expect_eq(p->n_sample_type, 2);
    cr_expect_str_eq(text_of(p, p->sample_type[0]->type), "samples");
    cr_expect_str_eq(text_of(p, p->sample_type[1]->unit), "nanoseconds");
    cr_expect_str_eq(text_of(p, p->default_sample_type), "cpu");
    free(out);

    profile.n_modules = 0;
    cr_assert_eq(pprof_encode(&profile, NULL, 5, &out, &len), 0);
    check_valid(decode(out, len));
    free(out);

    cr_expect_eq(pprof_encode(&profile, NULL, 77, &out, &len), -EINVAL);
}


Test(pprof_encode, a_mapping_says_where_the_text_was)
{
    size_t                 i;
    char                   id[80] = "";
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    uint64_t address = fixture_address("nm -D", NGINX, "ngx_palloc") + 3;
    struct stack_frame    frame = {.address = address};
    struct profile_sample sample
        = {.frames = &frame, .n_frames = 1, .thread = "", .values = {1, 2}};
    struct stack_profile profile = cpu_profile(modules, 1, &sample, 1);

    p = encode(&profile, "/nonexistent");

    cr_assert_eq(p->n_mapping, 1);
    cr_expect_eq(p->mapping[0]->memory_start, nginx.bias + nginx.text_start);
    cr_expect_eq(p->mapping[0]->memory_limit, nginx.bias + nginx.text_end);
    cr_expect_eq(p->mapping[0]->file_offset, nginx.text_offset);

    for (i = 0; i < nginx.build_id_len; i++) {
        sprintf(id + 2 * i, "%02x", nginx.build_id[i]);
    }
    cr_expect_str_eq(text_of(p, p->mapping[0]->build_id), id);

    cr_expect_eq(p->location[0]->address, nginx.bias + address);
    cr_expect_str_eq(text_of(p, p->function[0]->name), "ngx_palloc");
    cr_expect_eq(p->mapping[0]->has_functions, 1);
    cr_expect_eq(p->mapping[0]->has_filenames, 0);
    cr_expect_eq(p->mapping[0]->has_line_numbers, 0);
    cr_expect_eq(p->sample[0]->n_label, 0);
    cr_expect_eq(p->sample[0]->value[0], 1);
    cr_expect_eq(p->sample[0]->value[1], 2);
}


Test(pprof_encode, a_mapping_has_functions_only_if_all_locations_have)
{
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_frame     frames[2] = {
            {.address = fixture_address("nm -D", NGINX, "ngx_palloc")},
            {.address = 0x10},
    };
    struct profile_sample sample = {.frames = frames, .n_frames = 2};
    struct stack_profile  profile = cpu_profile(modules, 1, &sample, 1);

    p = encode(&profile, "/nonexistent");
    cr_expect_eq(p->mapping[0]->has_functions, 0);
    cr_expect_str_eq(text_of(p, p->function[0]->name), "ngx_palloc");
    cr_expect_eq(strncmp(text_of(p, p->function[1]->name), "nginx+0x", 8), 0);
}


Test(pprof_encode, debug_information_sets_all_flags_and_inlined_lines,
     .init = fixture_setup, .fini = fixture_teardown)
{
    size_t                 i, most = 0;
    profile_t             *p;
    struct module_identity nginx = nginx_identity();
    struct module_identity module
        = fixture_identity(fixture_compile("cc", "inlined_calls.c", ""));
    struct module_identity *modules[] = {&nginx, &module};
    uint64_t start = fixture_address("nm", module.path, "fixture_sum");
    struct stack_frame    frames[40];
    struct profile_sample sample = {.frames = frames, .n_frames = 40};
    struct stack_profile  profile = cpu_profile(modules, 2, &sample, 1);

    module.bias = 0x7f0000000000;
    for (i = 0; i < 40; i++) {
        frames[i] = (struct stack_frame){.address = start + i, .module = 1};
    }

    p = encode(&profile, "/nonexistent");

    cr_assert_eq(p->n_mapping, 2);
    cr_expect_str_eq(text_of(p, p->mapping[0]->filename), NGINX);
    cr_expect_eq(p->mapping[1]->has_functions, 1);
    cr_expect_eq(p->mapping[1]->has_filenames, 1);
    cr_expect_eq(p->mapping[1]->has_line_numbers, 1);
    cr_expect_eq(p->mapping[1]->has_inline_frames, 1);
    cr_expect_eq(p->n_location, 40);
    cr_expect_leq(p->n_function, 3);

    for (i = 0; i < p->n_location; i++) {
        most = p->location[i]->n_line > most ? p->location[i]->n_line : most;
        cr_expect_gt(p->location[i]->line[0]->line, 0);
    }

    cr_expect_geq(most, 2);
}


Test(pprof_encode, frames_without_a_module_are_named_by_kind)
{
    size_t                 i;
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_frame     frames[] = {
            {.kind = STACK_FRAME_LOST, .module = NO_MODULE, .address = 99},
            {.kind = STACK_FRAME_TRUNCATED, .module = NO_MODULE},
            {.kind = STACK_FRAME_JIT, .module = NO_MODULE},
            {.kind = STACK_FRAME_OTHER, .module = NO_MODULE},
            {.kind = STACK_FRAME_LOST, .module = NO_MODULE, .address = 7},
            {.kind = STACK_FRAME_ROOT_MAIN, .address = 0x30000},
            {.kind = STACK_FRAME_ROOT_THREAD, .address = 0x30000},
            {.kind = STACK_FRAME_CODE, .module = 77, .address = 1},
            {.kind = 12345, .module = 0, .address = 1},
    };
    struct profile_sample sample = {.frames = frames, .n_frames = 9};
    struct stack_profile  profile = cpu_profile(modules, 1, &sample, 1);
    static const char    *names[]
        = {"[lost]", "[truncated]",  "[jit]",     "[other]",  "[lost]",
           "_start", "start_thread", "[unknown]", "[unknown]"};

    p = encode(&profile, "/nonexistent");
    cr_assert_eq(p->sample[0]->n_location_id, 9);

    for (i = 0; i < 9; i++) {
        const Perftools__Profiles__Location *location
            = p->location[p->sample[0]->location_id[i] - 1];

        cr_expect_str_eq(
            text_of(p, p->function[location->line[0]->function_id - 1]->name),
            names[i]);
        cr_expect_eq(location->mapping_id, i == 5 || i == 6 ? 1 : 2);
    }

    cr_expect_eq(p->n_location, 7);
    cr_expect_eq(p->n_mapping, 2);
    cr_expect_str_eq(text_of(p, p->mapping[0]->filename), NGINX);
    cr_expect_eq(text_of(p, p->mapping[1]->filename)[0], '[');
    cr_expect_eq(p->mapping[1]->has_functions, 1);
}


Test(pprof_encode, equal_stacks_of_a_thread_are_one_sample)
{
    size_t                 i;
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_frame     a[] = {{.address = 0x30000}, {.address = 0x40000}};
    struct stack_frame     b[] = {{.address = 0x30000}, {.address = 0x40000}};
    struct profile_sample  samples[] = {
         {.frames = a, .n_frames = 2, .thread = "nginx", .values = {1, 10}},
         {.frames = b, .n_frames = 2, .thread = "nginx", .values = {2, 20}},
         {.frames = a, .n_frames = 2, .thread = "pool", .values = {4, 40}},
         {.frames = a, .n_frames = 1, .thread = "nginx", .values = {8, 80}},
         {.frames = a, .n_frames = 2, .thread = "", .values = {16, 160}},
    };
    struct stack_profile profile = cpu_profile(modules, 1, samples, 5);
    static const int64_t values[] = {3, 4, 8, 16};
    static const char   *threads[] = {"nginx", "pool", "nginx", NULL};

    p = encode(&profile, "/nonexistent");
    cr_assert_eq(p->n_sample, 4);
    cr_expect_eq(p->n_location, 2);

    for (i = 0; i < 4; i++) {
        cr_expect_eq(p->sample[i]->value[0], values[i]);
        cr_expect_eq(p->sample[i]->value[1], 10 * values[i]);
        cr_assert_eq(p->sample[i]->n_label, threads[i] != NULL);

        if (threads[i] != NULL) {
            cr_expect_str_eq(text_of(p, p->sample[i]->label[0]->key), "thread");
            cr_expect_str_eq(text_of(p, p->sample[i]->label[0]->str),
                             threads[i]);
        }
    }
}


static uint32_t
labels_with(uint32_t set, const char *name, const char *value)
{
    return label_set_with(set, (struct label_text){name, strlen(name)},
                          (struct label_text){value, strlen(value)}, false);
}


Test(pprof_encode, labels_set_samples_apart)
{
    uint32_t               i, location, version;
    profile_t             *p;
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_frame     a[] = {{.address = 0x30000}};
    struct profile_sample  samples[] = {
         {.frames = a, .n_frames = 1, .thread = "main", .values = {1, 10}},
         {.frames = a, .n_frames = 1, .thread = "main", .values = {2, 20}},
         {.frames = a, .n_frames = 1, .thread = "main", .values = {4, 40}},
         {.frames = a, .n_frames = 1, .thread = "main", .values = {8, 80}},
         {.frames = a, .n_frames = 1, .thread = "", .values = {16, 160}},
    };
    struct stack_profile profile = cpu_profile(modules, 1, samples, 5);
    static const int64_t values[] = {1, 2 + 8, 4, 16};
    static const size_t  n_labels[] = {1, 2, 3, 1};

    location = labels_with(LABEL_SET_NONE, "location", "/\xff");
    version = labels_with(location, "version", "1.0.0");
    samples[1].labels = location;
    samples[2].labels = version;
    samples[3].labels = location;
    samples[4].labels = location;

    p = encode(&profile, "/nonexistent");
    cr_assert_eq(p->n_sample, 4);

    for (i = 0; i < 4; i++) {
        cr_expect_eq(p->sample[i]->value[0], values[i]);
        cr_assert_eq(p->sample[i]->n_label, n_labels[i]);
    }

    cr_expect_str_eq(text_of(p, p->sample[2]->label[0]->key), "thread");
    cr_expect_str_eq(text_of(p, p->sample[2]->label[0]->str), "main");
    cr_expect_str_eq(text_of(p, p->sample[2]->label[1]->key), "version");
    cr_expect_str_eq(text_of(p, p->sample[2]->label[1]->str), "1.0.0");
    cr_expect_str_eq(text_of(p, p->sample[2]->label[2]->key), "location");
    cr_expect_str_eq(text_of(p, p->sample[3]->label[0]->key), "location");
    cr_expect_str_eq(text_of(p, p->sample[3]->label[0]->str), "/\xef\xbf\xbd");
}


/* After a reload two plug-ins can sit at one address in two workers. */
Test(pprof_encode, modules_that_collide_are_moved_apart)
{
    size_t                  i;
    profile_t              *p;
    struct module_identity  nginx = nginx_identity();
    struct module_identity  v1 = {.path = "/a/libsort_v1.so",
                                  .fd = -1,
                                  .bias = 0x7f0000000000,
                                  .text_start = 0x1000,
                                  .text_end = 0x3000,
                                  .text_offset = 0x1000};
    struct module_identity  v2 = v1, v3 = v1;
    struct module_identity *modules[] = {&nginx, &v1, &v2, &v3};
    struct stack_frame      frames[]
        = {{.address = 0x1100, .module = 1},
           {.address = 0x1100, .module = 2},
           {.address = 0x1100, .module = 3},
           {.kind = STACK_FRAME_JIT, .module = NO_MODULE}};
    struct profile_sample sample = {.frames = frames, .n_frames = 4};
    struct stack_profile  profile = cpu_profile(modules, 4, &sample, 1);

    v2.path = "/b/libsort_v2.so";
    v3.path = "/c/libsort_v3.so";
    v3.bias += 0x1000;

    /* check_valid() looks at overlaps. */
    p = encode(&profile, "/nonexistent");
    cr_assert_eq(p->n_mapping, 5);
    cr_expect_eq(p->mapping[1]->memory_start, 0x7f0000001000);

    for (i = 0; i < 3; i++) {
        const Perftools__Profiles__Mapping *m = p->mapping[i + 1];

        cr_expect_eq(p->location[i]->mapping_id, i + 2);
        cr_expect_eq(p->location[i]->address, m->memory_start + 0x100);
        cr_expect_eq(m->memory_limit - m->memory_start, 0x2000);
        cr_expect_eq(m->file_offset, 0x1000);
    }
}


Test(pprof_encode, any_set_of_ranges_is_laid_out_without_overlap)
{
    unsigned               round;
    uint32_t               i, j, n;
    uint64_t               state = 3;
    struct block_arena     arena = {0};
    struct mapping_range  *ranges;
    struct module_identity modules[30], *pointers[30];

    for (round = 0; round < 300; round++) {
        n = (uint32_t) (fixture_random(&state) % 30);

        for (i = 0; i < n; i++) {
            modules[i] = (struct module_identity){
                .path = (char *) "/module",
                .inode = i,
                .bias = 0x100000000 + fixture_random(&state) % 64 * 4096,
                .text_end = fixture_random(&state) % 16 * 4096};
            pointers[i] = &modules[i];
        }

        ranges = mapping_layout(pointers, n, &arena);
        cr_assert_not_null(ranges);

        for (i = 0; i <= n; i++) {
            cr_assert_lt(ranges[i].start, ranges[i].limit);
            for (j = 0; j < i; j++) {
                cr_assert(ranges[i].start >= ranges[j].limit
                          || ranges[j].start >= ranges[i].limit);
            }
        }

        if (n > 0 && modules[0].text_end > 0) {
            cr_assert_eq(ranges[0].start, modules[0].bias);
        }

        block_arena_free(&arena);
    }
}


Test(pprof_encode, modules_lie_where_they_did_in_whichever_order_they_come)
{
    uint32_t               i;
    struct block_arena     arena = {0};
    struct mapping_range  *ranges, *others;
    struct module_identity modules[] = {
        {.path = (char *) "/nginx", .build_id = {9}, .build_id_len = 1},
        {.path = (char *) "/a.so", .build_id = {3}, .build_id_len = 1},
        {.path = (char *) "/b.so", .build_id = {1}, .build_id_len = 1},
        {.path = (char *) "/c.so", .inode = 5},
    };
    struct module_identity *met[]
        = {&modules[0], &modules[1], &modules[2], &modules[3]};
    struct module_identity *later[]
        = {&modules[0], &modules[3], &modules[2], &modules[1]};

    for (i = 0; i < 4; i++) {
        modules[i].bias = i == 0 ? 0x500000000000 : 0x7f0000000000;
        modules[i].text_end = (i + 1) * 0x1000;
    }

    ranges = mapping_layout(met, 4, &arena);
    others = mapping_layout(later, 4, &arena);

    for (i = 0; i < 4; i++) {
        cr_assert_eq(ranges[i].start, others[(4 - i) % 4].start, "%u", i);
        cr_assert_eq(ranges[i].limit, others[(4 - i) % 4].limit, "%u", i);
    }

    cr_assert_eq(ranges[0].start, modules[0].bias);
    block_arena_free(&arena);
}


Test(pprof_encode, text_that_is_no_utf8_is_repaired)
{
    size_t             i;
    struct block_arena arena = {0};
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", NULL},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"x\x80y", "x\xef\xbf\xbdy"},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_str_eq(utf8_text(cases[i].in, &arena),
                         cases[i].out ? cases[i].out : cases[i].in);
    }

    block_arena_free(&arena);
}


Test(pprof_encode, twenty_thousand_stacks_take_well_under_a_second)
{
    size_t                 i, j, len, n = 20000, depth = 30;
    uint8_t               *out;
    uint64_t               state = 11;
    profile_t             *p;
    struct timespec        t0, t1;
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity nginx = nginx_identity(), *modules[] = {&nginx};
    struct stack_frame    *frames = calloc(n * depth, sizeof(*frames));
    struct profile_sample *samples = calloc(n, sizeof(*samples));
    struct stack_profile   profile = cpu_profile(modules, 1, samples, n);

    for (i = 0; i < n; i++) {
        samples[i].frames = &frames[i * depth];
        samples[i].n_frames = (uint32_t) depth;
        samples[i].thread = "nginx";
        samples[i].values[0] = 1;

        for (j = 0; j < depth; j++) {
            frames[i * depth + j].address
                = 0x30000 + fixture_random(&state) % 5000 * 16;
        }
    }

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    cr_assert_eq(pprof_encode(&profile, symbolizer, 5, &out, &len), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);

    cr_expect_lt((double) (t1.tv_sec - t0.tv_sec)
                     + (double) (t1.tv_nsec - t0.tv_nsec) / 1e9,
                 1.0);

    p = decode(out, len);
    check_valid(p);
    cr_expect_eq(p->n_sample, n);
    symbolizer_destroy(symbolizer);
    free(out);
}
