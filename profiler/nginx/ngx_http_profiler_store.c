
/*
 * /debug/pprof/store/: a page of the profiles that profiler_store keeps, and
 * the profiles. Files are read by a thread of libnprof; HEAD reads none.
 */


#include "ngx_http_profiler.h"


static ngx_str_t ngx_http_profiler_page
    = ngx_string("text/html; charset=utf-8");


/* HEAD of a file: what its name and its size say. */
static ngx_int_t
ngx_http_profiler_stored(ngx_http_request_t *r, char *folder, ngx_str_t *name)
{
    u_char  *file;
    uint64_t size;

    file = ngx_pnalloc(r->pool, name->len + 1);
    if (file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_cpymem(file, name->data, name->len) = '\0';

    if (ngx_profiler_library()->stored_size(folder, (char *) file, &size)
        != 0) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                            "Unknown profile");
    }

    r->headers_out.content_length_n = size;

    return ngx_http_profiler_send_header(r, &ngx_http_profiler_octets, name);
}


ngx_int_t
ngx_http_profiler_store(ngx_http_request_t *r)
{
    u_char              *p;
    ngx_str_t           *name;
    ngx_profiler_conf_t *pcf;

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_profiler_module);

    if (pcf->store == NULL) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                            "profiler_store is not configured");
    }

    name = ngx_palloc(r->pool, sizeof(ngx_str_t));
    if (name == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = r->uri.data + r->uri.len;
    name->len = 0;

    while (p > r->uri.data && p[-1] != '/') {
        p--;
        name->len++;
    }

    name->data = p;

    if (name->len == sizeof("store") - 1
        && ngx_strncmp(p, "store", name->len) == 0) {
        return ngx_http_profiler_redirect(r);
    }

    if (r->method == NGX_HTTP_HEAD && name->len == 0) {
        return ngx_http_profiler_send_header(r, &ngx_http_profiler_page, NULL);
    }

    if (!ngx_profiler_worker_running()) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                            "the profiler does not run");
    }

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_stored(r, (char *) pcf->store->name.data,
                                        name);
    }

    return ngx_http_profiler_run(r, NPROF_JOB_STORE, name,
                                 name->len ? &ngx_http_profiler_octets
                                           : &ngx_http_profiler_page,
                                 name->len ? name : NULL);
}
