
/*
 * The tags that travel with a trace, in either syntax (trace_context.h), one at
 * a time. Nothing is copied.
 */


#ifndef NPROF_TRACE_TAGS_H
#define NPROF_TRACE_TAGS_H


#include <stdbool.h>

#include "trace_context.h"


/* Keys, without the prefix that a syntax has. */
#define TRACE_TAG_TRACE_HIGH "tid"
#define TRACE_TAG_DECISION_MAKER "dm"
#define TRACE_TAG_RATE "ksr"

#define TRACE_TAG_PREFIX "_dd.p."


struct trace_tag {
    struct nprof_text key;
    struct nprof_text value;
};


/* What is left of a list of pairs. */
struct trace_tag_cursor {
    struct nprof_text left;
    char              separator;
    char              assignment;
    const char       *prefix;
};


struct trace_tag_cursor trace_tags_begin(const struct trace_context *context);

/*
 * The next tag, its key without prefix; false at the end. What is no tag of
 * the kind is left out.
 */
bool trace_tags_next(struct trace_tag_cursor *cursor, struct trace_tag *tag);

bool trace_tag_is(const struct trace_tag *tag, const char *key);


/* The value of the member "dd" of tracestate; empty if there is none. */
struct nprof_text trace_dd_member(struct nprof_text tracestate);

/* The parts of that value, s:1 and the like, tags with their prefix, for
   trace_tags_next(). */
struct trace_tag_cursor trace_dd_parts(struct nprof_text dd_member);

/* The next member of tracestate that is not empty, without blanks around it;
   false at the end. */
bool trace_member_next(struct nprof_text *left, struct nprof_text *member);

/* Whether a member of tracestate is "dd". */
bool trace_member_is_dd(struct nprof_text member);


#endif /* NPROF_TRACE_TAGS_H */
