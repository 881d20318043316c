
/*
 * Contexts of traces: what is read of headers, and what is sent on.
 */


#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "trace/trace_context.h"


#define ALL (TRACE_STYLE_DATADOG | TRACE_STYLE_W3C)

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


struct headers {
    struct nprof_text texts[NPROF_TRACE_HEADERS];
};


static void
set(struct headers *headers, enum nprof_trace_header which, const char *text)
{
    headers->texts[which] = (struct nprof_text){text, strlen(text)};
}


static struct trace_context
read_all(const struct headers *headers)
{
    struct trace_context context;

    trace_context_read(&context, ALL, headers->texts);

    return context;
}


/* What is sent on of it, as one text. */
static const char *
sent(const struct trace_context *context, const struct trace_passed *passed,
     enum nprof_trace_header which)
{
    static char       text[NPROF_TRACE_HEADERS_SIZE + 1];
    static char       buffer[NPROF_TRACE_HEADERS_SIZE];
    struct nprof_text values[NPROF_TRACE_HEADERS];

    trace_context_write(context, ALL, passed, buffer, values);

    if (values[which].data == NULL) {
        return NULL;
    }

    memcpy(text, values[which].data, values[which].len);
    text[values[which].len] = '\0';

    return text;
}


static const struct trace_passed kept
    = {.span_id = 0xab, .priority = TRACE_PRIORITY_AUTO_KEEP};


Test(trace_context, nothing_is_a_new_trace)
{
    struct headers       headers = {0};
    struct trace_context context = read_all(&headers);

    cr_assert_eq(context.trace_low, 0);
    cr_assert_eq(context.priority, TRACE_PRIORITY_NONE);
    cr_assert_null(context.datadog_error);
    cr_assert_null(context.w3c_error);
}


Test(trace_context, datadog_that_is_none)
{
    size_t               i;
    struct trace_context context;

    static const char *const bad[][3] = {
        {"0", "1", ""},
        {"", "1", ""},
        {"-1", "1", ""},
        {"18446744073709551616", "1", ""},
        {"1x", "1", ""},
        {" 1", "1", ""},
        {"1", "", ""},
        {"1", "x", "rum"},
        {"1", "99999999999999999999", "rum"},
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct headers headers = {0};

        set(&headers, NPROF_DATADOG_TRACE_ID, bad[i][0]);
        set(&headers, NPROF_DATADOG_PARENT_ID, bad[i][1]);
        set(&headers, NPROF_DATADOG_ORIGIN, bad[i][2]);
        set(&headers, NPROF_DATADOG_PRIORITY, "2");
        context = read_all(&headers);
        cr_assert_eq(context.trace_low, 0, "%zu", i);
        cr_assert_eq(context.parent_id, 0, "%zu", i);
        cr_assert_eq(context.priority, TRACE_PRIORITY_NONE, "%zu", i);
        cr_assert_eq(context.origin.len, 0, "%zu", i);
    }
}


Test(trace_context, datadog_ids_have_64_bits)
{
    struct headers       headers = {0};
    struct trace_context context;

    set(&headers, NPROF_DATADOG_TRACE_ID, "18446744073709551615");
    set(&headers, NPROF_DATADOG_PARENT_ID, "18446744073709551614");
    context = read_all(&headers);
    cr_assert_eq(context.trace_low, UINT64_MAX);
    cr_assert_eq(context.parent_id, UINT64_MAX - 1);
    cr_assert_eq(context.trace_high, 0);
    cr_assert_eq(context.priority, TRACE_PRIORITY_NONE);
    cr_assert_str_eq(sent(&context, &kept, NPROF_DATADOG_TRACE_ID),
                     "18446744073709551615");
    cr_assert_null(sent(&context, &kept, NPROF_DATADOG_TAGS));
    cr_assert_null(sent(&context, &kept, NPROF_DATADOG_ORIGIN));
}


Test(trace_context, priorities)
{
    size_t               i;
    struct headers       headers = {0};
    struct trace_context context;

    static const struct {
        const char *text;
        int32_t     priority;
    } all[] = {
        {"-1", -1},
        {"0", 0},
        {"1", 1},
        {"2", 2},
        {"12", 12},
        {"", TRACE_PRIORITY_NONE},
        {"-", TRACE_PRIORITY_NONE},
        {"1.0", TRACE_PRIORITY_NONE},
        {"100", TRACE_PRIORITY_NONE},
    };

    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        set(&headers, NPROF_DATADOG_PRIORITY, all[i].text);
        context = read_all(&headers);
        cr_assert_eq(context.priority, all[i].priority, "%s", all[i].text);
    }
}


