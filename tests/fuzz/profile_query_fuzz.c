/*
 * Reads what is no query of a profile's URL: it is refused in one line, or what
 * it asks for is within its bounds. The first byte chooses the form.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/nginx/profile_query.h"


#define NOW INT64_C(1800000000000000000)
#define SECONDS_MAX 300


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static struct profile_query query;


static void
check_labels(void)
{
    uint32_t                        i;
    const struct nprof_label_match *label;

    if (query.window.n_labels > NPROF_MATCHES_MAX) {
        abort();
    }

    for (i = 0; i < query.window.n_labels; i++) {
        label = &query.window.labels[i];

        if (label->name.len == 0 || label->name.len > NPROF_LABEL_NAME_MAX
            || label->value.len > NPROF_LABEL_VALUE_MAX
            || memchr(label->name.data, '\0', label->name.len) != NULL
            || memchr(label->value.data, '\0', label->value.len) != NULL) {
            abort();
        }
    }
}


static void
check(enum profile_query_form form)
{
    const struct nprof_window *window = &query.window;

    if (query.seconds > SECONDS_MAX || window->worker > INT32_MAX
        || (window->to_ns != 0) + (window->whole != 0) + (query.seconds != 0)
               != 1) {
        abort();
    }

    if (form == PROFILE_QUERY_WINDOW && (query.debug || window->whole)) {
        abort();
    }

    if (window->to_ns != 0
        && (window->from_ns <= 0 || window->from_ns >= window->to_ns
            || window->worker != 0)) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char       *copy;
    const char *wrong;

    struct profile_query_bounds bounds
        = {.max_seconds = SECONDS_MAX, .now_ns = NOW};

    if (size == 0) {
        return 0;
    }

    bounds.form = data[0] % 2 == 0 ? PROFILE_QUERY_TOTAL : PROFILE_QUERY_WINDOW;

    /* of exactly its size: what is beyond it is not to be read */
    copy = malloc(size - 1);
    memcpy(copy, data + 1, size - 1);
    wrong = profile_query_read(&query, &bounds, copy, size - 1);
    free(copy);

    if (wrong == NULL) {
        check(bounds.form);
        check_labels();

    } else if (*wrong == '\0' || strchr(wrong, '\n') != NULL) {
        abort();
    }

    return 0;
}
