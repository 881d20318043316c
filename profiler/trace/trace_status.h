
/*
 * What `status` says of traces. Any thread.
 */


#ifndef NPROF_TRACE_STATUS_H
#define NPROF_TRACE_STATUS_H


#include <stdio.h>

#include "tracer.h"


/* Writes a member of a JSON object, after others; nothing if there is no
   tracer. */
void trace_status_print(FILE *out, const struct tracer *tracer);


#endif /* NPROF_TRACE_STATUS_H */
