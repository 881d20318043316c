
/*
 * A span that ended, as the event loop leaves it in the tracer's ring, and as
 * the tracer's thread finds it there.
 */


#ifndef NPROF_SPAN_RECORD_H
#define NPROF_SPAN_RECORD_H


#include <stdint.h>

#include "trace_sampler.h"


/* Texts, those of enum nprof_span_text first. */
enum {
    SPAN_ORIGIN = NPROF_SPAN_TEXTS,

    /* What travels with the trace, as x-datadog-tags has it. */
    SPAN_TAGS,

    SPAN_DD_PARENT,
    SPAN_RECORD_TEXTS
};


struct span_record {
    uint64_t trace_high;
    uint64_t trace_low;
    uint64_t span_id;
    uint64_t parent_id;

    /* CLOCK_REALTIME, and nanoseconds. */
    int64_t start_ns;
    int64_t duration_ns;

    struct trace_decision decision;

    /* As in struct nprof_span_end. */
    uint32_t labels;
    uint32_t status;
    uint32_t tls;
    int64_t  upstream_ms;

    /* What was wrong with the headers: static texts, or NULL. */
    const char *datadog_error;
    const char *w3c_error;

    /* Where in text each begins; it ends with NUL, and "" is none. */
    uint16_t texts[SPAN_RECORD_TEXTS];

    char text[];
};


static inline const char *
span_record_text(const struct span_record *record, unsigned which)
{
    return record->text + record->texts[which];
}


#endif /* NPROF_SPAN_RECORD_H */
