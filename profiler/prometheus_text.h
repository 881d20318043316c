
/*
 * The status of the instance in the text format of Prometheus.
 */


#ifndef NPROF_PROMETHEUS_TEXT_H
#define NPROF_PROMETHEUS_TEXT_H


#include <stddef.h>

#include "profiler_job.h"


/*
 * Writes the text. Returns 0 or -ENOMEM; *text is malloc'ed, the caller's. Any
 * thread.
 */
int prometheus_text(const struct nprof *nprof, char **text, size_t *len);


#endif /* NPROF_PROMETHEUS_TEXT_H */
