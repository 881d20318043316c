
/*
 * Spans in MessagePack; see trace_payload.h.
 */


#include <errno.h>
#include <msgpack.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../encode/utf8_text.h"
#include "../export/runtime_id.h"
#include "endpoint_counts.h"
#include "text_writer.h"
#include "trace_context.h"
#include "trace_payload.h"


/* The array of traces: a 32-bit count, which is known at the end. */
#define ARRAY_32 0xdd
#define ARRAY_HEADER 5

/* Tags of a span: ours, those that travel with the trace (each has 8 bytes at
   least), and labels. */
#define META_MAX (32 + 512 / 8 + LABELS_MAX + TAGS_MAX)
#define METRICS_MAX 8

#define URL_MAX (8 + 3 * (255 + 2048))


struct meta {
    const char *key;
    const char *value;
};


struct metric {
    const char *key;
    double      value;
};


/* A span while it is written. */
struct span_tags {
    struct block_arena arena;

    struct meta meta[META_MAX];
    uint32_t    n_meta;

    struct metric metrics[METRICS_MAX];
    uint32_t      n_metrics;

    char url[URL_MAX];
    char status[16];
    char tags[TRACE_TAGS_MAX + 1];
    char runtime_id[RUNTIME_ID_SIZE];
};


int
trace_payload_init(struct trace_payload      *payload,
                   const struct trace_config *config)
{
    payload->config = config;
    payload->data = mmap(NULL, TRACE_PAYLOAD_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (payload->data == MAP_FAILED) {
        payload->data = NULL;
        return -ENOMEM;
    }

    trace_payload_begin(payload);

    return 0;
}


void
trace_payload_destroy(struct trace_payload *payload)
{
    if (payload->data != NULL) {
        munmap(payload->data, TRACE_PAYLOAD_SIZE);
        payload->data = NULL;
    }
}


void
trace_payload_begin(struct trace_payload *payload)
{
    payload->len = ARRAY_HEADER;
    payload->n_traces = 0;
}


void
trace_payload_finish(struct trace_payload *payload)
{
    unsigned i;

    payload->data[0] = (char) ARRAY_32;

    for (i = 0; i < 4; i++) {
        payload->data[1 + i] = (char) (payload->n_traces >> (24 - 8 * i));
    }
}


/* The packer's sink; it is told of bytes that find no room. */
static int
payload_write(void *data, const char *bytes, size_t len)
{
    struct trace_payload *payload = data;

    if (TRACE_PAYLOAD_SIZE - payload->len < len) {
        return -1;
    }

    memcpy(payload->data + payload->len, bytes, len);
    payload->len += len;

    return 0;
}


/* Nothing is set for an empty value, nor in place of what is there: no key comes
   twice. */
static void
meta_set(struct span_tags *tags, const char *key, const char *value)
{
    uint32_t i;

    if (value == NULL || *value == '\0' || tags->n_meta == META_MAX) {
        return;
    }

    for (i = 0; i < tags->n_meta; i++) {
        if (strcmp(tags->meta[i].key, key) == 0) {
            return;
        }
    }

    tags->meta[tags->n_meta++] = (struct meta){key, value};
}


/* The same of what a client or the configuration says, which may be no UTF-8. */
static void
meta_set_foreign(struct span_tags *tags, const char *key, const char *value)
{
    key = utf8_text(key, &tags->arena);

    if (key != NULL) {
        meta_set(tags, key, utf8_text(value, &tags->arena));
    }
}


static void
metric_set(struct span_tags *tags, const char *key, double value)
{
    if (tags->n_metrics < METRICS_MAX) {
        tags->metrics[tags->n_metrics++] = (struct metric){key, value};
    }
}


static void
set_http(struct span_tags *tags, const struct span_record *record)
{
    struct text_writer url = {tags->url, tags->url + URL_MAX - 1, false};
    struct text_writer status
        = {tags->status, tags->status + sizeof(tags->status) - 1, false};

    meta_set_foreign(tags, "http.method",
                     span_record_text(record, NPROF_SPAN_METHOD));
    meta_set_foreign(tags, "http.host",
                     span_record_text(record, NPROF_SPAN_HOST));
    meta_set_foreign(tags, "http.useragent",
                     span_record_text(record, NPROF_SPAN_USER_AGENT));
    meta_set_foreign(tags, "upstream.address",
                     span_record_text(record, NPROF_SPAN_UPSTREAM));

    if (*span_record_text(record, NPROF_SPAN_PATH) != '\0') {
        write_string(&url, record->tls ? "https://" : "http://");
        write_string(&url, span_record_text(record, NPROF_SPAN_HOST));
        write_string(&url, span_record_text(record, NPROF_SPAN_PATH));
        *url.at = '\0';
        meta_set_foreign(tags, "http.url", tags->url);
    }

    if (record->status != 0) {
        write_decimal(&status, record->status);
        *status.at = '\0';
        meta_set(tags, "http.status_code", tags->status);
    }
}


/* Tags that travel with the trace: KEY=VALUE,KEY=VALUE. */
static void
set_passed(struct span_tags *tags, const struct span_record *record)
{
    char *key, *value, *left;

    strcpy(tags->tags, span_record_text(record, SPAN_TAGS));
    left = tags->tags;

    while ((key = strsep(&left, ",")) != NULL) {
        value = strchr(key, '=');

        if (value != NULL) {
            *value++ = '\0';
            meta_set(tags, key, value);
        }
    }
}


/* The request's labels, but for those that are the span's own: its resource, the
   version, which is set, and the service, which is no tag. Two have names that say
   more in a trace. */
static void
set_labels(struct span_tags *tags, uint32_t labels)
{
    size_t              i;
    const char         *name;
    const struct label *label;

    static const struct {
        const char *label;
        const char *tag;
    } names[] = {
        {"server", "nginx.server"},
        {"location", "nginx.location"},
        {NPROF_TRACE_ENDPOINT, NULL},
        {"version", NULL},
        {"service", NULL},
    };

    for (label = label_set_first(labels); label != NULL;
         label = label_set_first(label->rest)) {
        name = label->name;

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strcmp(label->name, names[i].label) == 0) {
                name = names[i].tag;
            }
        }

        if (name != NULL) {
            meta_set_foreign(tags, name, label->value);
        }
    }
}


