
/*
 * Requests to the agent, by libcurl. They wait, and their time is bounded; a
 * request can be cut short by another thread.
 *
 * The tracer's thread, but for what is said. Of an answer TRACE_ANSWER_MAX are
 * read: what is longer is cut there, and its status counts. Redirects are not
 * followed, and proxies are not used.
 */


#ifndef NPROF_TRACE_POST_H
#define NPROF_TRACE_POST_H


#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "trace_payload.h"


#define TRACE_ANSWER_MAX (64u * 1024)


struct trace_post {
    const struct upload_settings *identity;

    CURLM *multi;
    CURL  *easy;

    /* The answer's body, or what is kept of it. */
    char   answer[TRACE_ANSWER_MAX];
    size_t answer_len;
    bool   answer_cut;

    /* Why the last one failed. */
    char error[CURL_ERROR_SIZE];

    /* When requests end at the latest: CLOCK_MONOTONIC, nanoseconds. Set by
       trace_post_hurry(). */
    _Atomic int64_t end_ns;
};


/* Before the thread starts. Returns 0 or -errno. Event loop's thread. */
int trace_post_create(const struct upload_settings *identity,
                      struct trace_post           **created);

/* The thread is gone. */
void trace_post_destroy(struct trace_post *post);

/*
 * Sends the payload, and waits for the answer; returns its HTTP status, 0 if
 * there is none.
 */
long trace_post_send(struct trace_post          *post,
                     const struct trace_payload *payload);

/* Why the last one failed, for people. Valid until the next one. */
const char *trace_post_reason(const struct trace_post *post);

/* All requests together have until that time, the one that waits, too. Event
   loop's thread. */
void trace_post_hurry(struct trace_post *post, int64_t until_ns);


#endif /* NPROF_TRACE_POST_H */