Test(trace_context, tags_that_are_too_long_or_wrong)
{
    char                 tags[TRACE_TAGS_MAX + 2];
    struct headers       headers = {0};
    struct trace_context context;

    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");

    memset(tags, 'x', sizeof(tags));
    memcpy(tags, "_dd.p.a=", 8);
    tags[TRACE_TAGS_MAX + 1] = '\0';
    set(&headers, NPROF_DATADOG_TAGS, tags);
    context = read_all(&headers);
    cr_assert_str_eq(context.datadog_error, "extract_max_size");
    cr_assert_null(sent(&context, &kept, NPROF_DATADOG_TAGS));

    tags[TRACE_TAGS_MAX] = '\0';
    set(&headers, NPROF_DATADOG_TAGS, tags);
    context = read_all(&headers);
    cr_assert_null(context.datadog_error);
    cr_assert_str_eq(sent(&context, &kept, NPROF_DATADOG_TAGS), tags);

    set(&headers, NPROF_DATADOG_TAGS, "_dd.p.tid=ABCDEFABCDEFABCD,_dd.p.b=1");
    context = read_all(&headers);
    cr_assert_str_eq(context.datadog_error, "malformed_tid");
    cr_assert_eq(context.trace_high, 0);
    cr_assert_str_eq(sent(&context, &kept, NPROF_DATADOG_TAGS), "_dd.p.b=1");

    set(&headers, NPROF_DATADOG_TAGS,
        ",,=,_dd.p.=1,x=y,_dd.p.c,_dd.p.d=,_dd.p.e=\x80,_dd.p.f=a=b;c~d,");
    context = read_all(&headers);
    cr_assert_str_eq(sent(&context, &kept, NPROF_DATADOG_TAGS),
                     "_dd.p.f=a=b;c~d");
    cr_assert_str_eq(sent(&context, &kept, NPROF_TRACESTATE),
                     "dd=s:1;p:00000000000000ab;t.f:a~b_c_d");
}


Test(trace_context, traceparent_that_is_none)
{
    size_t               i;
    struct headers       headers = {0};
    struct trace_context context;

    static const char *const bad[][2] = {
        {"x", "malformed_traceparent"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
         "malformed_traceparent"},
        {"00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "malformed_traceparent"},
        {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "malformed_traceparent"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
         "malformed_traceparent"},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "invalid_version"},
        {PARENT "-more", "invalid_version"},
        {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
         "invalid_version"},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
         "trace_id_zero"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
         "parent_id_zero"},
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set(&headers, NPROF_TRACEPARENT, bad[i][0]);
        set(&headers, NPROF_TRACESTATE, "dd=s:2;o:rum");
        context = read_all(&headers);
        cr_assert_eq(context.trace_low, 0, "%zu", i);
        cr_assert_eq(context.priority, TRACE_PRIORITY_NONE, "%zu", i);
        cr_assert_eq(context.origin.len, 0, "%zu", i);
        cr_assert_str_eq(context.w3c_error, bad[i][1], "%zu", i);
    }
}


