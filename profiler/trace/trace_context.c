
/*
 * Reading contexts, and the tags that they carry; see trace_context.h.
 */


#include <string.h>

#include "text_writer.h"
#include "trace_context.h"
#include "trace_tags.h"


#define TRACEPARENT_LENGTH 55

#define NO_SPAN "0000000000000000"

static const struct nprof_text no_text;


/* A number of decimal digits alone; false if it is none, or too large. */
static bool
read_decimal(struct nprof_text text, uint64_t *number)
{
    size_t   i;
    uint64_t n, digit;

    n = 0;

    for (i = 0; i < text.len; i++) {
        digit = (uint64_t) (text.data[i] - '0');

        if (text.data[i] < '0' || digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return false;
        }

        n = n * 10 + digit;
    }

    *number = n;

    return text.len != 0;
}


/* Lower-case digits, as both styles demand them. */
static bool
read_hex(const char *text, size_t len, uint64_t *number)
{
    size_t      i;
    uint64_t    n;
    const char *digit;

    static const char digits[] = "0123456789abcdef";

    n = 0;

    for (i = 0; i < len; i++) {
        digit = memchr(digits, text[i], 16);
        if (digit == NULL) {
            return false;
        }

        n = n << 4 | (uint64_t) (digit - digits);
    }

    *number = n;

    return true;
}


/* A sampling priority: a small number. */
static int32_t
read_priority(struct nprof_text text)
{
    bool     negative;
    uint64_t number;

    negative = text.len > 1 && text.data[0] == '-';

    if (negative) {
        text.data++;
        text.len--;
    }

    if (!read_decimal(text, &number) || number > 99) {
        return TRACE_PRIORITY_NONE;
    }

    return negative ? -(int32_t) number : (int32_t) number;
}


static void
datadog_read_tags(struct trace_context *context, struct nprof_text tags)
{
    struct trace_tag        tag;
    struct trace_tag_cursor cursor;

    if (tags.len > TRACE_TAGS_MAX) {
        context->datadog_error = "extract_max_size";
        return;
    }

    context->tags = tags;
    cursor = trace_tags_begin(context);

    while (trace_tags_next(&cursor, &tag)) {
        if (!trace_tag_is(&tag, TRACE_TAG_TRACE_HIGH)) {
            continue;
        }

        if (tag.value.len != 16
            || !read_hex(tag.value.data, 16, &context->trace_high)) {
            context->trace_high = 0;
            context->datadog_error = "malformed_tid";
        }
    }
}


static void
datadog_read(struct trace_context *context, const struct nprof_text *headers)
{
    uint64_t          trace;
    struct nprof_text parent, origin;

    if (!read_decimal(headers[NPROF_DATADOG_TRACE_ID], &trace) || trace == 0) {
        return;
    }

    parent = headers[NPROF_DATADOG_PARENT_ID];
    origin = headers[NPROF_DATADOG_ORIGIN];

    /* what begins a trace without a span has an origin */
    if (parent.len == 0 ? origin.len == 0
                        : !read_decimal(parent, &context->parent_id)) {
        return;
    }

    context->trace_low = trace;
    context->tag_syntax = TRACE_TAGS_DATADOG;
    context->priority = read_priority(headers[NPROF_DATADOG_PRIORITY]);

    if (origin.len <= TRACE_ORIGIN_MAX) {
        context->origin = origin;
    }

    if (headers[NPROF_DATADOG_TAGS].len != 0) {
        datadog_read_tags(context, headers[NPROF_DATADOG_TAGS]);
    }
}


/* vv-<32 hex digits>-<16>-<2>, of a version above 00 maybe with more. */
static const char *
traceparent_read(struct trace_context *context, struct nprof_text text)
{
    uint64_t    version, flags;
    const char *p;

    p = text.data;

    if (text.len < TRACEPARENT_LENGTH || p[2] != '-' || p[35] != '-'
        || p[52] != '-' || !read_hex(p, 2, &version)
        || !read_hex(p + 3, 16, &context->trace_high)
        || !read_hex(p + 19, 16, &context->trace_low)
        || !read_hex(p + 36, 16, &context->parent_id)
        || !read_hex(p + 53, 2, &flags)) {
        return "malformed_traceparent";
    }

    if (version == 0xff || (version == 0 && text.len != TRACEPARENT_LENGTH)
        || (text.len > TRACEPARENT_LENGTH && p[TRACEPARENT_LENGTH] != '-')) {
        return "invalid_version";
    }

    if (context->trace_low == 0) {
        /* a span's trace is known by the lower half alone */
        return "trace_id_zero";
    }

    if (context->parent_id == 0) {
        return "parent_id_zero";
    }

    context->priority
        = (flags & 1) ? TRACE_PRIORITY_AUTO_KEEP : TRACE_PRIORITY_AUTO_DROP;

    return NULL;
}


