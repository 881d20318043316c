
/*
 * Addresses of uploads; see upload_target.h.
 */


#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "arena_text.h"
#include "upload_target.h"


#define NO_MEMORY "there is no memory"


static const char *
socket_parse(struct upload_target *target, const char *address,
             const char *path, struct block_arena *arena)
{
    /* unix:PATH and unix://PATH */
    address += strlen("unix:");
    if (strncmp(address, "//", 2) == 0) {
        address += 2;
    }

    if (address[0] != '/') {
        return "the path of a unix socket is not absolute";
    }

    if (strlen(address) >= UPLOAD_SOCKET_PATH) {
        return "the path of a unix socket is too long";
    }

    target->socket = arena_text(arena, "%s", address);
    target->name = arena_text(arena, "unix:%s", address);
    target->url = arena_text(arena, "http://localhost%s", path);

    return target->socket == NULL || target->name == NULL || target->url == NULL
               ? NO_MEMORY
               : NULL;
}


static bool
ends_with(const char *text, const char *end)
{
    size_t len, end_len;

    len = strlen(text);
    end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}


/* Appends path to that of the URL, which may end with a slash. */
static const char *
url_add_path(CURLU *url, const char *path)
{
    char *before, joined[1024];
    int   len;

    if (curl_url_get(url, CURLUPART_PATH, &before, 0) != CURLUE_OK) {
        return NO_MEMORY;
    }

    if (ends_with(before, path)) {
        curl_free(before);
        return NULL;
    }

    len = (int) strlen(before);
    if (len > 0 && before[len - 1] == '/') {
        len--;
    }

    len = snprintf(joined, sizeof(joined), "%.*s%s", len, before, path);
    curl_free(before);

    if (len >= (int) sizeof(joined)) {
        return "it is too long";
    }

    return curl_url_set(url, CURLUPART_PATH, joined, 0) == CURLUE_OK
               ? NULL
               : NO_MEMORY;
}


/* The URL as a text of the arena; NULL if memory lacks. */
static const char *
url_text(CURLU *url, struct block_arena *arena)
{
    char       *text;
    const char *copy;

    if (curl_url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK) {
        return NULL;
    }

    copy = arena_text(arena, "%s", text);
    curl_free(text);

    return copy;
}


static const char *
url_parse(struct upload_target *target, CURLU *url, const char *address,
          const char *path, struct block_arena *arena)
{
    const char *error;

    if (curl_url_set(url, CURLUPART_URL, address, 0) != CURLUE_OK) {
        return "it is no valid URL";
    }

    (void) curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    (void) curl_url_set(url, CURLUPART_QUERY, NULL, 0);

    if (path != NULL) {
        error = url_add_path(url, path);
        if (error != NULL) {
            return error;
        }
    }

    target->url = url_text(url, arena);

    (void) curl_url_set(url, CURLUPART_USER, NULL, 0);
    (void) curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    (void) curl_url_set(url, CURLUPART_OPTIONS, NULL, 0);
    target->name = url_text(url, arena);

    return target->url == NULL || target->name == NULL ? NO_MEMORY : NULL;
}


const char *
upload_target_parse(struct upload_target *target, const char *address,
                    const char *path, struct block_arena *arena)
{
    CURLU      *url;
    const char *error;

    if (strncmp(address, "unix:", 5) == 0) {
        return socket_parse(target, address, path == NULL ? "/" : path, arena);
    }

    if (strncmp(address, "http://", 7) != 0
        && strncmp(address, "https://", 8) != 0) {
        return "it does not begin with http://, https:// or unix:";
    }

    url = curl_url();
    if (url == NULL) {
        return NO_MEMORY;
    }

    error = url_parse(target, url, address, path, arena);
    curl_url_cleanup(url);

    return error;
}
