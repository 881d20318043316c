
/*
 * The profiler of this worker, and its jobs in the event loop. libnprof's
 * threads use nothing of nginx; they make an eventfd readable, and the event
 * loop fetches what is done.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>
#include <ngx_http.h>

#include <poll.h>

#include "ngx_profiler.h"


/*
 * What exit_process may wait, in milliseconds: at most for the replies to
 * captures that it cuts short, and in all, our threads included.
 */
#define NGX_PROFILER_CUT_TIMEOUT 120
#define NGX_PROFILER_STOP_TIMEOUT 200

/*
 * How long before worker_shutdown_timeout closes all connections captures are
 * cut short, in milliseconds; at most half of that timeout.
 */
#define NGX_PROFILER_SHUTDOWN_MARGIN 1000


struct ngx_profiler_job_s {
    ngx_queue_t          queue;
    struct nprof_job    *job;
    ngx_profiler_done_pt done;
    void                *ctx;
};


static ngx_profiler_job_t *ngx_profiler_job_create(ngx_profiler_done_pt done,
                                                   void *ctx, ngx_log_t *log);
static ngx_int_t           ngx_profiler_listen(ngx_log_t *log);
static void                ngx_profiler_notices(ngx_log_t *log);
static void                ngx_profiler_event_handler(ngx_event_t *ev);
static void ngx_profiler_done(struct nprof_job *done, ngx_log_t *log);
static void ngx_profiler_shutdown(ngx_event_t *ev);
static void ngx_profiler_jobs_finish(void);
static void ngx_profiler_jobs_flush(ngx_log_t *log);


static struct nprof *ngx_profiler_running;

const struct nprof_labels *ngx_profiler_request_labels;
const struct nprof_traces *ngx_profiler_traces;

/* its types: a single process keeps them when it reloads */
static ngx_uint_t ngx_profiler_types;

/* jobs that are not done yet */
static ngx_queue_t ngx_profiler_jobs;

/* cuts captures short before worker_shutdown_timeout */
static ngx_event_t ngx_profiler_shutdown_event;

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

    ngx_queue_init(&ngx_profiler_jobs);

    ngx_memzero(&config, sizeof(struct nprof_config));
    config.rate = conf->rate;
    config.types = conf->types;
    config.stall_threshold_ms = conf->stall_threshold;
    config.cpu_engine = conf->cpu_engine;
    config.heap_interval = conf->heap_interval;
    config.period_ms = conf->period;
    config.history_size = conf->history;
    config.server = NGINX_VER;

    if (conf->store) {
        config.store_path = (char *) conf->store->name.data;
        config.store_max_size = conf->store_max_size;
        config.store_keep_seconds = conf->store_keep;
    }

    config.request_labels
        = ngx_get_conf(cycle->conf_ctx, ngx_http_module) != NULL;
    config.trace = conf->trace;
    config.process_id
        = ngx_process == NGX_PROCESS_SINGLE ? ngx_pid : ngx_parent;

    rc = library->start(&config, &ngx_profiler_running);

    if (rc != 0) {
        ngx_profiler_running = NULL;
        ngx_log_error(NGX_LOG_ERR, cycle->log, -rc, "profiler could not start");
        return;
    }

    ngx_profiler_types = conf->types;
    if (config.request_labels) {
        ngx_profiler_request_labels = &library->labels;
    }

    if (config.trace) {
        ngx_profiler_traces = &library->traces;
    }

    warning = library->warning(ngx_profiler_running);

    if (warning != NULL) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "profiler: %s", warning);
    }
}


