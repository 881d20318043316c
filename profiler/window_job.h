
/*
 * Jobs of profiles: of all workers of the instance, over a window.
 */


#ifndef NPROF_WINDOW_JOB_H
#define NPROF_WINDOW_JOB_H


#include "profiler_job.h"


/* The window is the job's, with a copy of what it refers to. Returns 0 or -ENOMEM.
   The event loop. */
int window_job_keep(struct nprof_job *job, const struct nprof_window *window);

/*
 * The window begins or ends now: all workers are asked for what they have
 * counted so far. The event loop.
 */
void window_job_begin(struct nprof_job *job);
void window_job_end(struct nprof_job *job);

/* Takes the answers of the beginning. The export thread. */
void window_job_open(struct nprof_job *job);

/* Takes those of the end, and makes the profile. The export thread. */
void window_job_close(struct nprof_job *job);

/* Gives back what the job took. The export thread, or where there is none. */
void window_job_drop(struct nprof_job *job);


#endif /* NPROF_WINDOW_JOB_H */
