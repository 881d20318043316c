
/*
 * The tracer's thread: takes spans that ended out of the ring every two
 * seconds, or when it is half full, and sends them to the agent. It waits for
 * nothing else, and nothing waits for it but, for a moment, stop().
 */


#ifndef NPROF_TRACE_THREAD_H
#define NPROF_TRACE_THREAD_H


#include <pthread.h>

#include "trace/trace_payload.h"
#include "trace/trace_post.h"
#include "trace/tracer.h"


/* As `top -H` and profiles show it. */
#define TRACE_THREAD_NAME "nprof-trace"


struct nprof;

struct trace_thread {
    struct nprof        *nprof;
    struct tracer       *tracer;
    struct trace_post   *post;
    struct trace_payload payload;

    pthread_t thread;

    /* The agent does not answer, or not well. The thread's own. */
    bool failing;

    /* Its CPU time. Stored by it. */
    _Atomic uint64_t cpu_ns;
};


/*
 * Makes all but the thread, and the spans its tracer's. The configuration
 * outlives it. NULL: requests are not traced; nprof's trace_warning says what of
 * it does not work. Event loop's thread, as all of these.
 */
struct trace_thread *trace_thread_create(struct nprof              *nprof,
                                         const struct trace_config *config);

/* Makes the thread, which has the caller's signal mask. false: it can't be made,
   and nprof's trace_warning says why. */
bool trace_thread_start(struct trace_thread *trace);

/* There are no spans any more, and no thread. */
void trace_thread_destroy(struct trace_thread *trace);

/* Asks the thread to end: it sends what there is, until that time
   (CLOCK_MONOTONIC, nanoseconds). No spans begin any more. */
void trace_thread_end(struct trace_thread *trace, int64_t until_ns);

/* Waits for the end of the thread, which was made, until that time
   (CLOCK_MONOTONIC, nanoseconds). Returns whether it has come. */
bool trace_thread_join(struct trace_thread *trace, int64_t until_ns);


#endif /* NPROF_TRACE_THREAD_H */
