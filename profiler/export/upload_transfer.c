
/*
 * A request by libcurl; see upload_transfer.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datadog_event.h"
#include "http_request.h"
#include "upload_transfer.h"


#define ORIGIN "nginx-profiler"


/* Of headers and body: nobody needs the answer, and it may be endless. */
static size_t
answer_read(char *bytes, size_t size, size_t n, void *data)
{
    struct upload_transfer *transfer = data;

    (void) bytes;

    transfer->answer_bytes += size * n;

    return transfer->answer_bytes > UPLOAD_ANSWER_MAX ? 0 : size * n;
}


static bool
datadog_headers(struct upload_transfer       *transfer,
                const struct upload_settings *settings,
                const struct upload_target   *target)
{
    struct curl_slist **headers = &transfer->headers;

    return http_header_add(headers, "DD-EVP-ORIGIN", ORIGIN)
           && http_header_add(headers, "DD-EVP-ORIGIN-VERSION", NPROF_VERSION)
           && http_container_headers(headers, settings)
           && (!target->intake
               || http_header_add(headers, "DD-API-KEY", settings->api_key));
}


static bool
part_add(struct upload_transfer *transfer, const char *name, const char *file,
         const char *type, const void *data, size_t len)
{
    curl_mimepart *part;

    part = curl_mime_addpart(transfer->mime);

    return part != NULL && curl_mime_name(part, name) == CURLE_OK
           && curl_mime_filename(part, file) == CURLE_OK
           && curl_mime_type(part, type) == CURLE_OK
           && curl_mime_data(part, data, len) == CURLE_OK;
}


static bool
datadog_body(struct upload_transfer *transfer, const struct upload_item *item)
{
    transfer->mime = curl_mime_init(transfer->easy);

    return transfer->mime != NULL
           && part_add(transfer, "event", "event.json", "application/json",
                       item->event, strlen(item->event))
           && part_add(transfer, DATADOG_PROFILE_FILE, DATADOG_PROFILE_FILE,
                       "application/octet-stream", item->profile, item->len)
           && curl_easy_setopt(transfer->easy, CURLOPT_MIMEPOST, transfer->mime)
                  == CURLE_OK;
}


static bool
plain_body(struct upload_transfer *transfer, const struct upload_item *item)
{
    return http_header_add(&transfer->headers, "Content-Type",
                           "application/octet-stream")
           && curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t) item->len)
                  == CURLE_OK
           && curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS,
                               item->profile)
                  == CURLE_OK;
}


static bool
url_set(struct upload_transfer *transfer, const struct upload_target *target,
        const struct upload_item *item)
{
    char    *url;
    CURLcode code;

    if (asprintf(&url, "%s%s", target->url,
                 item->query == NULL ? "" : item->query)
        < 0) {
        return false;
    }

    code = curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    free(url);

    return code == CURLE_OK;
}


static bool
answer_options(struct upload_transfer *transfer)
{
    CURL *easy = transfer->easy;

    return curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_read)
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, answer_read)
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK;
}


static bool
request_make(struct upload_transfer       *transfer,
             const struct upload_settings *settings,
             const struct upload_target *target, const struct upload_item *item)
{
    return http_request_prepare(transfer->easy, settings, target,
                                settings->timeout_ms, transfer->error)
           && answer_options(transfer) && url_set(transfer, target, item)
           && (target->kind == NPROF_DATADOG
                   ? datadog_headers(transfer, settings, target)
                         && datadog_body(transfer, item)
                   : plain_body(transfer, item))
           && http_header_add(&transfer->headers, "Connection", "close")
           && curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER,
                               transfer->headers)
                  == CURLE_OK;
}


int
upload_transfer_begin(struct upload_transfer       *transfer,
                      const struct upload_settings *settings,
                      const struct upload_target   *target,
                      const struct upload_item     *item)
{
    memset(transfer, 0, sizeof(*transfer));

    transfer->headers = http_headers_begin();
    transfer->easy = curl_easy_init();

    if (transfer->headers == NULL || transfer->easy == NULL
        || !request_make(transfer, settings, target, item)) {
        upload_transfer_end(transfer);
        return -ENOMEM;
    }

    return 0;
}


/* libcurl's words, which may quote the answer. */
static void
reason_copy(const struct upload_transfer *transfer, CURLcode code, char *reason)
{
    char *c;

    snprintf(reason, UPLOAD_REASON_SIZE, "%s",
             transfer->error[0] != '\0' ? transfer->error
                                        : curl_easy_strerror(code));

    for (c = reason; *c != '\0'; c++) {
        if ((unsigned char) *c < ' ' || (unsigned char) *c > '~' || *c == '"'
            || *c == '\\') {
            *c = '_';
        }
    }
}


enum upload_outcome
upload_transfer_outcome(struct upload_transfer *transfer, CURLcode code,
                        uint32_t *status, char reason[UPLOAD_REASON_SIZE])
{
    long answer = 0;

    (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer);

    /* whatever comes after it, an answer that is cut or endless: the status
       says what became of the profile */
    if (answer < 200) {
        *status = 0;
        reason_copy(transfer, code, reason);
        return UPLOAD_FAILED;
    }

    *status = (uint32_t) answer;
    snprintf(reason, UPLOAD_REASON_SIZE, "HTTP status %ld", answer);

    if (answer < 300) {
        return UPLOAD_SENT;
    }

    return answer < 500 ? UPLOAD_REFUSED : UPLOAD_REJECTED;
}


void
upload_transfer_end(struct upload_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_mime_free(transfer->mime);
    curl_slist_free_all(transfer->headers);
    memset(transfer, 0, sizeof(*transfer));
}
