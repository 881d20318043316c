
/*
 * Requests to the agent; see trace_post.h.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../export/http_request.h"
#include "../nprof_clock.h"
#include "trace_post.h"


#define TRACES_PATH "/v0.4/traces"

/* For a whole request. */
#define POST_MS 5000

/* With its NUL. */
#define URL_MAX 512


/* Ends the request where there is no room: the answer may be endless. */
static size_t
answer_write(char *bytes, size_t size, size_t n, void *data)
{
    size_t             len, room;
    struct trace_post *post = data;

    len = size * n;
    room = TRACE_ANSWER_MAX - post->answer_len;

    if (len > room) {
        post->answer_cut = true;
        len = room;
    }

    memcpy(post->answer + post->answer_len, bytes, len);
    post->answer_len += len;

    return post->answer_cut ? 0 : len;
}


/* The Agent's address and the path; false if that is too long, or memory
   lacks. */
static bool
url_set(struct trace_post *post)
{
    char        url[URL_MAX];
    size_t      len;
    const char *agent = post->identity->agent.url;

    len = strcspn(agent, "?#");

    if (len > 0 && agent[len - 1] == '/') {
        len--;
    }

    return snprintf(url, sizeof(url), "%.*s%s", (int) len, agent, TRACES_PATH)
               < (int) sizeof(url)
           && curl_easy_setopt(post->easy, CURLOPT_URL, url) == CURLE_OK;
}


static bool
post_configure(struct trace_post *post)
{
    CURL *easy = post->easy;

    return http_request_prepare(easy, post->identity, &post->identity->agent,
                                POST_MS, post->error)
           && url_set(post)
           && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_write)
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_WRITEDATA, post) == CURLE_OK;
}


int
trace_post_create(const struct upload_settings *identity,
                  struct trace_post           **created)
{
    struct trace_post *post;

    /* never cleaned up; see uploader_create() */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return -ENOMEM;
    }

    post = calloc(1, sizeof(*post));
    if (post == NULL) {
        return -ENOMEM;
    }

    post->identity = identity;
    atomic_store(&post->end_ns, INT64_MAX);
    post->multi = curl_multi_init();
    post->easy = curl_easy_init();

    if (post->multi == NULL || post->easy == NULL || !post_configure(post)) {
        trace_post_destroy(post);
        return -ENOMEM;
    }

    *created = post;

    return 0;
}


void
trace_post_destroy(struct trace_post *post)
{
    curl_easy_cleanup(post->easy);
    curl_multi_cleanup(post->multi);
    free(post);
}


/* NULL if memory lacks. */
static struct curl_slist *
headers_make(const struct trace_post *post, const struct trace_payload *payload)
{
    char               count[16];
    bool               made;
    size_t             i;
    struct curl_slist *headers;

    const char *const lines[][2] = {
        {"Content-Type", "application/msgpack"},
        {"Datadog-Meta-Lang", "c"},
        {"Datadog-Meta-Lang-Version", "11"},
        {"Datadog-Meta-Lang-Interpreter", "nginx"},
        {"Datadog-Meta-Tracer-Version", NPROF_VERSION},
        {"Datadog-Send-Real-Http-Status", "1"},
        {"X-Datadog-Trace-Count", count},
    };

    snprintf(count, sizeof(count), "%u", payload->n_traces);

    headers = http_headers_begin();
    made = headers != NULL && http_container_headers(&headers, post->identity);

    for (i = 0; made && i < sizeof(lines) / sizeof(lines[0]); i++) {
        made = http_header_add(&headers, lines[i][0], lines[i][1]);
    }

    if (!made) {
        curl_slist_free_all(headers);
        headers = NULL;
    }

    return headers;
}


/* Until the request is over, or its time is. */
static void
post_wait(struct trace_post *post)
{
    int     running;
    int64_t left;

    for (;;) {
        if (curl_multi_perform(post->multi, &running) != CURLM_OK
            || running == 0) {
            return;
        }

        left = atomic_load(&post->end_ns) - clock_ns(CLOCK_MONOTONIC);

        if (left <= 0) {
            return;
        }

        (void) curl_multi_poll(post->multi, NULL, 0,
                               left < POST_MS * INT64_C(1000000)
                                   ? (int) (left / 1000000 + 1)
                                   : POST_MS,
                               NULL);
    }
}


long
trace_post_send(struct trace_post *post, const struct trace_payload *payload)
{
    int                left;
    long               status;
    CURLMsg           *message;
    struct curl_slist *headers;

    status = 0;
    post->answer_len = 0;
    post->answer_cut = false;
    strcpy(post->error, "no memory");

    headers = headers_make(post, payload);
    if (headers == NULL) {
        return 0;
    }

    post->error[0] = '\0';

    curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, payload->data);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE, (long) payload->len);

    if (curl_multi_add_handle(post->multi, post->easy) == CURLM_OK) {
        post_wait(post);
        message = curl_multi_info_read(post->multi, &left);

        if (message != NULL
            && (message->data.result == CURLE_OK || post->answer_cut)) {
            curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
            snprintf(post->error, sizeof(post->error), "HTTP status %ld",
                     status);

        } else if (message != NULL && post->error[0] == '\0') {
            snprintf(post->error, sizeof(post->error), "%s",
                     curl_easy_strerror(message->data.result));
        }

        curl_multi_remove_handle(post->multi, post->easy);
    }

    curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);

    return status;
}


const char *
trace_post_reason(const struct trace_post *post)
{
    return post->error[0] == '\0' ? "no answer" : post->error;
}


void
trace_post_hurry(struct trace_post *post, int64_t until_ns)
{
    atomic_store(&post->end_ns, until_ns);
    curl_multi_wakeup(post->multi);
}
