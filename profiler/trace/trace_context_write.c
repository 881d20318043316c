
/*
 * Writing contexts for the next service; see trace_context.h.
 */


#include <string.h>

#include "text_writer.h"
#include "trace_context.h"
#include "trace_tags.h"


/* The writer's end is no farther than so many bytes ahead. */
static void
writer_limit(struct text_writer *writer, size_t bytes)
{
    if ((size_t) (writer->end - writer->at) > bytes) {
        writer->end = writer->at + bytes;
    }
}


static char
to_w3c(char c)
{
    if (c == '=') {
        return '~';
    }

    return c < ' ' || c >= '~' || c == ';' || c == ',' ? '_' : c;
}


/* Text that came in one syntax, for the other one or the same. */
static void
write_translated(struct text_writer *writer, struct nprof_text text,
                 enum trace_tag_syntax from, enum trace_tag_syntax to)
{
    char   c;
    size_t i;

    if (from == to) {
        write_text(writer, text.data, text.len);
        return;
    }

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if (to == TRACE_TAGS_W3C) {
            c = to_w3c(c);
        } else if (c == '~') {
            c = '=';
        }

        write_text(writer, &c, 1);
    }
}


/* Those that are made anew here; and nobody has decided to keep what is
   dropped. */
static bool
tag_is_ours(const struct trace_tag *tag, const struct trace_passed *passed)
{
    if (trace_tag_is(tag, TRACE_TAG_DECISION_MAKER) && passed->priority <= 0) {
        return true;
    }

    return trace_tag_is(tag, TRACE_TAG_TRACE_HIGH)
           || (passed->decision_maker.len != 0
               && (trace_tag_is(tag, TRACE_TAG_DECISION_MAKER)
                   || trace_tag_is(tag, TRACE_TAG_RATE)));
}


/* One that finds no room is left out. */
static void
write_datadog_tag(struct text_writer *writer, const char *begin,
                  struct nprof_text key, struct nprof_text value,
                  enum trace_tag_syntax from)
{
    char *before;

    before = writer->at;

    if (writer->at != begin) {
        write_string(writer, ",");
    }

    write_string(writer, TRACE_TAG_PREFIX);
    write_text(writer, key.data, key.len);
    write_string(writer, "=");
    write_translated(writer, value, from, TRACE_TAGS_DATADOG);

    if (writer->full) {
        writer->at = before;
    }
}


static struct nprof_text
text_of(const char *text)
{
    return (struct nprof_text){text, strlen(text)};
}


static void
write_datadog_tags(struct text_writer         *writer,
                   const struct trace_context *context,
                   const struct trace_passed  *passed)
{
    char                    high[16];
    char                   *begin;
    struct trace_tag        tag;
    struct text_writer      id = {high, high + sizeof(high), false};
    struct trace_tag_cursor cursor;

    begin = writer->at;

    if (context->trace_high != 0) {
        write_hex(&id, context->trace_high);
        write_datadog_tag(writer, begin, text_of(TRACE_TAG_TRACE_HIGH),
                          (struct nprof_text){high, sizeof(high)},
                          TRACE_TAGS_DATADOG);
    }

    if (passed->decision_maker.len != 0) {
        write_datadog_tag(writer, begin, text_of(TRACE_TAG_DECISION_MAKER),
                          passed->decision_maker, TRACE_TAGS_DATADOG);
    }

    if (passed->rate.len != 0) {
        write_datadog_tag(writer, begin, text_of(TRACE_TAG_RATE), passed->rate,
                          TRACE_TAGS_DATADOG);
    }

    cursor = trace_tags_begin(context);

    while (trace_tags_next(&cursor, &tag)) {
        if (!tag_is_ours(&tag, passed)) {
            write_datadog_tag(writer, begin, tag.key, tag.value,
                              context->tag_syntax);
        }
    }
}


size_t
trace_context_tags(const struct trace_context *context,
                   const struct trace_passed *passed, char *buffer)
{
    struct text_writer writer = {buffer, buffer + TRACE_TAGS_MAX, false};

    write_datadog_tags(&writer, context, passed);

    return (size_t) (writer.at - buffer);
}


size_t
trace_context_origin(const struct trace_context *context,
                     char                        buffer[TRACE_ORIGIN_MAX])
{
    struct text_writer writer = {buffer, buffer + TRACE_ORIGIN_MAX, false};

    write_translated(&writer, context->origin, context->tag_syntax,
                     TRACE_TAGS_DATADOG);

    return (size_t) (writer.at - buffer);
}


/* A part of the dd member; one that finds no room is left out, and so are those
   after it. */
static void
write_dd_part(struct text_writer *writer, const char *key,
              struct nprof_text name, struct nprof_text value,
              enum trace_tag_syntax from)
{
    char *before;

    before = writer->at;

    write_string(writer, key);
    write_text(writer, name.data, name.len);
    write_string(writer, ":");
    write_translated(writer, value, from, TRACE_TAGS_W3C);

    if (writer->full) {
        writer->at = before;
    }
}


