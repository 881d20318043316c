
/*
 * One request to a destination, by libcurl. The upload thread; nothing here
 * waits.
 */


#ifndef NPROF_UPLOAD_TRANSFER_H
#define NPROF_UPLOAD_TRANSFER_H


#include <curl/curl.h>
#include <stdint.h>

#include "upload_queue.h"
#include "upload_settings.h"


/* The most bytes of an answer, headers included, that are read. */
#define UPLOAD_ANSWER_MAX (64 * 1024)

/* The longest description of what went wrong, with its NUL. */
#define UPLOAD_REASON_SIZE 256


enum upload_outcome {
    /* 2xx */
    UPLOAD_SENT = 0,

    /* 3xx, 4xx: the next try would not be better. */
    UPLOAD_REFUSED,

    /* 5xx */
    UPLOAD_REJECTED,

    /* There was no answer. */
    UPLOAD_FAILED
};


/* In use from begin() to end(). */
struct upload_transfer {
    CURL              *easy;
    struct curl_slist *headers;
    curl_mime         *mime;
    size_t             answer_bytes;
    char               error[CURL_ERROR_SIZE];
};


/*
 * Prepares the request: easy is to be added to a multi handle. What the item
 * holds must stay. 0 or -ENOMEM, with nothing to end.
 */
int upload_transfer_begin(struct upload_transfer       *transfer,
                          const struct upload_settings *settings,
                          const struct upload_target   *target,
                          const struct upload_item     *item);

/*
 * What came of it; status gets the HTTP status of the answer, 0 if there is
 * none, reason what to say of it if it was not sent.
 */
enum upload_outcome upload_transfer_outcome(struct upload_transfer *transfer,
                                            CURLcode code, uint32_t *status,
                                            char reason[UPLOAD_REASON_SIZE]);

/* Frees it. It is in no multi handle any more. */
void upload_transfer_end(struct upload_transfer *transfer);


#endif /* NPROF_UPLOAD_TRANSFER_H */
