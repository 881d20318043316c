
/*
 * A job, and the profiler that it is done by: what the event loop, the
 * profiler thread and the export thread hand to each other.
 *
 * A job has one owner at a time. job_start() puts it into the profiler
 * thread's queue; that thread keeps it while its window is open, and puts it
 * into the export thread's; that one puts it into the done queue, from where
 * the event loop takes it.
 */


#ifndef NPROF_PROFILER_JOB_H
#define NPROF_PROFILER_JOB_H


#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aggregate/stack_table.h"
#include "job_queue.h"
#include "nprof.h"
#include "symbolize/symbolizer.h"


/* What the event loop asks of the profiler thread. */
struct job_request {
    struct job_link   link;
    struct nprof_job *job;
    bool              finish;
};


struct nprof_job {
    /* In the export or the done queue; first, so that a link is a job. */
    struct job_link link;

    struct nprof       *nprof;
    enum nprof_job_kind kind;

    /* The event loop's: the caller's data, and the list of all jobs. */
    void             *owner;
    struct nprof_job *prev;
    struct nprof_job *next;

    /* NUL-terminated, owned. */
    char *input;

    struct job_request start;
    struct job_request finish;

    /* Stored by the event loop; the others only save themselves work. */
    _Atomic bool abandoned;

    /* Whether finish is queued or need not be; the event loop's. */
    bool finished;

    /* The window's start, the profiler thread's. */
    struct stack_snapshot *since;
    int64_t                start_realtime_ns;
    int64_t                start_monotonic_ns;

    /* From the profiler thread to the export thread. */
    struct stack_profile *profile;

    /* The result, or -errno. */
    void  *data;
    size_t len;
    int    error;
};


struct profiler;

struct nprof {
    struct nprof_config config;

    /* The profiler thread's while it runs. */
    struct profiler *profiler;

    /* The export thread's while it runs. */
    struct symbolizer *symbolizer;

    struct job_queue requests;
    struct job_queue exports;
    struct job_queue done;

    /* Set once, by stop(). */
    _Atomic bool stopping;

    /* stop() gave up on the threads: they must not return, see thread_park().
       */
    _Atomic bool abandoned;

    /* The export thread's CPU time. Stored by it, loaded by the profiler
       thread. */
    _Atomic uint64_t export_cpu_ns;

    /* The export thread waits on this futex word. */
    _Atomic uint32_t export_wake;

    pthread_t profiler_thread;
    pthread_t export_thread;

    /* Readable when done has a job. */
    int event_fd;

    /* The event loop's: taken from done, not yet given to the caller. */
    struct job_link *done_list;

    /* All jobs, the event loop's. */
    struct nprof_job *jobs;
    unsigned          n_jobs;
};


/* Frees the job and all that it holds. By its owner. */
void profiler_job_free(struct nprof_job *job);

/* Hands a job over to the export thread. The profiler thread. */
void profiler_job_export(struct nprof_job *job);

/*
 * The table of modules: filled by prepare() in the master, followed by the
 * profiler thread, the files opened by the export thread.
 */
extern struct module_table profiler_modules;


#endif /* NPROF_PROFILER_JOB_H */
