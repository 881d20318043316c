
/*
 * What is common to the library's threads: how they begin, and how they end
 * when the process does not wait for them.
 */


#ifndef NPROF_THREAD_CONTEXT_H
#define NPROF_THREAD_CONTEXT_H


#include <stdbool.h>

#include "profiler_job.h"


/* By how much what is in no hurry yields to the worker. */
#define THREAD_CONTEXT_NICE 5


/*
 * Whether the process has a thread of that name, for longer than one takes to
 * vanish that was joined: at most some milliseconds. No thread of ours runs.
 */
bool thread_context_in_use(const char *name);

/*
 * Called first on a thread of ours, which has all signals blocked: takes the
 * name, unblocks the sampler's signal (our CPU shows in the profile too), runs
 * on all processors (a pinned worker must not share its one with us) and is
 * nicer than the worker by nice_increment.
 */
void thread_context_enter(const char *name, int nice_increment);

/*
 * Called last. Where stop() gave up on the thread it never returns: the
 * process exits, and its memory may be gone.
 */
void thread_context_leave(struct nprof *nprof);


#endif /* NPROF_THREAD_CONTEXT_H */
