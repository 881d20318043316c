/*
 * Hands jobs to a thread pool of nginx and takes them back. All of it runs on
 * the event loop, but for ngx_http_count_thread().
 *
 * While a job is with the pool its request is blocked, so whatever happens to
 * the client, request and pool stay until the completion is seen here. A timer
 * keeps a worker that shuts down gracefully from leaving: it would count as
 * idle. On fast shutdown nginx waits for the tasks that its pools have, but not
 * where a queue is full: then we do. Those that have not begun are skipped.
 */

#include "ngx_http_count.h"


#include <dlfcn.h>
#include <ngx_thread_pool.h>

#if !(NGX_THREADS)
#error "the count module needs nginx configured with --with-threads"
#endif


/* How often the timer of a job that is with the pool is set again. */
#define TIMER_MS 60000

/* For a thread that has counted its task down to wait for the next one. */
#define RETURN_MS 10


static void ngx_http_count_pin(ngx_log_t *log);
static void ngx_http_count_thread(void *data, ngx_log_t *log);
static void ngx_http_count_completed(ngx_event_t *ev);
static void ngx_http_count_cancel(void *data);


/* Tasks that pools have; the worker's end, when those that wait are skipped. */
static ngx_atomic_t ngx_http_count_tasks;
static ngx_atomic_t ngx_http_count_leaving;


ngx_int_t
ngx_http_count_post(ngx_http_count_job_t *job, ngx_thread_pool_t *pool,
                    ngx_http_event_handler_pt done)
{
    ngx_http_request_t *r;
    ngx_http_cleanup_t *cln;
    ngx_thread_task_t  *task;

    r = job->request;

    task = ngx_thread_task_alloc(r->pool, 0);
    if (task == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_count_cancel;
    cln->data = job;

    task->ctx = job;
    task->handler = ngx_http_count_thread;
    task->event.data = job;
    task->event.handler = ngx_http_count_completed;
    task->event.log = r->connection->log;

    (void) ngx_atomic_fetch_add(&ngx_http_count_tasks, 1);

    if (ngx_thread_task_post(pool, task) != NGX_OK) {
        (void) ngx_atomic_fetch_add(&ngx_http_count_tasks, -1);
        return NGX_ERROR;
    }

    ngx_add_timer(&task->event, TIMER_MS);

    r->main->blocked++;
    r->aio = 1;
    r->write_event_handler = done;

    return NGX_OK;
}


static void
ngx_http_count_thread(void *data, ngx_log_t *log)
{
    ngx_http_count_job_t *job = data;

    if (ngx_terminate || ngx_http_count_leaving) {
        /* the event loop may see this task end before it leaves */
        job->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        job->error = "the server shuts down";

    } else {
        ngx_http_count_run(job);
    }

    (void) ngx_atomic_fetch_add(&ngx_http_count_tasks, -1);
}


/*
 * A pool whose queue is full has no room for the task that ends its threads: it
 * is left as it is, and nginx goes on to free it and to unload modules. Nothing
 * says when a thread is back in its queue.
 */
void
ngx_http_count_wait(ngx_log_t *log)
{
    if (ngx_http_count_tasks == 0) {
        return;
    }

    ngx_http_count_pin(log);
    ngx_http_count_leaving = 1;

    while (ngx_http_count_tasks != 0) {
        ngx_msleep(1);
    }

    ngx_msleep(RETURN_MS);
}


/* This module stays in memory: a thread that has counted down has yet to
   return. */
static void
ngx_http_count_pin(ngx_log_t *log)
{
    Dl_info here;

    if (dladdr((void *) ngx_http_count_pin, &here) == 0
        || dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE)
               == NULL) {
        ngx_log_error(NGX_LOG_WARN, log, 0, "count module can't be kept: %s",
                      dlerror());
    }
}


static void
ngx_http_count_completed(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_count_job_t *job;

    job = ev->data;

    if (ev->timedout && !ev->complete) {
        ev->timedout = 0;
        ngx_add_timer(ev, TIMER_MS);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    r = job->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

#if (NGX_HTTP_V2)

    if (r->stream) {
        /* the answer's frames are sent by the main connection's handler */
        c->write->ready = 1;
        c->write->active = 0;
    }

#endif

    if (job->cancelled) {
        /*
         * The request was terminated and waits for us. Its handlers tell only
         * if r is the one of its subrequests that was active then.
         */
        c->error = 1;
        ngx_http_finalize_request(r, NGX_ERROR);

    } else {
        r->write_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


/* The request is ended, by its client or by a shutdown. */
static void
ngx_http_count_cancel(void *data)
{
    ngx_http_count_job_t *job = data;

    job->cancelled = 1;
}
