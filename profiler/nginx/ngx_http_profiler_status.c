
/*
 * "status": what the profiler is doing, as JSON or for Prometheus.
 */


#include "ngx_http_profiler.h"


static ngx_str_t ngx_http_profiler_json = ngx_string("application/json");
static ngx_str_t ngx_http_profiler_exposition
    = ngx_string("text/plain; version=0.0.4; charset=utf-8");
static ngx_str_t ngx_http_profiler_prometheus = ngx_string("prometheus");


/* Why this worker has no profiler. */
static const char *
ngx_http_profiler_off_reason(void)
{
    ngx_profiler_conf_t *pcf;

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_profiler_module);

    if (!pcf->enable) {
        return "profiler is off in the configuration";
    }

    return ngx_profiler_library() == NULL
               ? "libnprof.so could not be loaded, see nginx's log"
               : "the profiler could not start, see nginx's log";
}


static ngx_int_t
ngx_http_profiler_status_off(ngx_http_request_t *r, ngx_str_t *type,
                             ngx_uint_t prometheus)
{
    u_char      text[NGX_MAX_ERROR_STR];
    u_char     *last;
    const char *format;

    format = prometheus
                 ? "# HELP nginx_profiler_up Whether the profiler runs.\n"
                   "# TYPE nginx_profiler_up gauge\n"
                   "nginx_profiler_up 0\n"
                 : "{\"profiler\": \"off\", \"reason\": \"%s\"}\n";

    last = ngx_slprintf(text, text + sizeof(text), format,
                        ngx_http_profiler_off_reason());

    return ngx_http_profiler_send(r, NGX_HTTP_OK, type, NULL, text,
                                  last - text);
}


ngx_int_t
ngx_http_profiler_status(ngx_http_request_t *r)
{
    ngx_str_t  format, *type;
    ngx_uint_t prometheus;

    prometheus = 0;
    type = &ngx_http_profiler_json;

    if (ngx_http_arg(r, (u_char *) "format", 6, &format) == NGX_OK) {
        if (format.len == ngx_http_profiler_prometheus.len
            && ngx_strncmp(format.data, ngx_http_profiler_prometheus.data,
                           format.len)
                   == 0) {
            prometheus = 1;
            type = &ngx_http_profiler_exposition;

        } else if (format.len != 4
                   || ngx_strncmp(format.data, "json", 4) != 0) {
            return ngx_http_profiler_send_error(
                r, NGX_HTTP_BAD_REQUEST,
                "invalid value for \"format\" - must be json or prometheus");
        }
    }

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_send_header(r, type, NULL);
    }

    if (!ngx_profiler_worker_running()) {
        return ngx_http_profiler_status_off(r, type, prometheus);
    }

    return ngx_http_profiler_run(
        r, NPROF_JOB_STATUS, prometheus ? &ngx_http_profiler_prometheus : NULL,
        type, NULL);
}