void
ngx_profiler_worker_stop(ngx_cycle_t *cycle)
{
    int           rc;
    uint64_t      unsent;
    ngx_msec_t    start, spent;
    struct nprof *nprof;

    nprof = ngx_profiler_running;

    if (nprof == NULL) {
        return;
    }

    ngx_time_update();
    start = ngx_current_msec;

    ngx_profiler_library()->hurry(nprof, NGX_PROFILER_CUT_TIMEOUT / 2);
    ngx_profiler_jobs_flush(cycle->log);
    ngx_profiler_notices(cycle->log);

    ngx_time_update();
    spent = ngx_min(ngx_current_msec - start, NGX_PROFILER_CUT_TIMEOUT);

    ngx_profiler_running = NULL;
    ngx_profiler_request_labels = NULL;
    ngx_profiler_traces = NULL;

    rc = ngx_profiler_library()->stop(nprof, NGX_PROFILER_STOP_TIMEOUT - spent,
                                      &unsent);

    if (unsent) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "profiler: %uL profiles could not be uploaded before the "
                      "worker exits",
                      unsent);
    }

    if (rc != 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "profiler did not stop in %d ms",
                      NGX_PROFILER_STOP_TIMEOUT);
    }
}


/*
 * The worker exits whether captures are over or not: they end now, and their
 * replies get a short time to be made and sent.
 */
static void
ngx_profiler_jobs_flush(ngx_log_t *log)
{
    struct pollfd     pfd;
    ngx_msec_t        end;
    ngx_msec_int_t    left;
    struct nprof_job *done;

    ngx_profiler_jobs_finish();

    pfd.fd = ngx_profiler_library()->event_fd(ngx_profiler_running);
    pfd.events = POLLIN;

    end = ngx_current_msec + NGX_PROFILER_CUT_TIMEOUT;

    while (!ngx_queue_empty(&ngx_profiler_jobs)) {
        done = ngx_profiler_library()->next_done(ngx_profiler_running);

        if (done) {
            ngx_profiler_done(done, log);
            continue;
        }

        ngx_time_update();
        left = (ngx_msec_int_t) (end - ngx_current_msec);

        if (left <= 0 || poll(&pfd, 1, (int) left) == 0) {
            return;
        }
    }
}


ngx_uint_t
ngx_profiler_worker_running(void)
{
    return ngx_profiler_running != NULL;
}


ngx_uint_t
ngx_profiler_worker_collects(enum nprof_job_kind kind)
{
    return ngx_profiler_running != NULL
           && (ngx_profiler_types & NPROF_TYPE(kind));
}


ngx_profiler_job_t *
ngx_profiler_job_start(enum nprof_job_kind kind, ngx_str_t *input,
                       ngx_profiler_done_pt done, void *ctx, ngx_log_t *log)
{
    int                 rc;
    ngx_profiler_job_t *job;

    job = ngx_profiler_job_create(done, ctx, log);
    if (job == NULL) {
        return NULL;
    }

    rc = ngx_profiler_library()->job_start(
        ngx_profiler_running, kind, input ? (char *) input->data : NULL,
        input ? input->len : 0, job, &job->job);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ERR, log, -rc, "profiler could not start a job");
        ngx_free(job);
        return NULL;
    }

    ngx_queue_insert_tail(&ngx_profiler_jobs, &job->queue);

    return job;
}


ngx_profiler_job_t *
ngx_profiler_window_start(enum nprof_job_kind        kind,
                          const struct nprof_window *window,
                          ngx_profiler_done_pt done, void *ctx, ngx_log_t *log,
                          ngx_err_t *err)
{
    ngx_profiler_job_t *job;

    *err = NGX_ENOMEM;

    job = ngx_profiler_job_create(done, ctx, log);
    if (job == NULL) {
        return NULL;
    }

    *err = -ngx_profiler_library()->window_start(ngx_profiler_running, kind,
                                                 window, job, &job->job);

    if (*err != 0) {
        if (*err != ESRCH) {
            ngx_log_error(NGX_LOG_ERR, log, *err,
                          "profiler could not start a job");
        }

        ngx_free(job);
        return NULL;
    }

    ngx_queue_insert_tail(&ngx_profiler_jobs, &job->queue);

    return job;
}


static ngx_profiler_job_t *
ngx_profiler_job_create(ngx_profiler_done_pt done, void *ctx, ngx_log_t *log)
{
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

    ngx_queue_remove(&job->queue);
    ngx_free(job);
}


