
/*
 * The tracer's thread; see trace_thread.h.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counter_add.h"
#include "export/upload_state.h"
#include "futex_wait.h"
#include "nprof_clock.h"
#include "thread_context.h"
#include "trace/agent_answer.h"
#include "trace_thread.h"


/* As Datadog's tracers do it. */
#define FLUSH_NS INT64_C(2000000000)

/* OpenSSL reads certificates on it, and a span while it is encoded has 16 KB
   there. */
#define TRACE_STACK_SIZE (256 * 1024)


static int
trace_thread_make(struct trace_thread *trace, const struct trace_config *config)
{
    int rc;

    rc = tracer_create(config, &trace->tracer);

    if (rc == 0) {
        rc = trace_payload_init(&trace->payload, config);
    }

    return rc == 0 ? trace_post_create(config->identity, &trace->post) : rc;
}


__attribute__((format(printf, 2, 3))) static void
warn(struct nprof *nprof, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(nprof->trace_warning, sizeof(nprof->trace_warning), format,
              arguments);
    va_end(arguments);
}


struct trace_thread *
trace_thread_create(struct nprof *nprof, const struct trace_config *config)
{
    int                  rc;
    const char          *warning;
    struct trace_thread *trace;

    if (config->identity != NULL && !config->enabled) {
        warn(nprof, "no traces: DD_TRACE_ENABLED is false");
        return NULL;
    }

    if (config->identity == NULL || config->identity->agent.url == NULL) {
        warn(nprof, "no traces: the agent's address is not known");
        return NULL;
    }

    trace = calloc(1, sizeof(*trace));
    if (trace == NULL) {
        warn(nprof, "no traces: no memory");
        return NULL;
    }

    trace->nprof = nprof;
    rc = trace_thread_make(trace, config);

    if (rc != 0) {
        warn(nprof, "no traces (%d: %s)", -rc, strerrordesc_np(-rc));
        trace_thread_destroy(trace);
        return NULL;
    }

    warning
        = config->warning != NULL ? config->warning : trace->tracer->warning;
    if (warning != NULL) {
        warn(nprof, "%s", warning);
    }

    tracer_use(trace->tracer);

    return trace;
}


void
trace_thread_destroy(struct trace_thread *trace)
{
    tracer_use(NULL);

    if (trace->post != NULL) {
        trace_post_destroy(trace->post);
    }

    trace_payload_destroy(&trace->payload);

    if (trace->tracer != NULL) {
        tracer_destroy(trace->tracer);
    }

    free(trace);
}


void
trace_thread_end(struct trace_thread *trace, int64_t until_ns)
{
    tracer_use(NULL);
    atomic_store(&trace->tracer->stopping, true);
    trace_post_hurry(trace->post, until_ns);
    futex_flag_wake(&trace->tracer->wake);
}


static void
payload_send(struct trace_thread *trace)
{
    long                          status;
    double                        rate;
    struct tracer                *tracer = trace->tracer;
    struct tracer_counters       *counters = &tracer->counters;
    const struct upload_settings *identity = tracer->config->identity;

    static const struct upload_words words = {"traces", "sent"};

    trace_payload_finish(&trace->payload);
    status = trace_post_send(trace->post, &trace->payload);
    trace->failing = status < 200 || status > 299;
    upload_state_tell(trace->nprof, &identity->agent, &words, !trace->failing,
                      trace_post_reason(trace->post));
    atomic_store(&counters->last_status, (uint32_t) status);

    if (trace->failing) {
        counter_add(&counters->errors, 1);
        counter_add(&counters->failed, trace->payload.n_traces);

    } else {
        counter_add(&counters->payloads, 1);
        counter_add(&counters->sent, trace->payload.n_traces);

        rate = agent_answer_rate(trace->post->answer, trace->post->answer_len,
                                 identity->service,
                                 identity->env == NULL ? "" : identity->env);
        if (rate >= 0) {
            trace_sampler_set_agent_rate(&tracer->sampler, rate);
        }
    }

    trace_payload_begin(&trace->payload);
}


/* Whether there is no time left to try once more. */
static bool
gives_up(struct trace_thread *trace)
{
    return trace->failing && atomic_load(&trace->tracer->stopping);
}


/* Sends what there is now. */
static void
spans_send(struct trace_thread *trace)
{
    bool                      added;
    uint64_t                  end;
    struct tracer            *tracer = trace->tracer;
    const struct span_record *record;

    end = sample_ring_end(&tracer->ring);

    while ((record = sample_ring_peek(&tracer->ring, end)) != NULL) {
        added = !gives_up(trace) && trace_payload_add(&trace->payload, record);
        sample_ring_release(&tracer->ring);

        if (!added) {
            counter_add(&tracer->counters.failed, 1);
        }

        if (trace->payload.len >= TRACE_PAYLOAD_MAX) {
            payload_send(trace);
        }
    }

    if (trace->payload.n_traces != 0) {
        payload_send(trace);
    }
}


/* Until it is time to send, or the ring is half full; while the agent does not
   answer that is no reason to ask it more often. */
static void
flush_wait(struct trace_thread *trace)
{
    bool           woken;
    int64_t        now, end;
    struct tracer *tracer = trace->tracer;

    now = clock_ns(CLOCK_MONOTONIC);
    end = now + FLUSH_NS;

    do {
        woken = futex_flag_wait(&tracer->wake, end - now);
        now = clock_ns(CLOCK_MONOTONIC);
    } while (now < end && !atomic_load(&tracer->stopping)
             && (trace->failing || !woken));
}


static void *
trace_thread_main(void *data)
{
    struct trace_thread *trace = data;

    thread_context_enter(TRACE_THREAD_NAME, THREAD_CONTEXT_NICE);

    while (!atomic_load(&trace->tracer->stopping)) {
        flush_wait(trace);
        spans_send(trace);
        atomic_store(&trace->cpu_ns,
                     (uint64_t) clock_ns(CLOCK_THREAD_CPUTIME_ID));
    }

    /* what ended since then, if it did not fail just now; nothing comes any
       more */
    spans_send(trace);
    thread_context_leave(trace->nprof);

    return NULL;
}


bool
trace_thread_start(struct trace_thread *trace)
{
    int rc;

    rc = thread_context_create(&trace->thread, TRACE_STACK_SIZE,
                               trace_thread_main, trace);

    if (rc != 0) {
        warn(trace->nprof, "no traces: no thread to send them (%d: %s)", -rc,
             strerrordesc_np(-rc));
        return false;
    }

    (void) pthread_setname_np(trace->thread, TRACE_THREAD_NAME);

    return true;
}


bool
trace_thread_join(struct trace_thread *trace, int64_t until_ns)
{
    return thread_context_join(trace->thread, until_ns);
}
