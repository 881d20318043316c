
/*
 * The event loop's side of tracing; see tracer.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../counter_add.h"
#include "../futex_wait.h"
#include "../nprof_clock.h"
#include "../sample/label_set.h"
#include "endpoint_counts.h"
#include "span_record.h"
#include "text_writer.h"
#include "trace_context.h"
#include "tracer.h"


/* A rate as a tag: six digits after the point. */
#define RATE_TEXT_MAX 10
#define RATE_PARTS 1000000

/* What is kept of each text, bytes. */
static const uint16_t span_text_max[SPAN_RECORD_TEXTS] = {
    [NPROF_SPAN_METHOD] = 32,     [NPROF_SPAN_HOST] = 255,
    [NPROF_SPAN_PATH] = 2048,     [NPROF_SPAN_USER_AGENT] = 512,
    [NPROF_SPAN_UPSTREAM] = 512,  [SPAN_ORIGIN] = TRACE_ORIGIN_MAX,
    [SPAN_TAGS] = TRACE_TAGS_MAX, [SPAN_DD_PARENT] = 16,
};


/* The event loop's. */
static struct tracer *tracer;


int
tracer_create(const struct trace_config *config, struct tracer **created)
{
    int                rc;
    struct tracer     *made;
    struct trace_rules rules;

    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return -ENOMEM;
    }

    made->config = config;
    rc = sample_ring_init(&made->ring, TRACE_RING_SIZE);

    if (rc == 0
        && getrandom(&made->random, sizeof(made->random), 0)
               != sizeof(made->random)) {
        rc = -errno;
    }

    if (rc != 0) {
        sample_ring_destroy(&made->ring);
        free(made);
        return rc;
    }

    made->warning
        = trace_rules_read(&rules, config->sampling_rules, config->sample_rate);
    trace_sampler_init(&made->sampler, &rules, config->rate_limit);
    *created = made;

    return 0;
}


void
tracer_destroy(struct tracer *made)
{
    trace_rules_free(&made->sampler.rules);
    sample_ring_destroy(&made->ring);
    free(made);
}


void
tracer_use(struct tracer *used)
{
    tracer = used;
}


/* SplitMix64: ids have to differ, not to be secret. Not 0, and 63 bits, since
   some of those who read them have signed numbers only. */
static uint64_t
random_id(void)
{
    uint64_t z;

    do {
        tracer->random += 0x9e3779b97f4a7c15ull;
        z = tracer->random;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z = (z ^ (z >> 31)) >> 1;
    } while (z == 0);

    return z;
}


void
tracer_begin(struct nprof_span      *span,
             const struct nprof_text headers[NPROF_TRACE_HEADERS],
             int64_t                 start_ns)
{
    int64_t now;

    memset(span, 0, sizeof(*span));

    if (tracer == NULL) {
        return;
    }

    now = clock_ns(CLOCK_REALTIME);
    span->begin_ns = clock_ns(CLOCK_MONOTONIC);
    span->start_ns = start_ns == 0 || start_ns > now ? now : start_ns;
    span->before_ns = now - span->start_ns;

    trace_context_read(&span->context, tracer->config->extract, headers);
    span->span_id = random_id();

    if (span->context.trace_low == 0) {
        span->context.trace_low = span->span_id;

        /* the upper half is the time, in seconds, as Datadog's tracers do it */
        if (tracer->config->ids_128) {
            span->context.trace_high = (uint64_t) (now / 1000000000) << 32;
        }
    }
}


void
tracer_print_ids(const struct nprof_span *span, char trace_id[32],
                 char span_id[16])
{
    struct text_writer writer = {trace_id, trace_id + 32, false};

    write_hex(&writer, span->context.trace_high);
    write_hex(&writer, span->context.trace_low);

    writer = (struct text_writer){span_id, span_id + 16, false};
    write_hex(&writer, span->span_id);
}


uint64_t
tracer_span_id(const struct nprof_span *span)
{
    return span->span_id;
}


static void
span_decide(struct nprof_span *span, uint32_t labels)
{
    double                 rate;
    const char            *resource;
    struct trace_decision *decision;

    if (span->decided) {
        return;
    }

    span->decided = true;
    decision = &span->decision;

    if (span->context.priority != TRACE_PRIORITY_NONE) {
        decision->priority = span->context.priority;
        decision->mechanism = TRACE_BY_CALLER;
        return;
    }

    resource = endpoint_of(labels);
    rate = trace_rules_rate(&tracer->sampler.rules,
                            tracer->config->identity->service, TRACE_SPAN_NAME,
                            resource);
    trace_sampler_decide(&tracer->sampler, span->context.trace_low, rate,
                         decision);
}


/* "1", or "0.25": without zeros at the end. */
static struct nprof_text
print_rate(char *buffer, double rate)
{
    uint64_t           parts, unit;
    struct text_writer writer = {buffer, buffer + RATE_TEXT_MAX, false};

    parts = (uint64_t) (rate * RATE_PARTS + 0.5);
    write_decimal(&writer, parts / RATE_PARTS);
    parts %= RATE_PARTS;

    if (parts != 0) {
        write_string(&writer, ".");

        for (unit = RATE_PARTS / 10; parts != 0; unit /= 10) {
            write_decimal(&writer, parts / unit);
            parts %= unit;
        }
    }

    return written_since(&writer, buffer);
}