Test(trace_context, a_later_version_of_traceparent)
{
    struct headers       headers = {0};
    struct trace_context context;

    set(&headers, NPROF_TRACEPARENT,
        "42-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more");
    context = read_all(&headers);
    cr_assert_eq(context.trace_high, 0x4bf92f3577b34da6);
    cr_assert_eq(context.trace_low, 0xa3ce929d0e0e4736);
    cr_assert_eq(context.parent_id, 0x00f067aa0ba902b7);
    cr_assert_eq(context.priority, 1);
    cr_assert_str_eq(sent(&context, &kept, NPROF_TRACEPARENT),
                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
}


/* The flag says less than the member's priority, and more when they differ. */
Test(trace_context, priority_of_tracestate)
{
    size_t               i;
    struct headers       headers = {0};
    struct trace_context context;

    static const struct {
        const char *flags;
        const char *state;
        int32_t     priority;
    } all[] = {
        {"01", "dd=s:2", 2},   {"01", "dd=s:-1", 1}, {"00", "dd=s:-1", -1},
        {"00", "dd=s:2", 0},   {"01", "dd=s:x", 1},  {"01", "dd=", 1},
        {"01", "a=dd=s:2", 1}, {"00", "", 0},        {"01", "a=b,\tdd=s:2 ", 2},
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char parent[] = PARENT;

        memcpy(parent + 53, all[i].flags, 2);
        set(&headers, NPROF_TRACEPARENT, parent);
        set(&headers, NPROF_TRACESTATE, all[i].state);
        context = read_all(&headers);
        cr_assert_eq(context.priority, all[i].priority, "%zu", i);
    }
}


Test(trace_context, both_styles_of_one_trace)
{
    struct headers       headers = {0};
    struct trace_context context;

    set(&headers, NPROF_DATADOG_TRACE_ID, "11803532876627986230");
    set(&headers, NPROF_DATADOG_PARENT_ID, "5");
    set(&headers, NPROF_DATADOG_PRIORITY, "0");
    set(&headers, NPROF_TRACEPARENT, PARENT);
    set(&headers, NPROF_TRACESTATE, "x=1,dd=s:2;p:0000000000000005;zz:9,y=2");
    context = read_all(&headers);

    /* a service between knows only W3C's: it is the caller */
    cr_assert_eq(context.trace_low, 0xa3ce929d0e0e4736);
    cr_assert_eq(context.trace_high, 0x4bf92f3577b34da6);
    cr_assert_eq(context.parent_id, 0x00f067aa0ba902b7);
    cr_assert_eq(context.priority, 0);
    cr_assert(context.has_dd_parent);
    cr_assert_eq(memcmp(context.dd_parent, "0000000000000005", 16), 0);
    cr_assert_str_eq(sent(&context, &kept, NPROF_TRACESTATE),
                     "dd=s:1;p:00000000000000ab;zz:9,x=1,y=2");

    /* one who sends no member of ours: the last of ours is in our headers */
    set(&headers, NPROF_DATADOG_PARENT_ID, "171");
    set(&headers, NPROF_TRACESTATE, "x=1");
    context = read_all(&headers);
    cr_assert_eq(context.parent_id, 0x00f067aa0ba902b7);
    cr_assert(context.has_dd_parent);
    cr_assert_eq(memcmp(context.dd_parent, "00000000000000ab", 16), 0);

    /* another trace: W3C's counts for nothing */
    set(&headers, NPROF_DATADOG_PARENT_ID, "5");
    set(&headers, NPROF_DATADOG_TRACE_ID, "7");
    context = read_all(&headers);
    cr_assert_eq(context.trace_low, 7);
    cr_assert_eq(context.trace_high, 0);
    cr_assert_eq(context.parent_id, 5);
    cr_assert_str_eq(sent(&context, &kept, NPROF_TRACESTATE),
                     "dd=s:1;p:00000000000000ab");
}


Test(trace_context, what_was_decided_here)
{
    struct headers       headers = {0};
    struct trace_context context;
    struct trace_passed  passed = {
         .span_id = 0xab,
         .priority = TRACE_PRIORITY_USER_KEEP,
         .decision_maker = {"-3", 2},
         .rate = {"0.5", 3},
    };

    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");
    set(&headers, NPROF_DATADOG_TAGS,
        "_dd.p.dm=-9,_dd.p.ksr=1,_dd.p.tid=00000000000000cd,_dd.p.x=y");
    context = read_all(&headers);

    cr_assert_str_eq(sent(&context, &passed, NPROF_DATADOG_TAGS),
                     "_dd.p.tid=00000000000000cd,_dd.p.dm=-3,_dd.p.ksr=0.5,"
                     "_dd.p.x=y");
    cr_assert_str_eq(sent(&context, &passed, NPROF_TRACESTATE),
                     "dd=s:2;p:00000000000000ab;t.dm:-3;t.ksr:0.5;t.x:y");

    /* dropped by a rule: nobody decided to keep it */
    passed = (struct trace_passed){.span_id = 1, .priority = -1};
    cr_assert_str_eq(sent(&context, &passed, NPROF_DATADOG_TAGS),
                     "_dd.p.tid=00000000000000cd,_dd.p.ksr=1,_dd.p.x=y");
    cr_assert_str_eq(sent(&context, &passed, NPROF_DATADOG_PRIORITY), "-1");
    cr_assert_str_eq(sent(&context, &passed, NPROF_TRACEPARENT),
                     "00-00000000000000cd0000000000000001-0000000000000001-00");
}


Test(trace_context, styles_that_are_off)
{
    char                 buffer[NPROF_TRACE_HEADERS_SIZE];
    struct headers       headers = {0};
    struct nprof_text    values[NPROF_TRACE_HEADERS];
    struct trace_context context;

    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");
    set(&headers, NPROF_TRACEPARENT, PARENT);

    trace_context_read(&context, TRACE_STYLE_W3C, headers.texts);
    cr_assert_eq(context.trace_low, 0xa3ce929d0e0e4736);

    trace_context_write(&context, TRACE_STYLE_DATADOG, &kept, buffer, values);
    cr_assert_null(values[NPROF_TRACEPARENT].data);
    cr_assert_null(values[NPROF_TRACESTATE].data);
    cr_assert_not_null(values[NPROF_DATADOG_TRACE_ID].data);

    trace_context_read(&context, 0, headers.texts);
    cr_assert_eq(context.trace_low, 0);
}


/* Whatever is sent to us, what we send has its bounds, and is cut between
   members and parts. */
Test(trace_context, bounds)
{
    size_t               i, at;
    char                 state[6000];
    char                 origin[TRACE_ORIGIN_MAX + 2];
    const char          *text;
    struct headers       headers = {0};
    struct trace_context context;

    at = 0;

    for (i = 0; i < 100; i++) {
        at += (size_t) sprintf(state + at, "%sv%zu=%020zu", i ? "," : "", i, i);
    }

    at += (size_t) sprintf(state + at, ",dd=s:1");

    for (i = 0; i < 100; i++) {
        at += (size_t) sprintf(state + at, ";t.k%zu:%05zu", i, i);
    }

    set(&headers, NPROF_TRACEPARENT, PARENT);
    set(&headers, NPROF_TRACESTATE, state);
    context = read_all(&headers);

    text = sent(&context, &kept, NPROF_TRACESTATE);
    at = strcspn(text, ",");
    cr_assert_leq(at, TRACE_DD_MEMBER_MAX);
    cr_assert_geq(at, TRACE_DD_MEMBER_MAX - 16);
    cr_assert_eq(text[at - 6], ':');
    cr_assert_leq(strlen(text) - at, TRACE_MEMBERS_MAX);
    cr_assert_geq(strlen(text) - at, TRACE_MEMBERS_MAX - 32);
    cr_assert_eq(text[strlen(text) - 21], '=');

    /* they don't fit, and so there are none */
    cr_assert_null(sent(&context, &kept, NPROF_DATADOG_TAGS));

    memset(origin, 'o', sizeof(origin));
    origin[sizeof(origin) - 1] = '\0';
    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");
    set(&headers, NPROF_DATADOG_ORIGIN, origin);
    context = read_all(&headers);
    cr_assert_null(sent(&context, &kept, NPROF_DATADOG_ORIGIN));

    set(&headers, NPROF_DATADOG_ORIGIN, origin + 1);
    context = read_all(&headers);
    cr_assert_str_eq(sent(&context, &kept, NPROF_DATADOG_ORIGIN), origin + 1);
}


/* A span keeps the upper half of its trace's id, whatever comes along. */
Test(trace_context, tags_of_a_span_that_do_not_all_fit)
{
    char                 tags[TRACE_TAGS_MAX + 1], kept_tags[TRACE_TAGS_MAX];
    size_t               len;
    struct headers       headers = {0};
    struct trace_context context;

    memset(tags, 'x', sizeof(tags));
    memcpy(tags, "_dd.p.tid=640cfd8d00000000,_dd.p.b=1,_dd.p.a=", 45);
    tags[TRACE_TAGS_MAX] = '\0';
    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");
    set(&headers, NPROF_DATADOG_TAGS, tags);
    context = read_all(&headers);

    /* all fit, until there is one more */
    cr_assert_eq(trace_context_tags(&context, &kept, kept_tags),
                 TRACE_TAGS_MAX);
    len = trace_context_tags(&context,
                             &(const struct trace_passed){
                                 .priority = 1,
                                 .decision_maker = {"-1", 2},
                             },
                             kept_tags);
    cr_assert_eq(len,
                 strlen("_dd.p.tid=640cfd8d00000000,_dd.p.dm=-1,_dd.p.b=1"));
    cr_assert_eq(memcmp(kept_tags,
                        "_dd.p.tid=640cfd8d00000000,_dd.p.dm=-1,_dd.p.b=1",
                        len),
                 0);
}


/* An origin is written as the style has it, and W3C's in printable ASCII. */
Test(trace_context, origin_in_both_styles)
{
    char                 origin[TRACE_ORIGIN_MAX];
    struct headers       headers = {0};
    struct trace_context context;

    set(&headers, NPROF_TRACEPARENT, PARENT);
    set(&headers, NPROF_TRACESTATE, "dd=s:1;o:a~b");
    context = read_all(&headers);
    cr_assert_eq(trace_context_origin(&context, origin), 3);
    cr_assert_eq(memcmp(origin, "a=b", 3), 0);

    memset(&headers, 0, sizeof(headers));
    set(&headers, NPROF_DATADOG_TRACE_ID, "1");
    set(&headers, NPROF_DATADOG_PARENT_ID, "2");
    set(&headers, NPROF_DATADOG_ORIGIN, "\xc3\xa4=\t\x7f;");
    context = read_all(&headers);
    cr_assert_eq(trace_context_origin(&context, origin), 6);
    cr_assert_eq(memcmp(origin, "\xc3\xa4=\t\x7f;", 6), 0);
    cr_assert_str_eq(sent(&context, &kept, NPROF_TRACESTATE),
                     "dd=s:1;p:00000000000000ab;o:__~___");
}
