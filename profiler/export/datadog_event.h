
/*
 * event.json: what an upload to Datadog says of its profile (version 4 of that
 * format). The export thread.
 */


#ifndef NPROF_DATADOG_EVENT_H
#define NPROF_DATADOG_EVENT_H


#include <stdint.h>

#include "upload_settings.h"


/* The attachment that has the samples of all types. */
#define DATADOG_PROFILE_FILE "profile.pprof"

/* Endpoints that are counted; Datadog takes no more. */
#define DATADOG_ENDPOINTS_MAX 1000


/* Requests that a version has begun to serve in a period. */
struct upload_endpoint {
    /* As the samples' label trace_endpoint has it. */
    const char *endpoint;

    /* "" is no version. */
    const char *version;

    uint64_t requests;
};


struct datadog_event {
    /* "" is no version. */
    const char *version;

    /* Of the profiles of this version. */
    uint64_t sequence;

    /* CLOCK_REALTIME. */
    int64_t start_ns;
    int64_t end_ns;

    /* Those of other versions are left out. */
    const struct upload_endpoint *endpoints;
    uint32_t                      n_endpoints;
};


/* The text, malloc'ed, the caller's; NULL if memory lacks. */
char *datadog_event_print(const struct datadog_event   *event,
                          const struct upload_settings *settings);


#endif /* NPROF_DATADOG_EVENT_H */
