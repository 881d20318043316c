
/*
 * What the glue's parts share: the configuration, and the profiler of this
 * worker.
 */


#ifndef NGX_PROFILER_H
#define NGX_PROFILER_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_profiler_label.h"
#include "nprof.h"


typedef struct {
    ngx_flag_t enable;
    ngx_int_t  rate;

    /* NPROF_TYPE() of what is collected; 0 while not set */
    ngx_uint_t types;
    ngx_msec_t stall_threshold;
    /* enum nprof_cpu_engine */
    ngx_uint_t cpu_engine;
    /* bytes; NPROF_HEAP_EVERY: each allocation is sampled */
    size_t heap_interval;

    /* the longest window that a client may ask for */
    ngx_int_t max_seconds;

    /* memory for what lies behind */
    size_t     history;
    ngx_msec_t period;

    /* NULL: profiles are not kept; bytes and seconds of those that are */
    ngx_path_t *store;
    off_t       store_max_size;
    time_t      store_keep;

    /* a location has profiler_endpoint */
    ngx_flag_t endpoint;

    /* who the instance is; data is NULL while not said */
    ngx_str_t   service;
    ngx_str_t   env;
    ngx_str_t   version;
    ngx_array_t tags;        /* struct nprof_tag */
    ngx_array_t environment; /* const char *, the last NULL */

    /* where profiles go: struct nprof_target; or nowhere, said so */
    ngx_array_t targets;
    ngx_flag_t  upload_off;

    /* requests are traced somewhere */
    ngx_flag_t trace;
} ngx_profiler_conf_t;


typedef struct ngx_profiler_job_s ngx_profiler_job_t;

/*
 * Called in the event loop when a job is done. data is the job's result, valid
 * until the return, or NULL and len 0 if the job failed with that errno, which
 * is logged unless it is ENODATA or ENOENT. The job is gone.
 */
typedef void (*ngx_profiler_done_pt)(void *ctx, const u_char *data, size_t len,
                                     ngx_err_t err);


extern ngx_module_t ngx_profiler_module;


/* libnprof of this process, or NULL if it is not loaded */
const struct nprof_library *ngx_profiler_library(void);

/*
 * Opens libnprof.so in the folder of this module, unless it is open; logs
 * once why that can't be. In the master.
 */
void ngx_profiler_library_open(ngx_log_t *log);


/*
 * Who the instance is and where its profiles go (ngx_profiler_upload.c).
 */

char *ngx_profiler_upload(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_profiler_tag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* reads the variables, and decides by them what the configuration leaves open:
   in init_conf */
ngx_int_t ngx_profiler_identity_init(ngx_cycle_t         *cycle,
                                     ngx_profiler_conf_t *conf);

/* tells libnprof, which is open; logs what can't be used of it */
void ngx_profiler_identify(ngx_cycle_t *cycle, ngx_profiler_conf_t *conf);


/* Life cycle of the worker's profiler; failures are logged, and harmless. */
void ngx_profiler_worker_start(ngx_cycle_t *cycle, ngx_profiler_conf_t *conf);
void ngx_profiler_worker_stop(ngx_cycle_t *cycle);

/* watches the profiler's eventfd: once there are events */
void ngx_profiler_worker_listen(ngx_cycle_t *cycle);

/* whether this worker has a profiler that runs */
ngx_uint_t ngx_profiler_worker_running(void);

/* whether it collects profiles of that kind */
ngx_uint_t ngx_profiler_worker_collects(enum nprof_job_kind kind);


/* the calls for labels of requests, or NULL while those are not labelled */
extern const struct nprof_labels *ngx_profiler_request_labels;

/* the calls for spans, or NULL while no request is traced; labels are on, too */
extern const struct nprof_traces *ngx_profiler_traces;

/* what other modules label their work with (ngx_profiler_label.h) */
extern const ngx_profiler_label_calls_t ngx_profiler_label_calls;


/*
 * Jobs (nprof.h) in the event loop. start returns NULL if that failed, and
 * logs why. input may be NULL. done is called once, unless the job is dropped
 * before.
 */
ngx_profiler_job_t *ngx_profiler_job_start(enum nprof_job_kind  kind,
                                           ngx_str_t           *input,
                                           ngx_profiler_done_pt done, void *ctx,
                                           ngx_log_t *log);

/* the same of a profile; *err says why there is none: NGX_ESRCH is no such
   worker, and is not logged */
ngx_profiler_job_t *ngx_profiler_window_start(enum nprof_job_kind        kind,
                                              const struct nprof_window *window,
                                              ngx_profiler_done_pt       done,
                                              void *ctx, ngx_log_t *log,
                                              ngx_err_t *err);

void ngx_profiler_job_finish(ngx_profiler_job_t *job);
void ngx_profiler_job_drop(ngx_profiler_job_t *job);


#endif /* NGX_PROFILER_H */