static void
ngx_profiler_jobs_finish(void)
{
    ngx_queue_t        *q;
    ngx_profiler_job_t *job;

    for (q = ngx_queue_head(&ngx_profiler_jobs);
         q != ngx_queue_sentinel(&ngx_profiler_jobs); q = ngx_queue_next(q)) {
        job = ngx_queue_data(q, ngx_profiler_job_t, queue);
        ngx_profiler_library()->job_finish(job->job);
    }
}


void
ngx_profiler_worker_listen(ngx_cycle_t *cycle)
{
    if (ngx_profiler_running) {
        (void) ngx_profiler_listen(cycle->log);
    }
}


static void
ngx_profiler_notices(ngx_log_t *log)
{
    ngx_uint_t        level;
    const char       *notice;
    enum nprof_notice weight;

    for (;;) {
        notice = ngx_profiler_library()->next_notice(ngx_profiler_running,
                                                     &weight);

        if (notice == NULL) {
            break;
        }

        level = weight == NPROF_NOTICE_WARN ? NGX_LOG_WARN : NGX_LOG_NOTICE;
        ngx_log_error(level, log, 0, "profiler: %s", notice);
    }
}


/*
 * Once connections exist, which an event module's init_process makes. A
 * channel's connection, unlike others, may be open when the worker exits.
 */
static ngx_int_t
ngx_profiler_listen(ngx_log_t *log)
{
    ngx_fd_t          fd;
    ngx_uint_t        i;
    ngx_connection_t *c;

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

    /* a worker that begins to shut down calls the handlers of idle ones */
    c = ngx_cycle->connections;

    for (i = 0; i < ngx_cycle->connection_n; i++) {
        if (c[i].fd == fd) {
            c[i].idle = 1;
            break;
        }
    }

    return NGX_OK;
}


static void
ngx_profiler_event_handler(ngx_event_t *ev)
{
    ngx_connection_t *c;
    struct nprof_job *done;

    if (ngx_profiler_running == NULL) {
        return;
    }

    c = ev->data;

    if (c->close) {
        c->close = 0;
        ngx_profiler_shutdown(ev);
    }

    for (;;) {
        done = ngx_profiler_library()->next_done(ngx_profiler_running);

        if (done == NULL) {
            break;
        }

        ngx_profiler_done(done, ev->log);
    }

    ngx_profiler_notices(ev->log);
}


static void
ngx_profiler_done(struct nprof_job *done, ngx_log_t *log)
{
    int                         rc;
    size_t                      len;
    const void                 *data;
    ngx_profiler_job_t         *job;
    const struct nprof_library *library;

    library = ngx_profiler_library();

    job = library->job_owner(done);
    rc = library->job_result(done, &data, &len);

    if (rc != 0) {
        if (rc != -ENODATA && rc != -ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, -rc, "profiler job failed");
        }

        data = NULL;
        len = 0;
    }

    ngx_queue_remove(&job->queue);
    job->done(job->ctx, data, len, -rc);

    ngx_free(job);
    library->job_free(done);
}


static void
ngx_profiler_shutdown_handler(ngx_event_t *ev)
{
    ngx_profiler_jobs_finish();
}


/* The worker drains: until when is known now. */
static void
ngx_profiler_shutdown(ngx_event_t *channel)
{
    ngx_event_t     *ev;
    ngx_msec_t       timeout;
    ngx_core_conf_t *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    timeout = ccf->shutdown_timeout;
    ev = &ngx_profiler_shutdown_event;

    if (timeout == 0 || ev->timer_set) {
        return;
    }

    ev->handler = ngx_profiler_shutdown_handler;
    ev->data = channel->data;
    ev->log = channel->log;
    ev->cancelable = 1;

    ngx_add_timer(ev,
                  timeout - ngx_min(timeout / 2, NGX_PROFILER_SHUTDOWN_MARGIN));
}
