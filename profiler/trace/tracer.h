
/*
 * Traces: spans of requests, from the event loop to the agent.
 *
 * The event loop begins and ends spans in memory of the requests, and puts
 * those that ended into a ring; the tracer's thread (trace_thread.h) takes them
 * out and sends them. A full ring drops the span, which is counted: no request
 * ever waits. Memory: a ring of TRACE_RING_SIZE, and a payload of twice
 * TRACE_PAYLOAD_MAX at most.
 */


#ifndef NPROF_TRACER_H
#define NPROF_TRACER_H


#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../nprof.h"
#include "../sample/sample_ring.h"
#include "trace_config.h"
#include "trace_context.h"
#include "trace_sampler.h"


/* Room for two seconds of some thousand requests a second. */
#define TRACE_RING_SIZE (2u << 20)

/* A payload is sent once it is so long, bytes. */
#define TRACE_PAYLOAD_MAX (1u << 20)

#define TRACE_SPAN_NAME "nginx.request"


/* In memory of the request. */
struct nprof_span {
    struct trace_context  context;
    struct trace_decision decision;
    bool                  decided;

    /* 0: there is no tracer. */
    uint64_t span_id;

    /* When the request began, by CLOCK_REALTIME; when the span did, by
       CLOCK_MONOTONIC; and the time between the two. */
    int64_t start_ns;
    int64_t begin_ns;
    int64_t before_ns;
};


/* The tracer's thread's, which stores them; any thread loads. */
struct tracer_counters {
    /* Spans that the agent took; that it did not, or that could not be sent. */
    _Atomic uint64_t sent;
    _Atomic uint64_t failed;

    /* Requests to the agent that it took, and that failed, and the HTTP status of
       the last one, 0 if there was none. */
    _Atomic uint64_t payloads;
    _Atomic uint64_t errors;
    _Atomic uint32_t last_status;
};


struct tracer {
    const struct trace_config *config;

    struct trace_sampler sampler;

    /* The event loop's: the state of a generator of random numbers. */
    uint64_t random;

    struct sample_ring ring;

    /* Spans that ended, and those of them that found no room. Stored by the
       event loop. */
    _Atomic uint64_t ended;
    _Atomic uint64_t dropped;

    struct tracer_counters counters;

    /* The thread waits on this futex word. */
    _Atomic uint32_t wake;
    _Atomic bool     stopping;

    /* What is wrong with the configuration, static; or NULL. */
    const char *warning;
};


/* In a worker, before there are threads. The configuration outlives the tracer.
   Returns 0 or -errno. */
int tracer_create(const struct trace_config *config, struct tracer **created);

/* Its thread is gone; spans that begin or end from now on are nobody's. */
void tracer_destroy(struct tracer *tracer);

/* Spans are the running tracer's from now on; NULL: there is none. */
void tracer_use(struct tracer *tracer);

/* The calls of struct nprof_traces. */
void     tracer_begin(struct nprof_span      *span,
                      const struct nprof_text headers[NPROF_TRACE_HEADERS],
                      int64_t                 start_ns);
void     tracer_print_ids(const struct nprof_span *span, char trace_id[32],
                          char span_id[16]);
uint64_t tracer_span_id(const struct nprof_span *span);
void     tracer_inject(struct nprof_span *span, uint32_t labels, char *buffer,
                       struct nprof_text values[NPROF_TRACE_HEADERS]);
void     tracer_end(struct nprof_span *span, const struct nprof_span_end *end);


#endif /* NPROF_TRACER_H */
