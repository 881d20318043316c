
/*
 * The profiler of this worker, and its jobs in the event loop. libnprof's
 * threads use nothing of nginx; they make an eventfd readable, and the event
 * loop fetches what is done.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>

#include "ngx_profiler.h"


/* the most that exit_process may wait for our threads, in milliseconds */
#define NGX_PROFILER_STOP_TIMEOUT 200


struct ngx_profiler_job_s {
    struct nprof_job    *job;
    ngx_profiler_done_pt done;
    void                *ctx;
};


static ngx_int_t ngx_profiler_listen(ngx_log_t *log);
static void      ngx_profiler_event_handler(ngx_event_t *ev);


static struct nprof *ngx_profiler_running;

/* the eventfd is watched */
static ngx_uint_t ngx_profiler_listening;


void
ngx_profiler_worker_start(ngx_cycle_t *cycle, ngx_profiler_conf_t *conf)
{
    int                         rc;
    const char                 *warning;
    struct nprof_config         config;
    const struct nprof_library *library;

    library = ngx_profiler_library();

    if (library == NULL) {
        return;
    }

    ngx_memzero(&config, sizeof(struct nprof_config));
    config.rate = conf->rate;

    rc = library->start(&config, &ngx_profiler_running);

    if (rc != 0) {
        ngx_profiler_running = NULL;
        ngx_log_error(NGX_LOG_ERR, cycle->log, -rc, "profiler could not start");
        return;
    }

    warning = library->warning(ngx_profiler_running);

    if (warning != NULL) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "profiler: %s", warning);
    }
}


void
ngx_profiler_worker_stop(ngx_cycle_t *cycle)
{
    struct nprof *nprof;

    nprof = ngx_profiler_running;

    if (nprof == NULL) {
        return;
    }

    ngx_profiler_running = NULL;

    if (ngx_profiler_library()->stop(nprof, NGX_PROFILER_STOP_TIMEOUT) != 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "profiler did not stop in %d ms",
                      NGX_PROFILER_STOP_TIMEOUT);
    }
}


ngx_uint_t
ngx_profiler_worker_running(void)
{
    return ngx_profiler_running != NULL;
}


ngx_profiler_job_t *
ngx_profiler_job_start(enum nprof_job_kind kind, ngx_str_t *input,
                       ngx_profiler_done_pt done, void *ctx, ngx_log_t *log)
{
    int                 rc;
    ngx_profiler_job_t *job;

    if (ngx_profiler_listen(log) != NGX_OK) {
        return NULL;
    }

    job = ngx_alloc(sizeof(ngx_profiler_job_t), log);
    if (job == NULL) {
        return NULL;
    }

    job->done = done;
    job->ctx = ctx;

    rc = ngx_profiler_library()->job_start(
        ngx_profiler_running, kind, input ? (char *) input->data : NULL,
        input ? input->len : 0, job, &job->job);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ERR, log, -rc, "profiler could not start a job");
        ngx_free(job);
        return NULL;
    }

    return job;
}


void
ngx_profiler_job_finish(ngx_profiler_job_t *job)
{
    if (ngx_profiler_running) {
        ngx_profiler_library()->job_finish(job->job);
    }
}


void
ngx_profiler_job_drop(ngx_profiler_job_t *job)
{
    if (ngx_profiler_running) {
        ngx_profiler_library()->job_abandon(job->job);
    }

    ngx_free(job);
}


/*
 * At the first job, since connections do not exist yet in init_process of a
 * module that comes before the event modules. A channel's connection, unlike
 * others, may be open when the worker exits.
 */
static ngx_int_t
ngx_profiler_listen(ngx_log_t *log)
{
    ngx_fd_t fd;

    if (ngx_profiler_listening) {
        return NGX_OK;
    }

    fd = ngx_profiler_library()->event_fd(ngx_profiler_running);

    if (ngx_add_channel_event((ngx_cycle_t *) ngx_cycle, fd, NGX_READ_EVENT,
                              ngx_profiler_event_handler)
        != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler could not watch its eventfd");
        return NGX_ERROR;
    }

    ngx_profiler_listening = 1;

    return NGX_OK;
}


static void
ngx_profiler_event_handler(ngx_event_t *ev)
{
    int                         rc;
    size_t                      len;
    const void                 *data;
    struct nprof_job           *done;
    ngx_profiler_job_t         *job;
    const struct nprof_library *library;

    if (ngx_profiler_running == NULL) {
        return;
    }

    library = ngx_profiler_library();

    while ((done = library->next_done(ngx_profiler_running)) != NULL) {
        job = library->job_owner(done);
        rc = library->job_result(done, &data, &len);

        if (rc != 0) {
            ngx_log_error(NGX_LOG_ERR, ev->log, -rc, "profiler job failed");
            data = NULL;
            len = 0;
        }

        job->done(job->ctx, data, len);

        ngx_free(job);
        library->job_free(done);
    }
}