/* What goes with the trace because we decided; rate has RATE_TEXT_MAX bytes. */
static void
span_passed(const struct nprof_span *span, char *rate,
            struct trace_passed *passed)
{
    static const char *const makers[] = {
        [TRACE_BY_DEFAULT] = "-0",
        [TRACE_BY_AGENT] = "-1",
        [TRACE_BY_RULE] = "-3",
    };

    memset(passed, 0, sizeof(*passed));
    passed->span_id = span->span_id;
    passed->priority = span->decision.priority;

    if (span->decision.mechanism == TRACE_BY_CALLER
        || span->decision.priority <= 0) {
        return;
    }

    passed->decision_maker
        = (struct nprof_text){makers[span->decision.mechanism], 2};

    if (span->decision.mechanism != TRACE_BY_DEFAULT) {
        passed->rate = print_rate(rate, span->decision.rate);
    }
}


void
tracer_inject(struct nprof_span *span, uint32_t labels, char *buffer,
              struct nprof_text values[NPROF_TRACE_HEADERS])
{
    char                rate[RATE_TEXT_MAX];
    struct trace_passed passed;

    if (tracer == NULL || span->span_id == 0) {
        memset(values, 0, NPROF_TRACE_HEADERS * sizeof(values[0]));
        return;
    }

    span_decide(span, labels);
    span_passed(span, rate, &passed);
    trace_context_write(&span->context, tracer->config->inject, &passed, buffer,
                        values);
}


/* Bytes of all texts, each cut to what is kept of it. */
static size_t
texts_cut(struct nprof_text texts[SPAN_RECORD_TEXTS])
{
    size_t   sum;
    unsigned i;

    sum = 0;

    for (i = 0; i < SPAN_RECORD_TEXTS; i++) {
        if (texts[i].data == NULL) {
            texts[i].len = 0;
        } else if (texts[i].len > span_text_max[i]) {
            texts[i].len = span_text_max[i];
        }

        sum += texts[i].len + 1;
    }

    return sum;
}


static void
record_write(struct span_record *record, const struct nprof_span *span,
             const struct nprof_span_end *end,
             const struct nprof_text      texts[SPAN_RECORD_TEXTS])
{
    char    *at;
    unsigned i;

    record->trace_high = span->context.trace_high;
    record->trace_low = span->context.trace_low;
    record->span_id = span->span_id;
    record->parent_id = span->context.parent_id;
    record->start_ns = span->start_ns;
    record->duration_ns
        = clock_ns(CLOCK_MONOTONIC) - span->begin_ns + span->before_ns;
    record->decision = span->decision;
    record->labels = end->labels;
    record->status = end->status;
    record->tls = end->tls;
    record->upstream_ms = end->upstream_ms;
    record->datadog_error = span->context.datadog_error;
    record->w3c_error = span->context.w3c_error;

    at = record->text;

    for (i = 0; i < SPAN_RECORD_TEXTS; i++) {
        record->texts[i] = (uint16_t) (at - record->text);

        if (texts[i].len != 0) {
            memcpy(at, texts[i].data, texts[i].len);
        }

        at += texts[i].len;
        *at++ = '\0';
    }
}


void
tracer_end(struct nprof_span *span, const struct nprof_span_end *end)
{
    char                rate[RATE_TEXT_MAX], tags[TRACE_TAGS_MAX];
    char                origin[TRACE_ORIGIN_MAX];
    size_t              size;
    struct nprof_text   texts[SPAN_RECORD_TEXTS];
    struct span_record *record;
    struct trace_passed passed;

    if (tracer == NULL || span->span_id == 0) {
        return;
    }

    span_decide(span, end->labels);
    span_passed(span, rate, &passed);
    endpoint_count(end->labels, tracer->config->identity->version == NULL
                                    ? ""
                                    : tracer->config->identity->version);
    counter_add(&tracer->ended, 1);

    memcpy(texts, end->texts, sizeof(end->texts));
    texts[SPAN_ORIGIN].data = origin;
    texts[SPAN_ORIGIN].len = trace_context_origin(&span->context, origin);
    texts[SPAN_TAGS].data = tags;
    texts[SPAN_TAGS].len = trace_context_tags(&span->context, &passed, tags);
    texts[SPAN_DD_PARENT].data = span->context.dd_parent;
    texts[SPAN_DD_PARENT].len
        = span->context.has_dd_parent ? sizeof(span->context.dd_parent) : 0;

    size = texts_cut(texts);
    record = sample_ring_reserve(&tracer->ring, sizeof(*record) + size);

    if (record == NULL) {
        counter_add(&tracer->dropped, 1);
        return;
    }

    record_write(record, span, end, texts);
    sample_ring_commit(&tracer->ring);

    if (sample_ring_used(&tracer->ring) > TRACE_RING_SIZE / 2) {
        futex_flag_wake(&tracer->wake);
    }
}
