
/*
 * How many requests were for each endpoint and version, over all workers: the
 * counters are in memory that the instance shares, so they outlive a worker, and
 * whoever uploads has those of all.
 *
 * Memory: 270 KB, of which what is used is resident.
 */


#ifndef NPROF_ENDPOINT_COUNTS_H
#define NPROF_ENDPOINT_COUNTS_H


#include <stdint.h>

#include "../export/datadog_event.h"
#include "../sample/label_set.h"


/* Endpoints that are counted, each version of one for itself: as many as Datadog
   takes. The last PROFILE_VERSIONS_MAX places are those of all others, by version;
   further versions share the last one. A place is never free again. */
#define ENDPOINTS_MAX DATADOG_ENDPOINTS_MAX

/* The endpoint of requests whose own found no room. */
#define ENDPOINT_OTHER "[other]"


/* Makes the counters, once. In the master, before workers are forked. Without
   memory nothing is counted. */
void endpoint_counts_prepare(void);

/* The endpoint in a label set, ENDPOINT_OTHER if there is none. As old as the
   process. Any thread. */
const char *endpoint_of(uint32_t labels);

/* A request with these labels ends; version is that of requests which have none
   of their own. Event loop's thread. */
void endpoint_count(uint32_t labels, const char *version);

/* How many endpoints have a place, and requests ever of those that found none, in
   all processes. Any thread. */
void endpoint_counts_state(uint32_t *endpoints, uint64_t *others);

/* What was counted is not taken any more: it is of a time that no upload is of.
   While no process uploads. */
void endpoint_counts_discard(void);

/*
 * What was counted since the last call, in any process, and nothing twice: at
 * most ENDPOINTS_MAX of them, whose texts are as old as the process. Returns how
 * many. One process at a time: the one that uploads.
 */
uint32_t endpoint_counts_take(struct upload_endpoint endpoints[ENDPOINTS_MAX]);


#endif /* NPROF_ENDPOINT_COUNTS_H */
