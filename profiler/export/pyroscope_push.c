
/*
 * The query of a push to Pyroscope; see pyroscope_push.h.
 */


#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../encode/pprof_label.h"
#include "pyroscope_push.h"


/* Percent-encodes all but what RFC 3986 calls unreserved. */
static void
print_encoded(FILE *out, const char *text)
{
    static const char unreserved[]
        = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL) {
            fputc(*text, out);
        } else {
            fprintf(out, "%%%02X", (unsigned char) *text);
        }
    }
}


/* Without what the name of an application is divided by. */
static void
print_value(FILE *out, const char *text)
{
    char one[2] = "";

    for (; *text != '\0'; text++) {
        one[0] = strchr("{},=\"", *text) != NULL ? '_' : *text;
        print_encoded(out, one);
    }
}


static void
print_label(FILE *out, bool *first, const char *name, const char *value)
{
    char buffer[PPROF_LABEL_NAME_SIZE];

    if (value == NULL || value[0] == '\0') {
        return;
    }

    print_encoded(out, *first ? "{" : ",");
    *first = false;

    print_encoded(out, pprof_label_name(PPROF_NAMES_SERIES, name, buffer));
    print_encoded(out, "=");
    print_value(out, value);
}


char *
pyroscope_push_query(const struct upload_settings *settings,
                     const char *version, int64_t start_ns, int64_t end_ns)
{
    bool              first;
    FILE             *out;
    char             *text;
    size_t            len;
    uint32_t          i;
    const struct tag *tag;

    text = NULL;
    out = open_memstream(&text, &len);
    if (out == NULL) {
        return NULL;
    }

    first = true;
    fputs("?name=", out);
    print_value(out, settings->service);
    print_label(out, &first, "env", settings->env);
    print_label(out, &first, "version", version);
    print_label(out, &first, "host", settings->host);

    for (i = 0; i < settings->tags.n; i++) {
        tag = &settings->tags.tags[i];

        if (strcmp(tag->name, "host") != 0) {
            print_label(out, &first, tag->name, tag->value);
        }
    }

    print_encoded(out, first ? "" : "}");
    fprintf(out,
            "&from=%" PRId64 "&until=%" PRId64 "&format=pprof"
            "&spyName=nginx-profiler",
            start_ns / 1000000000, end_ns / 1000000000);

    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
