
/*
 * Requests by libcurl; see http_request.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http_request.h"


#define USER_AGENT "nginx-profiler/" NPROF_VERSION


/* What a process that nginx or a module starts must not have. */
static curl_socket_t
socket_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void) data;
    (void) purpose;

    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}


bool
http_request_prepare(CURL *easy, const struct upload_settings *settings,
                     const struct upload_target *target, long timeout_ms,
                     char *error)
{
    return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                               (long) CURL_HTTP_VERSION_1_1)
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open)
                  == CURLE_OK
           && curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK
           && (target->socket == NULL
               || curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
                                   target->socket)
                      == CURLE_OK)
           && (settings->ca_file == NULL
               || curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file)
                      == CURLE_OK);
}


bool
http_header_add(struct curl_slist **headers, const char *name,
                const char *value)
{
    char              *line;
    struct curl_slist *added;

    if (value == NULL || value[0] == '\0') {
        return true;
    }

    if (asprintf(&line, "%s: %s", name, value) < 0) {
        return false;
    }

    added = curl_slist_append(*headers, line);
    free(line);

    if (added != NULL) {
        *headers = added;
    }

    return added != NULL;
}


bool
http_container_headers(struct curl_slist           **headers,
                       const struct upload_settings *settings)
{
    return http_header_add(headers, "Datadog-Container-ID",
                           settings->entity.container)
           && http_header_add(headers, "Datadog-Entity-ID",
                              settings->entity.entity)
           && http_header_add(headers, "Datadog-External-Env",
                              settings->external_env);
}


struct curl_slist *
http_headers_begin(void)
{
    return curl_slist_append(NULL, "Expect:");
}