/* The configuration's. Git's have other names in spans than in profiles. */
static void
set_identity(struct span_tags *tags, const struct upload_settings *identity)
{
    uint32_t    i;
    const char *name;

    for (i = 0; i < identity->tags.n; i++) {
        name = identity->tags.tags[i].name;

        if (strcmp(name, "git.repository_url") == 0) {
            name = "_dd.git.repository_url";
        } else if (strcmp(name, "git.commit.sha") == 0) {
            name = "_dd.git.commit.sha";
        }

        meta_set_foreign(tags, name, identity->tags.tags[i].value);
    }
}


/* The first that sets a key has it: what we know, then what travels with the
   trace, the request's labels, and last the tags of the configuration. */
static void
set_meta(struct span_tags *tags, const struct trace_config *config,
         const struct span_record *record)
{
    const char                   *version;
    const struct upload_settings *identity;

    identity = config->identity;
    version = label_set_value(record->labels, "version");

    if (version == NULL) {
        version = identity->version == NULL ? "" : identity->version;
    }

    if (identity->shared != NULL) {
        runtime_id_print(identity->shared->instance, version, tags->runtime_id);
        meta_set(tags, "runtime-id", tags->runtime_id);
    }

    meta_set_foreign(tags, "env", identity->env == NULL ? "" : identity->env);
    meta_set_foreign(tags, "version", version);
    meta_set(tags, "language", "native");
    meta_set(tags, "component", "nginx");
    meta_set(tags, "span.kind", "server");
    meta_set_foreign(tags, "_dd.hostname",
                     config->host == NULL ? "" : config->host);

    set_http(tags, record);
    set_passed(tags, record);
    meta_set_foreign(tags, "_dd.origin", span_record_text(record, SPAN_ORIGIN));
    meta_set(tags, "_dd.parent_id", span_record_text(record, SPAN_DD_PARENT));
    meta_set(tags, "_dd.propagation_error", record->datadog_error);
    meta_set(tags, "_dd.w3c_extraction_error", record->w3c_error);

    set_labels(tags, record->labels);

    set_identity(tags, identity);
}


