
/*
 * The profiler thread: drains the rings, unwinds, aggregates, and tells what it
 * has counted to workers that ask, its own included. It waits for nothing but
 * its own timer and wake-ups: for no file, no back end and no lock of another
 * thread (the dynamic loader's aside).
 */


#ifndef NPROF_PROFILER_THREAD_H
#define NPROF_PROFILER_THREAD_H


#include "profiler_job.h"


struct profiler;


/*
 * Makes what the thread needs, before it is started. Returns 0 or -errno. A
 * profiler whose engine can't work here is made all the same: it has no
 * samples, and profiler_warning() says why.
 */
int profiler_create(struct nprof *nprof, struct profiler **profiler);

/* Not while the thread runs. */
void profiler_destroy(struct profiler *profiler);

/* What can't work, or NULL. Valid as long as the profiler. */
const char *profiler_warning(const struct profiler *profiler);

/* Adds what else can't, "" if there is nothing. The event loop's thread, as
   profiler_warning(). */
void profiler_warning_add(struct profiler *profiler, const char *warning);

/* The thread's body; data is the struct profiler. */
void *profiler_thread_main(void *data);


#endif /* NPROF_PROFILER_THREAD_H */
