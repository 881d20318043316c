
/*
 * Uploads in `status`; see upload_status.h. The counters are those of all
 * workers.
 */


#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "upload_status.h"


#define METRIC "nginx_profiler_"


/* Without what would have to be escaped. */
static void
print_name(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        fputc((unsigned char) *name < ' ' || (unsigned char) *name > '~'
                      || *name == '"' || *name == '\\'
                  ? '_'
                  : *name,
              out);
    }
}


static void
print_target(FILE *out, const struct upload_target *target)
{
    struct upload_results   *results = target->results;
    static const char *const states[] = {
        [UPLOAD_UNTRIED] = "untried",
        [UPLOAD_WORKS] = "works",
        [UPLOAD_FAILS] = "fails",
    };

    fprintf(out, "{\"to\": \"%s\", \"address\": \"",
            target->kind == NPROF_DATADOG ? "datadog" : "pyroscope");
    print_name(out, target->name);
    fprintf(out,
            "\", \"state\": \"%s\", \"http_status\": %" PRIu32
            ", \"sent\": %" PRIu64 ", \"bytes\": %" PRIu64
            ", \"refused\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"retried\": %" PRIu64 ", \"queued\": %" PRIu64 "}",
            states[atomic_load(&results->state)], atomic_load(&results->status),
            atomic_load(&results->sent), atomic_load(&results->bytes),
            atomic_load(&results->refused), atomic_load(&results->dropped),
            atomic_load(&results->retried), atomic_load(&results->queued));
}


void
upload_status_print(FILE *out, const struct upload_settings *settings)
{
    uint32_t i;

    fputs(",\n \"uploads\": [", out);

    for (i = 0; i < settings->n_targets; i++) {
        fputs(i == 0 ? "" : ", ", out);
        print_target(out, &settings->targets[i]);
    }

    fputs("]", out);
}


/* A sample of a destination; name is that of the metric, label one more. */
static void
print_sample(FILE *out, const char *name, const char *label,
             const struct upload_target *target, uint64_t value)
{
    fprintf(out, METRIC "%s{to=\"%s\",address=\"", name,
            target->kind == NPROF_DATADOG ? "datadog" : "pyroscope");
    print_name(out, target->name);
    fprintf(out, "\"%s} %" PRIu64 "\n", label, value);
}


static void
print_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP " METRIC "%s %s\n# TYPE " METRIC "%s %s\n", name, help,
            name, type);
}


/* Whether a target before it has the same counters: only their credentials
   differ, which are not shown. */
static bool
is_repeated(const struct upload_settings *settings, uint32_t i)
{
    uint32_t j;

    for (j = 0; settings->targets[j].results != settings->targets[i].results;
         j++) {
    }

    return j < i;
}


static uint64_t
counter_of(const struct upload_results *results, size_t offset)
{
    return atomic_load(
        (const _Atomic uint64_t *) ((const char *) results + offset));
}


void
upload_status_metrics(FILE *out, const struct upload_settings *settings)
{
    uint32_t t;
    size_t   i;

    /* a row without help is of the family before it */
    static const struct {
        const char *name;
        const char *type;
        const char *help;
        const char *label;
        size_t      counter;
    } rows[] = {
        {"uploads_total", "counter", "Profiles, by what became of them.",
         ",result=\"sent\"", offsetof(struct upload_results, sent)},
        {"uploads_total", NULL, NULL, ",result=\"refused\"",
         offsetof(struct upload_results, refused)},
        {"uploads_total", NULL, NULL, ",result=\"dropped\"",
         offsetof(struct upload_results, dropped)},
        {"upload_retries_total", "counter", "Attempts that are made again.", "",
         offsetof(struct upload_results, retried)},
        {"upload_bytes_total", "counter", "Bytes of profiles that were sent.",
         "", offsetof(struct upload_results, bytes)},
        {"uploads_queued", "gauge", "Profiles that wait.", "",
         offsetof(struct upload_results, queued)},
    };

    for (i = 0; settings->n_targets > 0 && i < sizeof(rows) / sizeof(rows[0]);
         i++) {
        if (rows[i].help != NULL) {
            print_family(out, rows[i].name, rows[i].type, rows[i].help);
        }

        for (t = 0; t < settings->n_targets; t++) {
            if (!is_repeated(settings, t)) {
                print_sample(
                    out, rows[i].name, rows[i].label, &settings->targets[t],
                    counter_of(settings->targets[t].results, rows[i].counter));
            }
        }
    }
}
