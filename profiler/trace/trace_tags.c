
/*
 * Lists of pairs and of members; see trace_tags.h.
 */


#include <string.h>

#include "trace_tags.h"


#define DD_MEMBER "dd="


/* Cuts the text at the first separator; what is behind it is left. */
static struct nprof_text
cut(struct nprof_text *left, char separator)
{
    const char       *end;
    struct nprof_text piece;

    piece = *left;
    end = memchr(left->data, separator, left->len);

    if (end == NULL) {
        left->data += left->len;
        left->len = 0;
        return piece;
    }

    piece.len = (size_t) (end - left->data);
    left->data = end + 1;
    left->len -= piece.len + 1;

    return piece;
}


struct trace_tag_cursor
trace_dd_parts(struct nprof_text dd_member)
{
    return (struct trace_tag_cursor){dd_member, ';', ':', ""};
}


struct trace_tag_cursor
trace_tags_begin(const struct trace_context *context)
{
    struct trace_tag_cursor cursor;

    switch (context->tag_syntax) {
    case TRACE_TAGS_DATADOG:
        cursor = (struct trace_tag_cursor){context->tags, ',', '=',
                                           TRACE_TAG_PREFIX};
        break;

    case TRACE_TAGS_W3C:
        cursor = trace_dd_parts(context->tags);
        cursor.prefix = "t.";
        break;

    default: /* TRACE_TAGS_NONE */
        cursor = trace_dd_parts((struct nprof_text){"", 0});
        break;
    }

    return cursor;
}


/* Printable, and nothing that separates tags in either syntax. */
static bool
key_is_clean(struct nprof_text key)
{
    size_t i;

    for (i = 0; i < key.len; i++) {
        if (key.data[i] <= ' ' || key.data[i] > '~'
            || strchr(",=;:", key.data[i]) != NULL) {
            return false;
        }
    }

    return key.len != 0;
}


static bool
value_is_clean(struct nprof_text value)
{
    size_t i;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~'
            || value.data[i] == ',') {
            return false;
        }
    }

    return value.len != 0;
}


bool
trace_tags_next(struct trace_tag_cursor *cursor, struct trace_tag *tag)
{
    size_t prefix;

    prefix = strlen(cursor->prefix);

    while (cursor->left.len != 0) {
        tag->value = cut(&cursor->left, cursor->separator);

        if (memchr(tag->value.data, cursor->assignment, tag->value.len)
            == NULL) {
            continue;
        }

        tag->key = cut(&tag->value, cursor->assignment);

        if (tag->key.len <= prefix
            || memcmp(tag->key.data, cursor->prefix, prefix) != 0) {
            continue;
        }

        tag->key.data += prefix;
        tag->key.len -= prefix;

        if (key_is_clean(tag->key) && value_is_clean(tag->value)) {
            return true;
        }
    }

    return false;
}


bool
trace_tag_is(const struct trace_tag *tag, const char *key)
{
    return tag->key.len == strlen(key)
           && memcmp(tag->key.data, key, tag->key.len) == 0;
}


bool
trace_member_next(struct nprof_text *left, struct nprof_text *member)
{
    while (left->len != 0) {
        *member = cut(left, ',');

        while (member->len != 0
               && (member->data[0] == ' ' || member->data[0] == '\t')) {
            member->data++;
            member->len--;
        }

        while (member->len != 0
               && (member->data[member->len - 1] == ' '
                   || member->data[member->len - 1] == '\t')) {
            member->len--;
        }

        if (member->len != 0) {
            return true;
        }
    }

    return false;
}


bool
trace_member_is_dd(struct nprof_text member)
{
    return member.len >= sizeof(DD_MEMBER) - 1
           && memcmp(member.data, DD_MEMBER, sizeof(DD_MEMBER) - 1) == 0;
}


struct nprof_text
trace_dd_member(struct nprof_text tracestate)
{
    struct nprof_text member;

    while (trace_member_next(&tracestate, &member)) {
        if (trace_member_is_dd(member)) {
            member.data += sizeof(DD_MEMBER) - 1;
            member.len -= sizeof(DD_MEMBER) - 1;
            return member;
        }
    }

    return (struct nprof_text){NULL, 0};
}
