
/*
 * What `status` says of traces. Any thread.
 */


#ifndef NPROF_TRACE_STATUS_H
#define NPROF_TRACE_STATUS_H


#include <stdio.h>

#include "tracer.h"


/*
 * Writes a member of a JSON object, after others; nothing if there is neither a
 * tracer nor, in degraded, a reason for that. Degraded is what can't work, or is
 * not as it was asked for, without what JSON would escape; or NULL.
 */
void trace_status_print(FILE *out, const struct tracer *tracer,
                        const char *degraded);


#endif /* NPROF_TRACE_STATUS_H */