/* What Datadog's services said in their member of tracestate. */
static void
dd_member_read(struct trace_context *context)
{
    int32_t                 priority;
    struct trace_tag        part;
    struct trace_tag_cursor cursor;

    cursor = trace_dd_parts(context->dd_member);

    while (trace_tags_next(&cursor, &part)) {
        if (trace_tag_is(&part, "s")) {
            priority = read_priority(part.value);

            /* the flag of traceparent may have changed since */
            if (priority != TRACE_PRIORITY_NONE
                && (priority > 0) == (context->priority > 0)) {
                context->priority = priority;
            }

        } else if (trace_tag_is(&part, "o")) {
            if (part.value.len <= TRACE_ORIGIN_MAX) {
                context->origin = part.value;
            }

        } else if (trace_tag_is(&part, "p") && part.value.len == 16) {
            memcpy(context->dd_parent, part.value.data, 16);
        }
    }

    context->tags = context->dd_member;
    context->tag_syntax = TRACE_TAGS_W3C;
}


static void
w3c_read(struct trace_context *context, const struct nprof_text *headers)
{
    const char *error;

    if (headers[NPROF_TRACEPARENT].len == 0) {
        return;
    }

    error = traceparent_read(context, headers[NPROF_TRACEPARENT]);

    if (error != NULL) {
        memset(context, 0, sizeof(*context));
        context->w3c_error = error;
        return;
    }

    memcpy(context->dd_parent, NO_SPAN, sizeof(context->dd_parent));
    context->has_dd_parent = true;
    context->tracestate = headers[NPROF_TRACESTATE];
    context->dd_member = trace_dd_member(context->tracestate);

    if (context->dd_member.len != 0) {
        dd_member_read(context);
    }
}


/*
 * The same trace in both styles: a service between, which knows W3C's only, may
 * be the caller, and then Datadog's headers have a span before it.
 */
static void
context_merge(struct trace_context *context, const struct trace_context *w3c)
{
    struct text_writer id
        = {context->dd_parent, context->dd_parent + sizeof(context->dd_parent),
           false};

    context->w3c_error = w3c->w3c_error;

    if (w3c->trace_low != context->trace_low
        || (context->trace_high != 0
            && w3c->trace_high != context->trace_high)) {
        return;
    }

    context->trace_high = w3c->trace_high;
    context->tracestate = w3c->tracestate;
    context->dd_member = w3c->dd_member;

    if (w3c->parent_id == context->parent_id) {
        return;
    }

    /* whom tracestate does not name is in Datadog's own headers */
    if (memcmp(w3c->dd_parent, NO_SPAN, sizeof(w3c->dd_parent)) == 0) {
        write_hex(&id, context->parent_id);
    } else {
        memcpy(context->dd_parent, w3c->dd_parent, sizeof(w3c->dd_parent));
    }

    context->has_dd_parent = true;
    context->parent_id = w3c->parent_id;
}


void
trace_context_read(struct trace_context *context, unsigned styles,
                   const struct nprof_text headers[NPROF_TRACE_HEADERS])
{
    struct trace_context w3c;

    memset(context, 0, sizeof(*context));
    memset(&w3c, 0, sizeof(w3c));

    if (styles & TRACE_STYLE_DATADOG) {
        datadog_read(context, headers);
    }

    if (styles & TRACE_STYLE_W3C) {
        w3c_read(&w3c, headers);
    }

    if (context->trace_low != 0) {
        context_merge(context, &w3c);
        return;
    }

    w3c.datadog_error = context->datadog_error;
    *context = w3c;

    if (context->trace_low == 0) {
        context->priority = TRACE_PRIORITY_NONE;
        context->origin = no_text;
    }
}
