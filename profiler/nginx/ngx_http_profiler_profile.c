
/*
 * The profiles: what their paths and parameters mean, as Go's net/http/pprof
 * has them, with ours beside.
 */


#include "ngx_http_profiler.h"


typedef struct {
    ngx_str_t   name;
    ngx_str_t   delta;
    const char *text;
} ngx_http_profiler_foreign_t;


static ngx_int_t ngx_http_profiler_profile(ngx_http_request_t *r,
                                           enum nprof_job_kind kind,
                                           ngx_str_t          *filename);


ngx_str_t ngx_http_profiler_octets = ngx_string("application/octet-stream");
ngx_str_t ngx_http_profiler_plain = ngx_string("text/plain; charset=utf-8");


/* profiles of Go that a worker has nothing for */
static ngx_http_profiler_foreign_t ngx_http_profiler_foreign_names[]
    = {{ngx_string("block"), ngx_string("block-delta"),
        "block profile: total 0\n"},
       {ngx_string("mutex"), ngx_string("mutex-delta"),
        "mutex profile: total 0\n"},
       {ngx_string("goroutine"), ngx_string("goroutine-delta"),
        "goroutine profile: total 0\n"},
       {ngx_string("threadcreate"), ngx_string("threadcreate-delta"),
        "threadcreate profile: total 0\n"}};


#define NGX_HTTP_PROFILER_FOREIGN            \
    (sizeof(ngx_http_profiler_foreign_names) \
     / sizeof(ngx_http_profiler_foreign_names[0]))


ngx_int_t
ngx_http_profiler_cpu(ngx_http_request_t *r)
{
    static ngx_str_t filename = ngx_string("profile");

    return ngx_http_profiler_profile(r, NPROF_JOB_CPU, &filename);
}


ngx_int_t
ngx_http_profiler_wall(ngx_http_request_t *r)
{
    static ngx_str_t filename = ngx_string("wall");

    return ngx_http_profiler_profile(r, NPROF_JOB_WALL, &filename);
}


ngx_int_t
ngx_http_profiler_stall(ngx_http_request_t *r)
{
    static ngx_str_t filename = ngx_string("stall");

    return ngx_http_profiler_profile(r, NPROF_JOB_STALL, &filename);
}


static ngx_int_t
ngx_http_profiler_profile(ngx_http_request_t *r, enum nprof_job_kind kind,
                          ngx_str_t *filename)
{
    const char          *wrong;
    struct profile_query query;

    wrong = ngx_http_profiler_query(r, PROFILE_QUERY_WINDOW, &query);

    if (wrong) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_BAD_REQUEST, wrong);
    }

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_send_header(r, &ngx_http_profiler_octets,
                                             filename);
    }

    if (!ngx_profiler_worker_collects(kind)) {
        return ngx_http_profiler_empty(r, kind, 0, filename);
    }

    return ngx_http_profiler_run_window(r, kind, &query.window, query.seconds,
                                        &ngx_http_profiler_octets, filename);
}


const char *
ngx_http_profiler_query(ngx_http_request_t *r, enum profile_query_form form,
                        struct profile_query *query)
{
    struct timespec             now;
    ngx_profiler_conf_t        *pcf;
    struct profile_query_bounds bounds;

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_profiler_module);

    (void) clock_gettime(CLOCK_REALTIME, &now);

    bounds.form = form;
    bounds.max_seconds = pcf->max_seconds;
    bounds.now_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;

    return profile_query_read(query, &bounds, (char *) r->args.data,
                              r->args.len);
}


static ngx_int_t
ngx_http_profiler_send_empty(ngx_http_request_t *r, int rc, void *data,
                             size_t len, ngx_str_t *filename)
{
    ngx_int_t sent;

    if (rc != 0) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                            "there is no memory");
    }

    sent = ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_octets,
                                  filename, data, len);
    free(data);

    return sent;
}


ngx_int_t
ngx_http_profiler_empty(ngx_http_request_t *r, enum nprof_job_kind kind,
                        ngx_uint_t options, ngx_str_t *filename)
{
    int                         rc;
    void                       *data;
    size_t                      len;
    const struct nprof_library *library;

    library = ngx_profiler_library();

    if (library == NULL) {
        return ngx_http_profiler_send_error(
            r, NGX_HTTP_SERVICE_UNAVAILABLE,
            "the profiler could not be loaded, see nginx's log");
    }

    rc = library->empty_profile(kind, options, &data, &len);

    return ngx_http_profiler_send_empty(r, rc, data, len, filename);
}


/* The path is one of theirs. */
static ngx_http_profiler_foreign_t *
ngx_http_profiler_find_foreign(ngx_http_request_t *r)
{
    ngx_uint_t i;
    ngx_str_t *name;

    for (i = 0; i < NGX_HTTP_PROFILER_FOREIGN - 1; i++) {
        name = &ngx_http_profiler_foreign_names[i].name;

        if (r->uri.len >= name->len
            && ngx_strncmp(r->uri.data + r->uri.len - name->len, name->data,
                           name->len)
                   == 0) {
            break;
        }
    }

    return &ngx_http_profiler_foreign_names[i];
}


ngx_int_t
ngx_http_profiler_foreign(ngx_http_request_t *r)
{
    int                          rc;
    void                        *data;
    size_t                       len;
    const char                  *wrong;
    ngx_str_t                   *filename;
    struct profile_query         query;
    ngx_http_profiler_foreign_t *foreign;

    foreign = ngx_http_profiler_find_foreign(r);
    wrong = ngx_http_profiler_query(r, PROFILE_QUERY_TOTAL, &query);

    if (wrong) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_BAD_REQUEST, wrong);
    }

    filename = query.window.whole ? &foreign->name : &foreign->delta;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_send_header(
            r,
            query.debug ? &ngx_http_profiler_plain : &ngx_http_profiler_octets,
            query.debug ? NULL : filename);
    }

    if (query.debug) {
        return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_plain,
                                      NULL, (u_char *) foreign->text,
                                      ngx_strlen(foreign->text));
    }

    if (ngx_profiler_library() == NULL) {
        return ngx_http_profiler_send_error(
            r, NGX_HTTP_SERVICE_UNAVAILABLE,
            "the profiler could not be loaded, see nginx's log");
    }

    rc = ngx_profiler_library()->foreign_profile((char *) foreign->name.data,
                                                 &data, &len);

    return ngx_http_profiler_send_empty(r, rc, data, len, filename);
}
