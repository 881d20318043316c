
/*
 * A job, and the profiler that it is done by: what the event loop, the
 * profiler thread and the export thread hand to each other.
 *
 * A job has one owner at a time. One without a window is put into the profiler
 * thread's queue, and by that into the export thread's. One of a profile is put
 * into the latter's when its window begins, after the workers were asked for
 * what they have counted so far, and again when it ends. The export thread puts
 * it into the done queue, from where the event loop takes it.
 */


#ifndef NPROF_PROFILER_JOB_H
#define NPROF_PROFILER_JOB_H


#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aggregate/stack_table.h"
#include "export/uploader.h"
#include "instance/instance_leader.h"
#include "instance/peer_exchange.h"
#include "instance/profile_store.h"
#include "instance/window_base.h"
#include "job_queue.h"
#include "nprof.h"
#include "symbolize/symbolizer.h"


struct label_filter;


/* What is to be done with a job, by the thread in whose queue the request is. */
enum job_step {
    /* The profiler thread: its part of a job without a window. */
    JOB_PREPARE = 0,

    /* The export thread: the window begins; it ends, or there is none. */
    JOB_BEGIN,
    JOB_EXPORT
};

struct job_request {
    struct job_link   link;
    struct nprof_job *job;
    enum job_step     step;
};


/* What an administrator has to know. */
struct profiler_notice {
    struct job_link   link;
    enum nprof_notice weight;
    char              text[512];
};


struct nprof_job {
    /* In the done queue; first, so that a link is a job. */
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

    /* Of a profile: what it is of; what is asked of the workers where the
       window begins and ends, at its time; the base of it, the export
       thread's; and the samples that are wanted of it, owned, or NULL. */
    struct nprof_window  window;
    struct peer_question begin;
    struct peer_question end;
    int64_t              end_monotonic_ns;
    struct window_base   base;
    struct label_filter *filter;

    /* From the profiler thread to the export thread. */
    struct stack_profile *profile;

    /* The result, or -errno. */
    void  *data;
    size_t len;
    int    error;
};


struct profiler;
struct trace_thread;

struct nprof {
    struct nprof_config config;

    /* The profiler thread's while it runs. */
    struct profiler *profiler;

    /* The export thread's while it runs. */
    struct symbolizer *symbolizer;

    /* NULL if nothing is uploaded. */
    struct uploader *uploader;

    struct job_queue requests;
    struct job_queue exports;
    struct job_queue done;
    struct job_queue notices;

    /* Set once, by stop(), the former while the export thread is to close its
       last period; it wakes the event loop by the futex word when it has. */
    _Atomic bool     finishing;
    _Atomic bool     stopping;
    _Atomic uint32_t finished;

    /* Notices that are made from now on may reach nobody. Set once, by the event
       loop's thread. */
    _Atomic bool unheard;

    /* stop() gave up on the threads: they must not return, see
       thread_context_leave(). */
    _Atomic bool abandoned;

    /* The export thread's CPU time. Stored by it, loaded by the profiler
       thread. */
    _Atomic uint64_t export_cpu_ns;

    /* The same of the upload thread, and bytes of profiles that it has; and of
       the symbolizer's cache, which is the export thread's. */
    _Atomic uint64_t upload_cpu_ns;
    _Atomic uint64_t upload_memory;
    _Atomic uint64_t symbol_memory;

    /* The export thread's while it runs. */
    struct module_registry registry;
    struct instance_leader leader;
    struct profile_store   store;

    /* The export thread waits on this futex word, that of the slot. */
    _Atomic uint32_t *export_wake;

    /* What this worker has counted is in the file. Stored by the profiler
       thread before it ends. */
    bool left;

    pthread_t profiler_thread;
    pthread_t export_thread;

    /* NULL if requests are not traced; the event loop's. */
    struct trace_thread *trace;

    /* What of tracing can't work, or is not as it was asked for; "" if there is
       nothing. */
    char trace_warning[160];

    /* Readable when done has a job, or notices one. */
    int event_fd;

    /* The event loop's: taken from done and notices, not yet given to the
       caller, and the last notice that was. */
    struct job_link        *done_list;
    struct job_link        *notice_list;
    struct profiler_notice *notice;

    /* All jobs, the event loop's. */
    struct nprof_job *jobs;
    unsigned          n_jobs;
};


/* Frees the job and all that it holds. By its owner. */
void profiler_job_free(struct nprof_job *job);

/* Asks the export thread for a step. Any other thread, which has the job. */
void profiler_job_export(struct nprof_job *job, struct job_request *request,
                         enum job_step step);

/* Tells the event loop. Any thread. */
__attribute__((format(printf, 3, 4))) void
profiler_notify(struct nprof *nprof, enum nprof_notice weight,
                const char *format, ...);

/*
 * The table of modules: filled by prepare() in the master, followed by the
 * profiler thread, the files opened by the export thread.
 */
extern struct module_table profiler_modules;


#endif /* NPROF_PROFILER_JOB_H */
