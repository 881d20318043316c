
/*
 * Spans as the agent wants them (/v0.4/traces): a MessagePack array of traces,
 * each an array of spans, of which there is one.
 *
 * The tracer's thread only. Memory is fixed: a buffer of TRACE_PAYLOAD_SIZE.
 */


#ifndef NPROF_TRACE_PAYLOAD_H
#define NPROF_TRACE_PAYLOAD_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../nprof.h"
#include "span_record.h"
#include "tracer.h"


/* One span more than what is sent at once: its texts, each byte of which may
   take three, labels and tags fit in 64 KB, unless somebody has tags without
   end. */
#define TRACE_PAYLOAD_SIZE (TRACE_PAYLOAD_MAX + 64u * 1024)


struct trace_payload {
    const struct trace_config *config;

    char    *data;
    size_t   len;
    uint32_t n_traces;
};


/* Returns 0 or -ENOMEM. */
int trace_payload_init(struct trace_payload      *payload,
                       const struct trace_config *config);

void trace_payload_destroy(struct trace_payload *payload);

/* Empties it. */
void trace_payload_begin(struct trace_payload *payload);

/* Adds the span; false if it has no room: the payload is as before. */
bool trace_payload_add(struct trace_payload     *payload,
                       const struct span_record *record);

/* Completes what is to be sent: data, len. */
void trace_payload_finish(struct trace_payload *payload);


#endif /* NPROF_TRACE_PAYLOAD_H */
