
/*
 * What is common to the library's threads: how they begin, and how they end
 * when the process does not wait for them.
 */


#ifndef NPROF_THREAD_CONTEXT_H
#define NPROF_THREAD_CONTEXT_H


#include "profiler_job.h"


/*
 * Called first on a thread of ours, which has all signals blocked: takes the
 * name, unblocks the sampler's signal (our CPU shows in the profile too), runs
 * on all processors (a pinned worker must not share its one with us) and at a
 * lower priority than the worker.
 */
void thread_context_enter(const char *name);

/*
 * Called last. Where stop() gave up on the thread it never returns: the
 * process exits, and its memory may be gone.
 */
void thread_context_leave(struct nprof *nprof);


#endif /* NPROF_THREAD_CONTEXT_H */
