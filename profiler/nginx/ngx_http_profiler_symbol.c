
/*
 * /debug/pprof/symbol: a GET says that there are symbols, a POST asks for the
 * names of addresses. Anything but 200 makes `go tool pprof` give up.
 */


#include "ngx_http_profiler.h"


#define NGX_HTTP_PROFILER_SYMBOL_MAX (1024 * 1024)


static void      ngx_http_profiler_symbol_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_symbol_run(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_symbol_refuse(ngx_http_request_t *r);


static u_char ngx_http_profiler_symbols[] = "num_symbols: 1\n";


ngx_int_t
ngx_http_profiler_symbol(ngx_http_request_t *r)
{
    ngx_int_t rc;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_plain,
                                      NULL, ngx_http_profiler_symbols,
                                      sizeof(ngx_http_profiler_symbols) - 1);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_PROFILER_SYMBOL_MAX) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_http_profiler_symbol_refuse(r) : rc;
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_profiler_symbol_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_profiler_symbol_body(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_http_profiler_symbol_run(r));
}


/* The body in one piece; its length or NGX_ERROR. */
static ssize_t
ngx_http_profiler_symbol_read(ngx_http_request_t *r, u_char *text, size_t size)
{
    size_t       n;
    u_char      *p;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    p = text;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        n = (size_t) ngx_buf_size(b);

        if (n > (size_t) (text + size - p)) {
            return NGX_ERROR;
        }

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, n);
            continue;
        }

        if (ngx_read_file(b->file, p, n, b->file_pos) != (ssize_t) n) {
            return NGX_ERROR;
        }

        p += n;
    }

    return p - text;
}


static ngx_int_t
ngx_http_profiler_symbol_run(ngx_http_request_t *r)
{
    off_t        size;
    ssize_t      n;
    ngx_str_t    input;
    ngx_chain_t *cl;

    size = 0;

    if (r->request_body) {
        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            size += ngx_buf_size(cl->buf);
        }
    }

    if (size > NGX_HTTP_PROFILER_SYMBOL_MAX) {
        return ngx_http_profiler_symbol_refuse(r);
    }

    if (size == 0 || !ngx_profiler_worker_running()) {
        return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_plain,
                                      NULL, ngx_http_profiler_symbols,
                                      sizeof(ngx_http_profiler_symbols) - 1);
    }

    input.data = ngx_pnalloc(r->pool, (size_t) size);
    if (input.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_http_profiler_symbol_read(r, input.data, (size_t) size);

    if (n == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    input.len = n;

    return ngx_http_profiler_run(r, NPROF_JOB_SYMBOL, &input,
                                 &ngx_http_profiler_plain, NULL);
}


static ngx_int_t
ngx_http_profiler_symbol_refuse(ngx_http_request_t *r)
{
    return ngx_http_profiler_send_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "more than 1 MiB of addresses");
}
