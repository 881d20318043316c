
/*
 * How requests are traced: who the instance is, and what Datadog's variables
 * say of traces. Read in the master, used by workers as it is.
 */


#ifndef NPROF_TRACE_CONFIG_H
#define NPROF_TRACE_CONFIG_H


#include <stdbool.h>
#include <stdint.h>

#include "../export/upload_settings.h"


/* Traces a second that rules may keep, where nothing is said. */
#define TRACE_RATE_LIMIT 100


struct trace_config {
    /* Not owned; NULL if it was never read. */
    const struct upload_settings *identity;

    /* Not if DD_TRACE_ENABLED says so. */
    bool enabled;

    /* Profiles go to Datadog, too: spans tell it to look for one. */
    bool profiled;

    /* Ids of new traces have 128 bits, or 64. */
    bool ids_128;

    /* Of spans, or NULL: they have none. The text is the identity's. */
    const char *host;

    /* DD_TRACE_SAMPLE_RATE and DD_TRACE_SAMPLING_RULES, or NULL, and how many
       traces those may keep in a second. The texts are the identity's. */
    const char *sample_rate;
    const char *sampling_rules;
    uint32_t    rate_limit;

    /* Styles (trace_context.h) of headers that are read, and written. */
    unsigned extract;
    unsigned inject;

    /* What can't be used, a static text, or NULL. */
    const char *warning;
};


/* Reads the variables, "NAME=VALUE", ended by NULL. In the master. */
void trace_config_read(struct trace_config    *config,
                       const char *const      *environment,
                       struct upload_settings *identity);


#endif /* NPROF_TRACE_CONFIG_H */
