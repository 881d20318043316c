
/*
 * What all requests to others have in common, profiles' and traces': HTTP only,
 * no proxy and no redirect (an API key goes nowhere else), no signals, no
 * waiting for a resolver that hangs, and connections that no child inherits.
 *
 * The thread that sends. False: memory lacks.
 */


#ifndef NPROF_HTTP_REQUEST_H
#define NPROF_HTTP_REQUEST_H


#include <curl/curl.h>
#include <stdbool.h>

#include "upload_settings.h"


/* Prepares requests to that destination: all but the URL, the body and what
   takes the answer. error has CURL_ERROR_SIZE bytes and stays. */
bool http_request_prepare(CURL *easy, const struct upload_settings *settings,
                          const struct upload_target *target, long timeout_ms,
                          char *error);

/* A list to add headers to; NULL if memory lacks. It says that we don't wait
   for "100 Continue", which some never send. */
struct curl_slist *http_headers_begin(void);

/* Adds a header of a name and a value, unless that is NULL or "". */
bool http_header_add(struct curl_slist **headers, const char *name,
                     const char *value);

/* Adds what the Agent knows the container by. */
bool http_container_headers(struct curl_slist           **headers,
                            const struct upload_settings *settings);


#endif /* NPROF_HTTP_REQUEST_H */
