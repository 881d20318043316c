
/*
 * Numbers of requests, as comments; see pprof_requests.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pprof_requests.h"


static void
print_value(FILE *out, const char *value)
{
    fputc('"', out);

    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            fputs("\\n", out);
            continue;
        }

        if (*value == '"' || *value == '\\') {
            fputc('\\', out);
        }

        fputc(*value, out);
    }

    fputc('"', out);
}


static void
print_labels(FILE *out, const struct stack_profile *profile, uint32_t set)
{
    char                separator = '{';
    const struct label *label;

    for (label = stack_profile_label(profile, set); label != NULL;
         label = stack_profile_label(profile, label->rest)) {
        fprintf(out, "%c%s=", separator, label->name);
        print_value(out, label->value);
        separator = ',';
    }

    fputs(separator == '{' ? "{}" : "}", out);
}


/* The comment of a sample, or of all if that is NULL; -1 if memory lacks. */
static int64_t
comment_make(struct pprof_tables *tables, const struct stack_profile *profile,
             const struct profile_sample *sample, int64_t requests)
{
    char    *text = NULL;
    FILE    *out;
    size_t   len;
    uint32_t id = STRING_POOL_NONE;

    out = open_memstream(&text, &len);
    if (out == NULL) {
        return -1;
    }

    fputs("requests", out);

    if (sample != NULL) {
        print_labels(out, profile, sample->labels);
    }

    fprintf(out, "=%" PRId64, requests);

    if (fclose(out) == 0) {
        id = pprof_tables_string(tables, text);
    }

    free(text);

    return id == STRING_POOL_NONE ? -1 : (int64_t) id;
}


int
pprof_requests(const struct stack_profile *requests,
               struct pprof_tables *tables, int64_t **comments,
               size_t *n_comments)
{
    size_t   i, n;
    int64_t *to, sum = 0;

    n = requests->n_samples <= PPROF_REQUEST_SETS ? requests->n_samples : 0;

    to = block_arena_alloc(tables->arena, (n + 1) * sizeof(*to));
    if (to == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < requests->n_samples; i++) {
        sum += requests->samples[i].values[0];
    }

    to[0] = comment_make(tables, requests, NULL, sum);

    for (i = 0; i < n; i++) {
        to[i + 1] = comment_make(tables, requests, &requests->samples[i],
                                 requests->samples[i].values[0]);
    }

    for (i = 0; i <= n; i++) {
        if (to[i] == -1) {
            return -ENOMEM;
        }
    }

    *comments = to;
    *n_comments = n + 1;

    return 0;
}
