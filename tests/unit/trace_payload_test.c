
/*
 * Payloads: whatever a span has, they are whole and have their bounds.
 */


#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "export/runtime_id.h"
#include "sample/label_set.h"
#include "trace/endpoint_counts.h"
#include "trace/trace_payload.h"


static struct upload_settings identity = {
    .service = "app",
    .env = "prod",
    .version = "7",
};

static struct trace_config config = {.identity = &identity};


/* A record whose texts are all this one; the caller frees it. */
static struct span_record *
record_make(const char *text)
{
    char               *at;
    size_t              size;
    unsigned            i;
    struct span_record *record;

    size = strlen(text) + 1;
    record = calloc(1, sizeof(*record) + SPAN_RECORD_TEXTS * size);
    cr_assert_not_null(record);

    record->trace_low = UINT64_MAX;
    record->span_id = 1;
    record->start_ns = 1700000000000000000;
    record->duration_ns = -5;
    record->status = 502;
    record->upstream_ms = 250;
    at = record->text;

    for (i = 0; i < SPAN_RECORD_TEXTS; i++) {
        record->texts[i] = (uint16_t) (at - record->text);
        at = mempcpy(at, text, size);
    }

    return record;
}


static msgpack_object
value_of(msgpack_object map, const char *key)
{
    uint32_t       i;
    msgpack_object name;

    cr_assert_eq(map.type, MSGPACK_OBJECT_MAP);

    for (i = 0; i < map.via.map.size; i++) {
        name = map.via.map.ptr[i].key;

        if (name.via.str.size == strlen(key)
            && memcmp(name.via.str.ptr, key, strlen(key)) == 0) {
            return map.via.map.ptr[i].val;
        }
    }

    return (msgpack_object){.type = MSGPACK_OBJECT_NIL};
}


static bool
is_text(msgpack_object value, const char *text)
{
    return value.type == MSGPACK_OBJECT_STR
           && value.via.str.size == strlen(text)
           && memcmp(value.via.str.ptr, text, strlen(text)) == 0;
}


