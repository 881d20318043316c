
/*
 * event.json; see datadog_event.h.
 */


#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../encode/utf8_text.h"
#include "datadog_event.h"
#include "runtime_id.h"


#if defined(__x86_64__)
#define CPU_ARCH "amd64"
#elif defined(__aarch64__)
#define CPU_ARCH "arm64"
#endif

/* "2026-08-22T00:00:00.123456789Z" */
#define TIME_SIZE 64


static void
time_print(int64_t ns, char text[TIME_SIZE])
{
    size_t    len;
    time_t    seconds;
    struct tm utc;

    seconds = (time_t) (ns / 1000000000);
    gmtime_r(&seconds, &utc);

    len = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, TIME_SIZE - len, ".%09dZ", (int) (ns % 1000000000));
}


/*
 * The tags: ours go before the user's, and there is one version at most, else
 * versions can't be compared.
 */
static char *
tags_print(const struct datadog_event   *event,
           const struct upload_settings *settings)
{
    char            runtime_id[RUNTIME_ID_SIZE], pid[24], sequence[24];
    uint32_t        i;
    struct tag_list list;

    runtime_id_print(settings->shared->instance, event->version, runtime_id);
    snprintf(pid, sizeof(pid), "%d", (int) settings->master);
    snprintf(sequence, sizeof(sequence), "%" PRIu64, event->sequence);

    list.n = 0;
    tag_list_set(&list, "service", settings->service);
    tag_list_set(&list, "env", settings->env);
    tag_list_set(&list, "version", event->version);
    tag_list_set(&list, "language", "native");
    tag_list_set(&list, "runtime", "native");
    tag_list_set(&list, "runtime-id", runtime_id);
    tag_list_set(&list, "runtime_os", "linux");
    tag_list_set(&list, "cpu_arch", CPU_ARCH);
    tag_list_set(&list, "process_id", pid);
    tag_list_set(&list, "host", settings->host);
    tag_list_set(&list, "profiler_version", NPROF_VERSION);
    tag_list_set(&list, "profile_seq", sequence);

    for (i = 0; i < settings->tags.n; i++) {
        if (tag_list_get(&list, settings->tags.tags[i].name) == NULL) {
            tag_list_set(&list, settings->tags.tags[i].name,
                         settings->tags.tags[i].value);
        }
    }

    return tag_list_print(&list);
}


/* A JSON string, or NULL. */
static json_t *
text_value(const char *text)
{
    json_t            *value;
    const char        *valid;
    struct block_arena arena;

    memset(&arena, 0, sizeof(arena));
    valid = utf8_text(text, &arena);
    value = valid == NULL ? NULL : json_string(valid);
    block_arena_free(&arena);

    return value;
}


/* Counts by endpoint; NULL if there are none. */
static json_t *
endpoints_value(const struct datadog_event *event)
{
    char                         *name;
    json_t                       *counts, *key;
    uint32_t                      i, n;
    json_int_t                    before;
    const struct upload_endpoint *endpoint;

    n = 0;
    counts = json_object();

    for (i = 0; counts != NULL && i < event->n_endpoints; i++) {
        endpoint = &event->endpoints[i];

        if (strcmp(endpoint->version, event->version) != 0) {
            continue;
        }

        key = text_value(endpoint->endpoint);
        name = (char *) json_string_value(key);

        if (name != NULL) {
            before = json_integer_value(json_object_get(counts, name));

            if (before != 0 || n++ < DATADOG_ENDPOINTS_MAX) {
                (void) json_object_set_new(
                    counts, name,
                    json_integer(before + (json_int_t) endpoint->requests));
            }
        }

        json_decref(key);
    }

    if (n == 0) {
        json_decref(counts);
        counts = NULL;
    }

    return counts;
}


char *
datadog_event_print(const struct datadog_event   *event,
                    const struct upload_settings *settings)
{
    char    start[TIME_SIZE], end[TIME_SIZE];
    char   *text, *tags;
    json_t *json, *tags_json, *process_json, *counts;

    time_print(event->start_ns, start);
    time_print(event->end_ns, end);

    tags = tags_print(event, settings);
    tags_json = tags == NULL ? NULL : text_value(tags);
    process_json = text_value(settings->process_tags);
    counts = endpoints_value(event);
    free(tags);

    /* o takes what it is given, also where it fails; o* leaves out NULL */
    json = json_pack("{s:[s], s:o, s:s, s:s, s:s, s:s, s:o*, s:o,"
                     " s:{s:{s:s, s:{s:s}, s:{}}}, s:{}}",
                     "attachments", DATADOG_PROFILE_FILE, "tags_profiler",
                     tags_json, "start", start, "end", end, "family", "native",
                     "version", "4", "endpoint_counts", counts, "process_tags",
                     process_json, "info", "profiler", "activation",
                     settings->activation, "ssi", "mechanism", "none",
                     "settings", "internal");

    text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);

    return text;
}
