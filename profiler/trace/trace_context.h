
/*
 * What services tell each other of a trace in the headers of a request:
 * Datadog's x-datadog-* and the traceparent and tracestate of W3C's Trace
 * Context.
 *
 * A context refers to the text of the headers that it was read from; it is as
 * old as those at most. No function allocates or waits. Event loop's thread,
 * though nothing here is tied to it.
 */


#ifndef NPROF_TRACE_CONTEXT_H
#define NPROF_TRACE_CONTEXT_H


#include <stdbool.h>
#include <stdint.h>

#include "../nprof.h"


/* Styles, to be added. */
#define TRACE_STYLE_DATADOG 1u
#define TRACE_STYLE_W3C 2u

/* Bytes of x-datadog-tags, of the dd member of tracestate, of the others there,
   and of the origin, at most. */
#define TRACE_TAGS_MAX 512
#define TRACE_DD_MEMBER_MAX 256
#define TRACE_MEMBERS_MAX 1024
#define TRACE_ORIGIN_MAX 128

/* What nobody has decided yet. */
#define TRACE_PRIORITY_NONE INT32_MIN

#define TRACE_PRIORITY_USER_DROP (-1)
#define TRACE_PRIORITY_AUTO_DROP 0
#define TRACE_PRIORITY_AUTO_KEEP 1
#define TRACE_PRIORITY_USER_KEEP 2


/* How the tags that travel with a trace are written. */
enum trace_tag_syntax {
    TRACE_TAGS_NONE = 0,

    /* x-datadog-tags: _dd.p.KEY=VALUE, separated by commas. */
    TRACE_TAGS_DATADOG,

    /* The dd member of tracestate: t.KEY:VALUE, separated by semicolons. */
    TRACE_TAGS_W3C
};


struct trace_context {
    /* 128 bits; the lower half is not 0 once there is a trace. */
    uint64_t trace_high;
    uint64_t trace_low;

    /* Of the caller's span; 0: this one is the first. */
    uint64_t parent_id;

    /* The caller's decision, or TRACE_PRIORITY_NONE. */
    int32_t priority;

    struct nprof_text origin;

    enum trace_tag_syntax tag_syntax;
    struct nprof_text     tags;

    /* All of tracestate, and its dd member's value. */
    struct nprof_text tracestate;
    struct nprof_text dd_member;

    /* The last span of Datadog's among the callers, 16 hex digits; only where
       the caller is known by traceparent. */
    char dd_parent[16];
    bool has_dd_parent;

    /* What was wrong with Datadog's and with W3C's headers: static texts, or
       NULL. */
    const char *datadog_error;
    const char *w3c_error;
};


/* What was decided here, to be passed on with a context. */
struct trace_passed {
    uint64_t span_id;
    int32_t  priority;

    /* "-1" or the like and a rate; empty: not decided here. */
    struct nprof_text decision_maker;
    struct nprof_text rate;
};


/*
 * Reads the headers, of which those that are absent have no data. Where there
 * is no valid trace, trace_low is 0, and only the errors are of use. The headers
 * of both styles count: Datadog's trace is the one, and W3C's adds to it if it
 * is the same. styles: a sum of TRACE_STYLE_DATADOG and TRACE_STYLE_W3C.
 */
void trace_context_read(struct trace_context *context, unsigned styles,
                        const struct nprof_text headers[NPROF_TRACE_HEADERS]);

/*
 * Writes what to send on, into a buffer of NPROF_TRACE_HEADERS_SIZE bytes that
 * values refer to; those that are not to be sent have no data.
 */
void trace_context_write(const struct trace_context *context, unsigned styles,
                         const struct trace_passed *passed, char *buffer,
                         struct nprof_text values[NPROF_TRACE_HEADERS]);

/*
 * Writes the tags that travel with the trace as x-datadog-tags has them, at
 * most TRACE_TAGS_MAX bytes, those that are made here first; what finds no room
 * is left out. Returns how many.
 */
size_t trace_context_tags(const struct trace_context *context,
                          const struct trace_passed *passed, char *buffer);

/* Writes the origin as x-datadog-origin has it. Returns its length. */
size_t trace_context_origin(const struct trace_context *context,
                            char buffer[TRACE_ORIGIN_MAX]);


#endif /* NPROF_TRACE_CONTEXT_H */
