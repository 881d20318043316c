
/*
 * Names of labels; see pprof_label.h.
 */


#include <string.h>

#include "pprof_label.h"


static const struct {
    const char *name;
    const char *datadog;
} datadog_names[] = {
    {PPROF_LABEL_THREAD, "thread name"},
    {"trace_endpoint", "trace endpoint"},
    {"trace_type", "trace type"},
    {PPROF_LABEL_SPAN, "span id"},
    {PPROF_LABEL_ROOT_SPAN, "local root span id"},
};


static const char *
datadog_name(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(datadog_names) / sizeof(datadog_names[0]); i++) {
        if (strcmp(datadog_names[i].name, name) == 0) {
            return datadog_names[i].datadog;
        }
    }

    return name;
}


/* ASCII's, whatever the locale */
static int
fits_series(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '_' || c == '.';
}


static const char *
series_name(const char *name, char buffer[PPROF_LABEL_NAME_SIZE])
{
    char *to = buffer;

    if (*name >= '0' && *name <= '9') {
        *to++ = '_';
    }

    for (; *name != '\0' && to < buffer + PPROF_LABEL_NAME_SIZE - 1; name++) {
        *to++ = fits_series(*name) ? *name : '_';
    }

    *to = '\0';

    return buffer;
}


const char *
pprof_label_name(enum pprof_label_names names, const char *name,
                 char buffer[PPROF_LABEL_NAME_SIZE])
{
    switch (names) {
    case PPROF_NAMES_DATADOG:
        return datadog_name(name);

    case PPROF_NAMES_SERIES:
        return series_name(name, buffer);

    default:
        return name;
    }
}
