
/*
 * Counters of traces; see trace_status.h.
 */


#include <inttypes.h>

#include "endpoint_counts.h"
#include "trace_status.h"


static void
print_counters(FILE *out, const struct tracer *tracer)
{
    uint32_t                      endpoints;
    uint64_t                      others;
    const struct tracer_counters *counters = &tracer->counters;

    endpoint_counts_state(&endpoints, &others);

    fprintf(out,
            "\"spans\": %" PRIu64 ", \"sent\": %" PRIu64
            ", \"failed\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"payloads\": %" PRIu64 ", \"errors\": %" PRIu64
            ", \"http_status\": %" PRIu32 ", \"endpoints\": %" PRIu32
            ", \"other_endpoints\": %" PRIu64 ", ",
            atomic_load(&tracer->ended), atomic_load(&counters->sent),
            atomic_load(&counters->failed), atomic_load(&tracer->dropped),
            atomic_load(&counters->payloads), atomic_load(&counters->errors),
            atomic_load(&counters->last_status), endpoints, others);
}


void
trace_status_print(FILE *out, const struct tracer *tracer, const char *degraded)
{
    const char *quote;

    if (tracer == NULL && degraded == NULL) {
        return;
    }

    fputs(",\n \"traces\": {", out);

    if (tracer != NULL) {
        print_counters(out, tracer);
    }

    quote = degraded == NULL ? "" : "\"";
    fprintf(out, "\"degraded\": %s%s%s}", quote,
            degraded == NULL ? "null" : degraded, quote);
}