/* The one span of each of the traces. */
static msgpack_object
span_of(const struct trace_payload *payload, msgpack_unpacked *unpacked,
        uint32_t i)
{
    msgpack_object traces;
    size_t         offset = 0;

    cr_assert_eq(
        msgpack_unpack_next(unpacked, payload->data, payload->len, &offset),
        MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(offset, payload->len);

    traces = unpacked->data;
    cr_assert_eq(traces.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(traces.via.array.size, payload->n_traces);
    cr_assert_eq(traces.via.array.ptr[i].via.array.size, 1);

    return traces.via.array.ptr[i].via.array.ptr[0];
}


static struct label_text
text(const char *data)
{
    return (struct label_text){data, strlen(data)};
}


Test(trace_payload, a_span)
{
    msgpack_object       span, meta, metrics;
    msgpack_unpacked     unpacked;
    struct span_record  *record = record_make("x=y");
    struct trace_payload payload;

    cr_assert_eq(trace_payload_init(&payload, &config), 0);
    record->labels = label_set_with(0, text("location"), text("= /a"), false);
    record->labels = label_set_with(record->labels, text(NPROF_TRACE_ENDPOINT),
                                    text("GET /a"), false);
    record->labels
        = label_set_with(record->labels, text("version"), text("2"), false);
    record->decision = (struct trace_decision){1, TRACE_BY_AGENT, 0.5, 1};

    cr_assert(trace_payload_add(&payload, record));
    trace_payload_finish(&payload);

    msgpack_unpacked_init(&unpacked);
    span = span_of(&payload, &unpacked, 0);
    cr_assert_eq(span.via.map.size, 12);
    cr_assert(is_text(value_of(span, "service"), "app"));
    cr_assert(is_text(value_of(span, "resource"), "GET /a"));
    cr_assert_eq(value_of(span, "trace_id").via.u64, UINT64_MAX);
    cr_assert_eq(value_of(span, "duration").via.u64, 0);
    cr_assert_eq(value_of(span, "error").via.u64, 1);

    meta = value_of(span, "meta");
    cr_assert(is_text(value_of(meta, "version"), "2"));
    cr_assert(is_text(value_of(meta, "env"), "prod"));
    cr_assert(is_text(value_of(meta, "nginx.location"), "= /a"));
    cr_assert(is_text(value_of(meta, "http.url"), "http://x=yx=y"));
    cr_assert(is_text(value_of(meta, "http.status_code"), "502"));
    cr_assert(is_text(value_of(meta, "x"), "y"));
    cr_assert_eq(value_of(meta, NPROF_TRACE_ENDPOINT).type, MSGPACK_OBJECT_NIL);

    metrics = value_of(span, "metrics");
    cr_assert_eq(value_of(metrics, "_dd.agent_psr").via.f64, 0.5);
    cr_assert_eq(value_of(metrics, "upstream.response_time").via.f64, 0.25);
    cr_assert_eq(value_of(metrics, "_sampling_priority_v1").via.f64, 1);

    msgpack_unpacked_destroy(&unpacked);
    trace_payload_destroy(&payload);
    free(record);
}


static bool
same_text(msgpack_object a, msgpack_object b)
{
    return a.via.str.size == b.via.str.size
           && memcmp(a.via.str.ptr, b.via.str.ptr, a.via.str.size) == 0;
}


static void
expect_no_key_twice(msgpack_object map)
{
    uint32_t i, j;

    cr_assert_eq(map.type, MSGPACK_OBJECT_MAP);

    for (i = 0; i < map.via.map.size; i++) {
        cr_assert_eq(map.via.map.ptr[i].key.type, MSGPACK_OBJECT_STR);

        for (j = 0; j < i; j++) {
            cr_expect(
                !same_text(map.via.map.ptr[i].key, map.via.map.ptr[j].key),
                "%.*s", (int) map.via.map.ptr[i].key.via.str.size,
                map.via.map.ptr[i].key.via.str.ptr);
        }
    }
}


/* Tags, labels and what came with the trace may have the names of each other and
   of ours. */
Test(trace_payload, no_key_comes_twice)
{
    size_t                 i;
    msgpack_object         span, meta;
    msgpack_unpacked       unpacked;
    struct span_record    *record = record_make("team=trace,runtime-id=trace");
    struct trace_payload   payload;
    struct upload_settings own = identity;

    static const char *const names[]
        = {"version", "env", "service", "runtime-id", "team", "span.kind"};

    struct trace_config own_config = {.identity = &own, .host = "h"};

    own.shared = upload_shared_get();
    cr_assert_not_null(own.shared);
    own.tags.tags[own.tags.n++] = (struct tag){"location", "tag"};
    own.tags.tags[own.tags.n++] = (struct tag){"nginx.location", "tag"};

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        tag_list_set(&own.tags, names[i], "tag");
        record->labels = label_set_with(record->labels, text(names[i]),
                                        text("label"), false);
    }

    tag_list_remove(&own.tags, "service");
    record->labels
        = label_set_with(record->labels, text("location"), text("/"), false);

    cr_assert_eq(trace_payload_init(&payload, &own_config), 0);
    cr_assert(trace_payload_add(&payload, record));
    trace_payload_finish(&payload);

    msgpack_unpacked_init(&unpacked);
    span = span_of(&payload, &unpacked, 0);
    expect_no_key_twice(span);
    expect_no_key_twice(value_of(span, "metrics"));

    meta = value_of(span, "meta");
    expect_no_key_twice(meta);
    cr_expect(is_text(value_of(meta, "version"), "label"));
    cr_expect(is_text(value_of(meta, "env"), "prod"));
    cr_expect(is_text(value_of(meta, "span.kind"), "server"));
    cr_expect(is_text(value_of(meta, "_dd.hostname"), "h"));
    cr_expect(is_text(value_of(meta, "team"), "trace"));
    cr_expect(is_text(value_of(meta, "nginx.location"), "/"));
    cr_expect(is_text(value_of(meta, "location"), "tag"));
    cr_expect_eq(value_of(meta, "runtime-id").via.str.size,
                 RUNTIME_ID_SIZE - 1);
    cr_expect_eq(value_of(meta, "service").type, MSGPACK_OBJECT_NIL);

    msgpack_unpacked_destroy(&unpacked);
    trace_payload_destroy(&payload);
    free(record);
}


/* Bytes that are no UTF-8, in all texts; and nothing at all. */
Test(trace_payload, strange_texts)
{
    msgpack_object       meta;
    msgpack_unpacked     unpacked;
    struct span_record  *bad = record_make("\xff\xfe"), *none = record_make("");
    struct trace_payload payload;

    cr_assert_eq(trace_payload_init(&payload, &config), 0);
    none->status = 0;
    none->upstream_ms = -1;
    cr_assert(trace_payload_add(&payload, bad));
    cr_assert(trace_payload_add(&payload, none));
    trace_payload_finish(&payload);

    msgpack_unpacked_init(&unpacked);
    meta = value_of(span_of(&payload, &unpacked, 0), "meta");
    cr_assert(
        is_text(value_of(meta, "http.useragent"), "\xef\xbf\xbd\xef\xbf\xbd"));
    meta = value_of(span_of(&payload, &unpacked, 1), "meta");
    cr_assert_eq(value_of(meta, "http.url").type, MSGPACK_OBJECT_NIL);
    cr_assert_eq(value_of(meta, "http.status_code").type, MSGPACK_OBJECT_NIL);
    cr_assert(is_text(value_of(span_of(&payload, &unpacked, 1), "resource"),
                      ENDPOINT_OTHER));

    msgpack_unpacked_destroy(&unpacked);
    trace_payload_destroy(&payload);
    free(bad);
    free(none);
}


/* A span that finds no room leaves those before it whole. */
Test(trace_payload, it_is_full)
{
    char                 long_text[500];
    uint32_t             n;
    msgpack_unpacked     unpacked;
    struct span_record  *record;
    struct trace_payload payload;

    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    record = record_make(long_text);

    cr_assert_eq(trace_payload_init(&payload, &config), 0);

    for (n = 0; trace_payload_add(&payload, record); n++) {
        cr_assert_lt(n, 10000);
    }

    cr_assert_gt(payload.len, TRACE_PAYLOAD_MAX);
    cr_assert_leq(payload.len, TRACE_PAYLOAD_SIZE);
    cr_assert_eq(payload.n_traces, n);
    trace_payload_finish(&payload);

    msgpack_unpacked_init(&unpacked);
    (void) span_of(&payload, &unpacked, n - 1);
    msgpack_unpacked_destroy(&unpacked);

    trace_payload_begin(&payload);
    cr_assert(trace_payload_add(&payload, record));
    trace_payload_destroy(&payload);
    free(record);
}
