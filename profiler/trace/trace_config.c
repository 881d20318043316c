
/*
 * Variables that traces are configured by; see trace_config.h.
 */


#include <string.h>
#include <strings.h>

#include "../export/arena_text.h"
#include "endpoint_counts.h"
#include "trace_config.h"
#include "trace_context.h"


/* As Datadog's tracers do it, but for baggage, which goes through a proxy
   untouched. */
#define STYLES_DEFAULT (TRACE_STYLE_DATADOG | TRACE_STYLE_W3C)


/* Names between commas or blanks; what we do not know is nobody's to read. */
static unsigned
styles_read(const char *text)
{
    size_t   len;
    unsigned styles;

    styles = 0;

    for (text += strspn(text, ", "); *text != '\0';
         text += len, text += strspn(text, ", ")) {
        len = strcspn(text, ", ");

        if (len == 7 && strncasecmp(text, "datadog", len) == 0) {
            styles |= TRACE_STYLE_DATADOG;
        } else if (len == 12 && strncasecmp(text, "tracecontext", len) == 0) {
            styles |= TRACE_STYLE_W3C;
        }
    }

    return styles;
}


static unsigned
styles_of(const char *const *environment, const char *name)
{
    const char *text;

    text = environment_value(environment, name);

    if (text == NULL) {
        text = environment_value(environment, "DD_TRACE_PROPAGATION_STYLE");
    }

    return text == NULL ? STYLES_DEFAULT : styles_read(text);
}


/* A whole number that fits; false if it is none. */
static bool
limit_read(const char *text, uint32_t *limit)
{
    uint64_t number;

    if (*text == '\0') {
        return false;
    }

    for (number = 0; *text >= '0' && *text <= '9' && number <= UINT32_MAX;
         text++) {
        number = number * 10 + (uint64_t) (*text - '0');
    }

    if (*text != '\0' || number > UINT32_MAX) {
        return false;
    }

    *limit = (uint32_t) number;

    return true;
}


/* A copy of a variable's value, or NULL, which it also is if memory lacks. */
static const char *
value_copy(const char *const *environment, const char *name,
           struct block_arena *arena)
{
    const char *value;

    value = environment_value(environment, name);

    return value == NULL ? NULL : arena_text(arena, "%s", value);
}


/* A name that is given is reported; the machine's own one only if asked for. */
static const char *
host_of(const char *const *environment, struct upload_settings *identity)
{
    const char *host;

    host
        = value_copy(environment, "DD_TRACE_SOURCE_HOSTNAME", &identity->arena);

    if (host == NULL
        && environment_flag(environment, "DD_TRACE_REPORT_HOSTNAME", false)) {
        host = identity->host;
    }

    return host;
}


static bool
uploads_to_datadog(const struct upload_settings *identity)
{
    uint32_t i;

    for (i = 0; i < identity->n_targets; i++) {
        if (identity->targets[i].kind == NPROF_DATADOG) {
            return true;
        }
    }

    return false;
}


void
trace_config_read(struct trace_config *config, const char *const *environment,
                  struct upload_settings *identity)
{
    const char *limit;

    endpoint_counts_prepare();
    config->identity = identity;
    config->enabled = environment_flag(environment, "DD_TRACE_ENABLED", true);
    config->profiled = uploads_to_datadog(identity);
    config->ids_128 = environment_flag(
        environment, "DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", true);
    config->host = host_of(environment, identity);
    config->sample_rate
        = value_copy(environment, "DD_TRACE_SAMPLE_RATE", &identity->arena);
    config->sampling_rules
        = value_copy(environment, "DD_TRACE_SAMPLING_RULES", &identity->arena);
    config->extract
        = styles_of(environment, "DD_TRACE_PROPAGATION_STYLE_EXTRACT");
    config->inject
        = styles_of(environment, "DD_TRACE_PROPAGATION_STYLE_INJECT");

    config->warning = NULL;
    config->rate_limit = TRACE_RATE_LIMIT;
    limit = environment_value(environment, "DD_TRACE_RATE_LIMIT");

    if (limit != NULL && !limit_read(limit, &config->rate_limit)) {
        config->warning = "DD_TRACE_RATE_LIMIT is no number";
    }
}
