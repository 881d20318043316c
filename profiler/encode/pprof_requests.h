
/*
 * Comments of a pprof file that say how many requests were served in its
 * window, so that who compares two can divide by them:
 *
 *     requests=120
 *     requests{location="/count",version="1.0.0"}=60
 *
 * The first is of all; the others are of each set of labels that requests had,
 * unless there are too many. Values are quoted as in the text format of
 * Prometheus: \\, \" and \n. `go tool pprof -comments` prints them, and other
 * viewers leave them alone.
 */


#ifndef NPROF_PPROF_REQUESTS_H
#define NPROF_PPROF_REQUESTS_H


#include "pprof_tables.h"


/* Sets of labels that have a comment each. If there are more, none has one. */
#define PPROF_REQUEST_SETS 256


/*
 * Makes the comments of a profile whose first value is a number of requests:
 * numbers of strings, in the tables' arena. 0 or -ENOMEM. The export thread.
 */
int pprof_requests(const struct stack_profile *requests,
                   struct pprof_tables *tables, int64_t **comments,
                   size_t *n_comments);


#endif /* NPROF_PPROF_REQUESTS_H */
