
/*
 * The profiles: what their paths and parameters mean, as Go's net/http/pprof
 * has them, with ours beside.
 */


#include "ngx_http_profiler.h"


#define NGX_HTTP_PROFILER_SECONDS 30

/* the longest that a client may ask for of what lies behind */
#define NGX_HTTP_PROFILER_LAST 86400


typedef struct {
    ngx_str_t   name;
    ngx_str_t   delta;
    const char *text;
} ngx_http_profiler_foreign_t;


static ngx_int_t   ngx_http_profiler_profile(ngx_http_request_t *r,
                                             enum nprof_job_kind kind,
                                             ngx_str_t          *filename);
static ngx_int_t   ngx_http_profiler_seconds(ngx_http_request_t *r);
static const char *ngx_http_profiler_past(ngx_http_request_t  *r,
                                          struct nprof_window *window,
                                          ngx_str_t *last, ngx_str_t *from);
static int64_t ngx_http_profiler_time(ngx_http_request_t *r, ngx_str_t *value);


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
    ngx_int_t            seconds;
    const char          *wrong;
    ngx_profiler_conf_t *pcf;
    struct nprof_window  window;

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_profiler_module);

    seconds = ngx_http_profiler_seconds(r);
    wrong = ngx_http_profiler_window(r, &window);

    if (wrong == NULL && window.to_ns == 0 && seconds > pcf->max_seconds) {
        wrong = "seconds is larger than profiler_max_seconds";
    }

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

    return ngx_http_profiler_run_window(r, kind, &window, seconds,
                                        &ngx_http_profiler_octets, filename);
}


/* As Go does: what is no positive number means the default. */
static ngx_int_t
ngx_http_profiler_seconds(ngx_http_request_t *r)
{
    ngx_int_t seconds;
    ngx_str_t value;

    if (ngx_http_arg(r, (u_char *) "seconds", 7, &value) != NGX_OK) {
        return NGX_HTTP_PROFILER_SECONDS;
    }

    seconds = ngx_atoi(value.data, value.len);

    return seconds > 0 ? seconds : NGX_HTTP_PROFILER_SECONDS;
}


const char *
ngx_http_profiler_window(ngx_http_request_t *r, struct nprof_window *window)
{
    ngx_int_t worker;
    ngx_str_t value, last, from, to;

    ngx_memzero(window, sizeof(struct nprof_window));

    if (ngx_http_arg(r, (u_char *) "worker", 6, &value) == NGX_OK) {
        worker = ngx_atoi(value.data, value.len);

        if (worker <= 0 || worker > NGX_MAX_INT32_VALUE) {
            return "invalid value for \"worker\" - must be a pid";
        }

        window->worker = (uint32_t) worker;
    }

    if (ngx_http_arg(r, (u_char *) "last", 4, &last) != NGX_OK) {
        last.len = 0;
        last.data = NULL;
    }

    if (ngx_http_arg(r, (u_char *) "from", 4, &from) != NGX_OK) {
        from.len = 0;
        from.data = NULL;
    }

    if (last.data == NULL && from.data == NULL) {
        return ngx_http_arg(r, (u_char *) "to", 2, &to) == NGX_OK
                   ? "\"to\" needs \"from\""
                   : NULL;
    }

    if (window->worker) {
        return "\"worker\" is for windows that begin now";
    }

    return ngx_http_profiler_past(r, window, &last, &from);
}


