
/*
 * The request of a push to Pyroscope's /ingest. The export thread.
 */


#ifndef NPROF_PYROSCOPE_PUSH_H
#define NPROF_PYROSCOPE_PUSH_H


#include <stdint.h>

#include "upload_settings.h"


/*
 * What comes after the URL: "?name=SERVICE{version=1.0.0,...}&from=...", of a
 * version ("" is none) and a window in CLOCK_REALTIME. malloc'ed, the caller's;
 * NULL if memory lacks.
 */
char *pyroscope_push_query(const struct upload_settings *settings,
                           const char *version, int64_t start_ns,
                           int64_t end_ns);


#endif /* NPROF_PYROSCOPE_PUSH_H */