static void
set_metrics(struct span_tags *tags, const struct trace_config *config,
            const struct span_record *record)
{
    const struct trace_decision *decision;

    decision = &record->decision;

    metric_set(tags, "_sampling_priority_v1", decision->priority);
    metric_set(tags, "process_id", getpid());

    if (config->profiled) {
        metric_set(tags, "_dd.profiling.enabled", 1);
    }

    if (record->upstream_ms >= 0) {
        metric_set(tags, "upstream.response_time",
                   (double) record->upstream_ms / 1000);
    }

    switch (decision->mechanism) {
    case TRACE_BY_DEFAULT:
    case TRACE_BY_AGENT:
        metric_set(tags, "_dd.agent_psr", decision->rate);
        break;

    case TRACE_BY_RULE:
        metric_set(tags, "_dd.rule_psr", decision->rate);
        metric_set(tags, "_dd.limit_psr", decision->limit_rate);
        break;

    default: /* TRACE_BY_CALLER */
        break;
    }
}


static int
pack_text(msgpack_packer *packer, const char *text)
{
    size_t len;

    len = strlen(text);

    return msgpack_pack_str(packer, len) != 0
           || msgpack_pack_str_body(packer, text, len) != 0;
}


static int
pack_tags(msgpack_packer *packer, const struct span_tags *tags)
{
    int      failed;
    uint32_t i;

    failed = pack_text(packer, "meta")
             || msgpack_pack_map(packer, tags->n_meta) != 0;

    for (i = 0; i < tags->n_meta; i++) {
        failed |= pack_text(packer, tags->meta[i].key)
                  || pack_text(packer, tags->meta[i].value);
    }

    failed |= pack_text(packer, "metrics")
              || msgpack_pack_map(packer, tags->n_metrics) != 0;

    for (i = 0; i < tags->n_metrics; i++) {
        failed |= pack_text(packer, tags->metrics[i].key)
                  || msgpack_pack_double(packer, tags->metrics[i].value) != 0;
    }

    return failed;
}


static int
pack_string(msgpack_packer *packer, const char *key, const char *value)
{
    return pack_text(packer, key) || pack_text(packer, value);
}


static int
pack_id(msgpack_packer *packer, const char *key, uint64_t id)
{
    return pack_text(packer, key) || msgpack_pack_uint64(packer, id) != 0;
}


static int
pack_time(msgpack_packer *packer, const char *key, int64_t ns)
{
    return pack_text(packer, key)
           || msgpack_pack_int64(packer, ns < 0 ? 0 : ns) != 0;
}


static int
pack_span(msgpack_packer *packer, struct span_tags *tags,
          const struct upload_settings *identity,
          const struct span_record     *record)
{
    const char *resource, *service;

    resource = utf8_text(endpoint_of(record->labels), &tags->arena);
    service = utf8_text(identity->service, &tags->arena);

    return resource == NULL
           || service == NULL
           /* a trace of one span, which has 12 keys */
           || msgpack_pack_array(packer, 1) != 0
           || msgpack_pack_map(packer, 12) != 0
           || pack_string(packer, "service", service)
           || pack_string(packer, "name", TRACE_SPAN_NAME)
           || pack_string(packer, "resource", resource)
           || pack_string(packer, "type", "web")
           || pack_id(packer, "trace_id", record->trace_low)
           || pack_id(packer, "span_id", record->span_id)
           || pack_id(packer, "parent_id", record->parent_id)
           || pack_time(packer, "start", record->start_ns)
           || pack_time(packer, "duration", record->duration_ns)
           || pack_text(packer, "error")
           || msgpack_pack_int32(packer, record->status >= 500) != 0
           || pack_tags(packer, tags);
}


bool
trace_payload_add(struct trace_payload     *payload,
                  const struct span_record *record)
{
    int              failed;
    size_t           before;
    msgpack_packer   packer;
    struct span_tags tags;

    memset(&tags.arena, 0, sizeof(tags.arena));
    tags.n_meta = 0;
    tags.n_metrics = 0;
    before = payload->len;

    set_meta(&tags, payload->config, record);
    set_metrics(&tags, payload->config, record);

    msgpack_packer_init(&packer, payload, payload_write);
    failed = pack_span(&packer, &tags, payload->config->identity, record);
    block_arena_free(&tags.arena);

    if (failed) {
        payload->len = before;
        return false;
    }

    payload->n_traces++;

    return true;
}