/* What other versions of Datadog's tracers put there, and we do not know. */
static void
write_dd_unknown(struct text_writer         *writer,
                 const struct trace_context *context)
{
    struct trace_tag        part;
    struct trace_tag_cursor cursor;

    cursor = trace_dd_parts(context->dd_member);

    while (trace_tags_next(&cursor, &part)) {
        if (trace_tag_is(&part, "s") || trace_tag_is(&part, "o")
            || trace_tag_is(&part, "p")
            || (part.key.len > 2 && memcmp(part.key.data, "t.", 2) == 0)) {
            continue;
        }

        write_dd_part(writer, ";", part.key, part.value, TRACE_TAGS_W3C);
    }
}


static void
write_dd_member(struct text_writer *out, const struct trace_context *context,
                const struct trace_passed *passed)
{
    char                    span[16];
    struct trace_tag        tag;
    struct text_writer      writer, id;
    struct trace_tag_cursor cursor;

    static const struct nprof_text empty = {"", 0};

    writer = *out;
    writer_limit(&writer, TRACE_DD_MEMBER_MAX);

    write_string(&writer, "dd=s:");
    write_signed(&writer, passed->priority);

    id = (struct text_writer){span, span + sizeof(span), false};
    write_hex(&id, passed->span_id);
    write_dd_part(&writer, ";p", empty, (struct nprof_text){span, 16},
                  TRACE_TAGS_W3C);

    if (context->origin.len != 0) {
        write_dd_part(&writer, ";o", empty, context->origin,
                      context->tag_syntax);
    }

    if (passed->decision_maker.len != 0) {
        write_dd_part(&writer, ";t." TRACE_TAG_DECISION_MAKER, empty,
                      passed->decision_maker, TRACE_TAGS_DATADOG);
    }

    if (passed->rate.len != 0) {
        write_dd_part(&writer, ";t." TRACE_TAG_RATE, empty, passed->rate,
                      TRACE_TAGS_DATADOG);
    }

    cursor = trace_tags_begin(context);

    while (trace_tags_next(&cursor, &tag)) {
        if (!tag_is_ours(&tag, passed)) {
            write_dd_part(&writer, ";t.", tag.key, tag.value,
                          context->tag_syntax);
        }
    }

    write_dd_unknown(&writer, context);
    out->at = writer.at;
}


/* Other vendors' members keep their order; what finds no room is cut off. */
static void
write_other_members(struct text_writer         *out,
                    const struct trace_context *context)
{
    char              *before;
    struct nprof_text  left, member;
    struct text_writer writer;

    left = context->tracestate;
    writer = *out;
    writer_limit(&writer, TRACE_MEMBERS_MAX);

    while (!writer.full && trace_member_next(&left, &member)) {
        if (trace_member_is_dd(member)) {
            continue;
        }

        before = writer.at;
        write_string(&writer, ",");
        write_text(&writer, member.data, member.len);

        if (writer.full) {
            writer.at = before;
        }
    }

    out->at = writer.at;
}


static void
write_w3c(struct text_writer *writer, const struct trace_context *context,
          const struct trace_passed *passed, struct nprof_text *values)
{
    char *begin;

    begin = writer->at;
    write_string(writer, "00-");
    write_hex(writer, context->trace_high);
    write_hex(writer, context->trace_low);
    write_string(writer, "-");
    write_hex(writer, passed->span_id);
    write_string(writer, passed->priority > 0 ? "-01" : "-00");
    values[NPROF_TRACEPARENT] = written_since(writer, begin);

    begin = writer->at;
    write_dd_member(writer, context, passed);
    write_other_members(writer, context);
    values[NPROF_TRACESTATE] = written_since(writer, begin);
}


static void
write_datadog(struct text_writer *writer, const struct trace_context *context,
              const struct trace_passed *passed, struct nprof_text *values)
{
    char              *begin;
    struct text_writer tags;

    begin = writer->at;
    write_decimal(writer, context->trace_low);
    values[NPROF_DATADOG_TRACE_ID] = written_since(writer, begin);

    begin = writer->at;
    write_decimal(writer, passed->span_id);
    values[NPROF_DATADOG_PARENT_ID] = written_since(writer, begin);

    begin = writer->at;
    write_signed(writer, passed->priority);
    values[NPROF_DATADOG_PRIORITY] = written_since(writer, begin);

    if (context->origin.len != 0) {
        begin = writer->at;
        write_translated(writer, context->origin, context->tag_syntax,
                         TRACE_TAGS_DATADOG);
        values[NPROF_DATADOG_ORIGIN] = written_since(writer, begin);
    }

    /* all or none: nobody is to take a part for the whole */
    begin = writer->at;
    tags = (struct text_writer){begin, begin + TRACE_TAGS_MAX, false};
    write_datadog_tags(&tags, context, passed);

    if (tags.at != begin && !tags.full) {
        writer->at = tags.at;
        values[NPROF_DATADOG_TAGS] = written_since(writer, begin);
    }
}


void
trace_context_write(const struct trace_context *context, unsigned styles,
                    const struct trace_passed *passed, char *buffer,
                    struct nprof_text values[NPROF_TRACE_HEADERS])
{
    struct text_writer writer
        = {buffer, buffer + NPROF_TRACE_HEADERS_SIZE, false};

    memset(values, 0, NPROF_TRACE_HEADERS * sizeof(values[0]));

    if (styles & TRACE_STYLE_DATADOG) {
        write_datadog(&writer, context, passed, values);
    }

    if (styles & TRACE_STYLE_W3C) {
        write_w3c(&writer, context, passed, values);
    }
}
