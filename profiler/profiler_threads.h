
/*
 * Begin and end of the library's threads; the end takes a time that is bounded,
 * whatever they do.
 */


#ifndef NPROF_PROFILER_THREADS_H
#define NPROF_PROFILER_THREADS_H


#include "profiler_job.h"


/*
 * Starts the profiler thread and the export thread. 0 or -errno: none runs. The
 * event loop's thread.
 */
int profiler_threads_start(struct nprof *nprof);

/*
 * Lets the period that is open end, if this worker leads, and what waits be
 * uploaded, and joins all threads. false: not all have ended by that time
 * (CLOCK_MONOTONIC, nanoseconds), and whatever they use has to stay. The event
 * loop's thread.
 */
bool profiler_threads_stop(struct nprof *nprof, int64_t until_ns);

/*
 * What the export thread does of it, after each wake-up: nothing, until it is
 * asked to.
 */
void profiler_period_finish(struct nprof *nprof);


#endif /* NPROF_PROFILER_THREADS_H */