static const char *
ngx_http_profiler_past(ngx_http_request_t *r, struct nprof_window *window,
                       ngx_str_t *last, ngx_str_t *from)
{
    int64_t         now;
    ngx_int_t       seconds;
    ngx_str_t       to;
    struct timespec time;

    (void) clock_gettime(CLOCK_REALTIME, &time);
    now = (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
    window->to_ns = now;

    if (last->data) {
        seconds = ngx_parse_time(last, 1);

        if (from->data) {
            return "\"last\" and \"from\" params are incompatible";
        }

        if (seconds <= 0 || seconds > NGX_HTTP_PROFILER_LAST) {
            return "invalid value for \"last\" - must be a time as 60s or 5m";
        }

        window->from_ns = now - (int64_t) seconds * 1000000000;

        return NULL;
    }

    window->from_ns = ngx_http_profiler_time(r, from);

    if (ngx_http_arg(r, (u_char *) "to", 2, &to) == NGX_OK) {
        window->to_ns = ngx_http_profiler_time(r, &to);
    }

    if (window->from_ns <= 0 || window->to_ns <= 0) {
        return "invalid time - must be Unix seconds or as "
               "2026-01-31T12:00:00Z";
    }

    return window->from_ns < window->to_ns ? NULL
                                           : "\"from\" is not before "
                                             "\"to\"";
}


/* Seconds east of UTC at the end of a time; NGX_ERROR if it is none. */
static ngx_int_t
ngx_http_profiler_zone(u_char *p, u_char *last)
{
    ngx_int_t hours, minutes;

    if (last - p == 1 && (*p == 'Z' || *p == 'z')) {
        return 0;
    }

    /* an unescaped plus is a space */
    if (last - p != 6 || (*p != '+' && *p != '-' && *p != ' ') || p[3] != ':') {
        return NGX_ERROR;
    }

    hours = ngx_atoi(p + 1, 2);
    minutes = ngx_atoi(p + 4, 2);

    if (hours == NGX_ERROR || hours > 23 || minutes == NGX_ERROR
        || minutes > 59) {
        return NGX_ERROR;
    }

    return (*p == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}


/* Nanoseconds of CLOCK_REALTIME, of Unix seconds or RFC 3339; 0: neither. */
static int64_t
ngx_http_profiler_time(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char    text[64], *p, *last, *src;
    ngx_int_t n, zone;
    char     *end;
    struct tm tm;

    if (value->len >= sizeof(text) - 1) {
        return 0;
    }

    src = value->data;
    last = text;
    ngx_unescape_uri(&last, &src, value->len, 0);
    *last = '\0';

    n = ngx_atoi(text, last - text);
    if (n > 0 && n < NGX_MAX_INT32_VALUE * (ngx_int_t) 2) {
        return (int64_t) n * 1000000000;
    }

    ngx_memzero(&tm, sizeof(struct tm));
    end = strptime((char *) text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (end == NULL) {
        return 0;
    }

    p = (u_char *) end;

    /* fractions of a second are finer than what is kept */
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9'; p++) { /* void */
        }
    }

    zone = ngx_http_profiler_zone(p, last);

    if (zone == NGX_ERROR) {
        return 0;
    }

    return ((int64_t) timegm(&tm) - zone) * 1000000000;
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


const char *
ngx_http_profiler_check_args(ngx_http_request_t *r, ngx_uint_t *debug,
                             ngx_uint_t *seconds)
{
    ngx_int_t            n;
    ngx_str_t            value;
    ngx_profiler_conf_t *pcf;

    *debug = 0;
    *seconds = 0;

    if (ngx_http_arg(r, (u_char *) "debug", 5, &value) == NGX_OK) {
        *debug = ngx_atoi(value.data, value.len) > 0;
    }

    if (ngx_http_arg(r, (u_char *) "seconds", 7, &value) != NGX_OK
        || value.len == 0) {
        return NULL;
    }

    n = ngx_atoi(value.data, value.len);

    if (n <= 0) {
        return "invalid value for \"seconds\" - must be a positive integer";
    }

    if (*debug) {
        return "seconds and debug params are incompatible";
    }

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_profiler_module);

    if (n > pcf->max_seconds) {
        return "seconds is larger than profiler_max_seconds";
    }

    *seconds = n;

    return NULL;
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
    ngx_uint_t                   debug, delta;
    const char                  *wrong;
    ngx_str_t                   *filename;
    ngx_http_profiler_foreign_t *foreign;

    foreign = ngx_http_profiler_find_foreign(r);
    wrong = ngx_http_profiler_check_args(r, &debug, &delta);

    if (wrong) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_BAD_REQUEST, wrong);
    }

    filename = delta ? &foreign->delta : &foreign->name;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_profiler_send_header(
            r, debug ? &ngx_http_profiler_plain : &ngx_http_profiler_octets,
            debug ? NULL : filename);
    }

    if (debug) {
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
