
/*
 * Requests whose reply a job makes: the window's timer, the job's end, and
 * the client that goes away meanwhile.
 */


#include "ngx_http_profiler.h"


/*
 * The longest that a reply may take once its window is over. The timer also
 * keeps a worker that drains from leaving before the reply is sent.
 */
#define NGX_HTTP_PROFILER_REPLY_TIMEOUT 30000


typedef struct {
    ngx_http_request_t *request;

    /* NULL once it is done */
    ngx_profiler_job_t *job;

    /* of the window's end, then of the reply */
    ngx_event_t timer;
    ngx_uint_t  finished; /* unsigned  finished:1; */

    ngx_str_t *type;
    ngx_str_t *filename;
} ngx_http_profiler_ctx_t;


static ngx_int_t ngx_http_profiler_wait(ngx_http_profiler_ctx_t *ctx,
                                        ngx_msec_t               timeout);
static void      ngx_http_profiler_timer(ngx_event_t *ev);
static void ngx_http_profiler_done(void *data, const u_char *body, size_t len,
                                   ngx_err_t err);
static void ngx_http_profiler_cleanup(void *data);


static ngx_http_profiler_ctx_t *
ngx_http_profiler_create_ctx(ngx_http_request_t *r, ngx_str_t *type,
                             ngx_str_t *filename)
{
    ngx_http_cleanup_t      *cln;
    ngx_http_profiler_ctx_t *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_profiler_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->type = type;
    ctx->filename = filename;
    ctx->finished = 1;

    ctx->timer.handler = ngx_http_profiler_timer;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_profiler_cleanup;
    cln->data = ctx;

    return ctx;
}


ngx_int_t
ngx_http_profiler_run(ngx_http_request_t *r, enum nprof_job_kind kind,
                      ngx_str_t *input, ngx_str_t *type, ngx_str_t *filename)
{
    ngx_http_profiler_ctx_t *ctx;

    ctx = ngx_http_profiler_create_ctx(r, type, filename);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->job = ngx_profiler_job_start(kind, input, ngx_http_profiler_done, ctx,
                                      r->connection->log);
    if (ctx->job == NULL) {
        return ngx_http_profiler_send_error(
            r, NGX_HTTP_SERVICE_UNAVAILABLE,
            "the profiler is busy, see nginx's log");
    }

    return ngx_http_profiler_wait(ctx, NGX_HTTP_PROFILER_REPLY_TIMEOUT);
}


ngx_int_t
ngx_http_profiler_run_window(ngx_http_request_t *r, enum nprof_job_kind kind,
                             const struct nprof_window *window,
                             ngx_uint_t seconds, ngx_str_t *type,
                             ngx_str_t *filename)
{
    ngx_err_t                err;
    ngx_http_profiler_ctx_t *ctx;

    ctx = ngx_http_profiler_create_ctx(r, type, filename);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->job = ngx_profiler_window_start(kind, window, ngx_http_profiler_done,
                                         ctx, r->connection->log, &err);

    if (ctx->job == NULL && err == NGX_ESRCH) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                            "no worker has that pid");
    }

    if (ctx->job == NULL) {
        return ngx_http_profiler_send_error(
            r, NGX_HTTP_SERVICE_UNAVAILABLE,
            "the profiler is busy, see nginx's log");
    }

    if (window->whole || window->to_ns) {
        return ngx_http_profiler_wait(ctx, NGX_HTTP_PROFILER_REPLY_TIMEOUT);
    }

    ctx->finished = 0;

    return ngx_http_profiler_wait(ctx, seconds * 1000);
}


/* Until the job is done, or it is time to finish it. */
static ngx_int_t
ngx_http_profiler_wait(ngx_http_profiler_ctx_t *ctx, ngx_msec_t timeout)
{
    ngx_http_request_t *r;

    r = ctx->request;

    ngx_add_timer(&ctx->timer, timeout);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* a client that closed already makes no further event */
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_profiler_cleanup(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_profiler_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t *c;

    c = r->connection;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_profiler_timer(ngx_event_t *ev)
{
    ngx_http_request_t      *r;
    ngx_http_profiler_ctx_t *ctx;

    ctx = ev->data;
    r = ctx->request;

    if (!ctx->finished) {
        ctx->finished = 1;
        ngx_add_timer(&ctx->timer, NGX_HTTP_PROFILER_REPLY_TIMEOUT);
        ngx_profiler_job_finish(ctx->job);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "profiler made no reply in %d ms",
                  NGX_HTTP_PROFILER_REPLY_TIMEOUT);

    /* it could yet be done, while this reply is on its way */
    ngx_http_profiler_cleanup(ctx);

    ngx_http_profiler_finalize(
        r, ngx_http_profiler_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "the profiler made no reply in time"));
}


static void
ngx_http_profiler_done(void *data, const u_char *body, size_t len,
                       ngx_err_t err)
{
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_profiler_ctx_t *ctx;

    ctx = data;
    r = ctx->request;

    ctx->job = NULL;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (err == ENODATA) {
        rc = ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                          "nothing is kept of that time");

    } else if (err == NGX_ENOENT) {
        rc = ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                          "Unknown profile");

    } else if (err == EBADMSG) {
        rc = ngx_http_profiler_send_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                          "the file is damaged");

    } else if (body == NULL) {
        rc = ngx_http_profiler_send_error(
            r, NGX_HTTP_INTERNAL_SERVER_ERROR,
            "the profile failed, see nginx's log");
    } else {
        rc = ngx_http_profiler_send(r, NGX_HTTP_OK, ctx->type, ctx->filename,
                                    body, len);
    }

    ngx_http_profiler_finalize(r, rc);
}


static void
ngx_http_profiler_cleanup(void *data)
{
    ngx_http_profiler_ctx_t *ctx;

    ctx = data;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->job) {
        ngx_profiler_job_drop(ctx->job);
        ctx->job = NULL;
    }
}
