
/*
 * The heap's profiles: "heap" and "allocs", with the arguments that Go's have.
 */


#include "ngx_http_profiler.h"


static ngx_int_t ngx_http_profiler_heap_empty(ngx_http_request_t        *r,
                                              const struct nprof_window *window,
                                              ngx_str_t *filename);


/* gc=1 changes nothing: there is no garbage to collect */
static ngx_int_t
ngx_http_profiler_heap_profile(ngx_http_request_t *r, ngx_uint_t options,
                               ngx_str_t *total, ngx_str_t *delta)
{
    ngx_str_t           *type, *filename;
    const char          *wrong;
    struct profile_query query;

    wrong = ngx_http_profiler_query(r, PROFILE_QUERY_TOTAL, &query);

    if (wrong) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_BAD_REQUEST, wrong);
    }

    query.window.options = query.debug ? NPROF_AS_TEXT : options;

    type = query.debug ? &ngx_http_profiler_plain : &ngx_http_profiler_octets;
    filename = query.debug ? NULL : query.window.whole ? total : delta;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_send_header(r, type, filename);
    }

    if (!ngx_profiler_worker_collects(NPROF_JOB_HEAP)) {
        return ngx_http_profiler_heap_empty(r, &query.window, filename);
    }

    return ngx_http_profiler_run_window(r, NPROF_JOB_HEAP, &query.window,
                                        query.seconds, type, filename);
}


static ngx_int_t
ngx_http_profiler_heap_empty(ngx_http_request_t        *r,
                             const struct nprof_window *window,
                             ngx_str_t                 *filename)
{
    static u_char text[] = "heap profile: 0: 0 [0: 0] @ heap/1\n";

    if (window->options & NPROF_AS_TEXT) {
        return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_plain,
                                      NULL, text, sizeof(text) - 1);
    }

    return ngx_http_profiler_empty(r, NPROF_JOB_HEAP, window->options,
                                   filename);
}


ngx_int_t
ngx_http_profiler_heap(ngx_http_request_t *r)
{
    static ngx_str_t total = ngx_string("heap");
    static ngx_str_t delta = ngx_string("heap-delta");

    return ngx_http_profiler_heap_profile(r, 0, &total, &delta);
}


ngx_int_t
ngx_http_profiler_allocs(ngx_http_request_t *r)
{
    static ngx_str_t total = ngx_string("allocs");
    static ngx_str_t delta = ngx_string("allocs-delta");

    return ngx_http_profiler_heap_profile(r, NPROF_ALLOCS_FIRST, &total,
                                          &delta);
}
