
/*
 * Labels of requests: which ones a request has, and when the event loop works
 * for it. libnprof keeps account of that by the request's sockets; what it
 * can't know by them is said here, in phase handlers and filters.
 *
 * A request has the labels of its server from the server's rewrite phase on,
 * those of its location from the rewrite phase on, and those of profiler_label
 * from the preaccess phase on, when no "rewrite" changes the location any more.
 * An internal redirect begins anew. A subrequest is a request of its own.
 */


#include "ngx_http_profiler.h"


typedef struct {
    ngx_str_t                name;
    ngx_http_complex_value_t value;
} ngx_http_profiler_label_t;


static ngx_int_t ngx_http_profiler_label_name(ngx_conf_t *cf, ngx_str_t *name);
static ngx_int_t ngx_http_profiler_rewrite_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_preaccess_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_precontent_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_log_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_body_filter(ngx_http_request_t *r,
                                               ngx_chain_t        *in);
static ngx_int_t ngx_http_profiler_request_body_filter(ngx_http_request_t *r,
                                                       ngx_chain_t        *in);
static ngx_http_profiler_request_t *
ngx_http_profiler_label_set(ngx_http_request_t *r, uint32_t set);
static uint32_t ngx_http_profiler_location_labels(ngx_http_request_t *r);
static ngx_http_profiler_request_t             *
ngx_http_profiler_begin_request(ngx_http_request_t *r);
static void ngx_http_profiler_end_request(void *data);
static void ngx_http_profiler_enter(ngx_http_request_t          *r,
                                    ngx_http_profiler_request_t *ctx);
static void ngx_http_profiler_resume(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt   ngx_http_next_body_filter;
static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;

/* what samples have without being told, of a draining worker and of spans, too */
static ngx_str_t ngx_http_profiler_builtin_labels[]
    = {ngx_string("thread"),
       ngx_string("server"),
       ngx_string("location"),
       ngx_string("state"),
       ngx_string("span_id"),
       ngx_string("local_root_span_id"),
       ngx_string(NPROF_TRACE_ENDPOINT),
       ngx_null_string};


char *
ngx_http_profiler_label(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_profiler_loc_conf_t *plcf = conf;

    ngx_str_t                       *value;
    ngx_uint_t                       i;
    ngx_http_profiler_label_t       *label;
    ngx_http_compile_complex_value_t ccv;

    value = cf->args->elts;

    if (ngx_http_profiler_label_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (plcf->labels == NULL) {
        plcf->labels
            = ngx_array_create(cf->pool, 2, sizeof(ngx_http_profiler_label_t));
        if (plcf->labels == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    label = plcf->labels->elts;

    for (i = 0; i < plcf->labels->nelts; i++) {
        if (ngx_strcmp(label[i].name.data, value[1].data) == 0) {
            return "gives a label twice";
        }
    }

    label = ngx_array_push(plcf->labels);
    if (label == NULL) {
        return NGX_CONF_ERROR;
    }

    label->name = value[1];
    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &label->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* A name that every back end takes: letters, digits, "_", "." and "-". */
static ngx_int_t
ngx_http_profiler_label_name(ngx_conf_t *cf, ngx_str_t *name)
{
    size_t      i;
    u_char      c;
    ngx_str_t  *builtin;
    const char *reason;

    reason = NULL;

    if (name->len == 0 || name->len > NPROF_LABEL_NAME_MAX) {
        reason = "has to have 1 to 63 characters";
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
              || (i != 0
                  && ((c >= '0' && c <= '9') || c == '.' || c == '-')))) {
            reason
                = "has to have letters, digits, \"_\", \".\" and \"-\" only, "
                  "the first a letter or \"_\"";
        }
    }

    for (builtin = ngx_http_profiler_builtin_labels; builtin->len; builtin++) {
        if (ngx_strcmp(name->data, builtin->data) == 0) {
            reason = "is built in";
        }
    }

    if (reason) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "label name \"%V\" %s", name,
                           reason);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Configurations of a location are made while its own directive is read: its
 * arguments are the location as it is written, with its modifier.
 */
ngx_int_t
ngx_http_profiler_label_location(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char    *p;
    ngx_str_t *value;

    if (cf->args == NULL || cf->args->nelts < 2) {
        return NGX_OK;
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "location") != 0) {
        return NGX_OK;
    }

    if (cf->args->nelts == 2) {
        *name = value[1];
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, value[1].len + 1 + value[2].len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;
    p = ngx_sprintf(p, "%V %V", &value[1], &value[2]);
    name->len = p - name->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_profiler_label_init(ngx_conf_t *cf)
{
    ngx_uint_t                 i;
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;

    static const struct {
        ngx_http_phases     phase;
        ngx_http_handler_pt handler;
    } handlers[] = {
        {NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_profiler_rewrite_handler},
        {NGX_HTTP_REWRITE_PHASE, ngx_http_profiler_rewrite_handler},
        {NGX_HTTP_PREACCESS_PHASE, ngx_http_profiler_preaccess_handler},
        {NGX_HTTP_PRECONTENT_PHASE, ngx_http_profiler_precontent_handler},
        {NGX_HTTP_LOG_PHASE, ngx_http_profiler_log_handler},
    };

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        h = ngx_array_push(&cmcf->phases[handlers[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = handlers[i].handler;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_profiler_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_profiler_body_filter;

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_profiler_request_body_filter;

    return NGX_OK;
}


/* Of both rewrite phases: the location may be none, and may change yet. */
static ngx_int_t
ngx_http_profiler_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_profiler_request_t *ctx;

    if (ngx_profiler_request_labels) {
        ctx = ngx_http_profiler_label_set(r,
                                          ngx_http_profiler_location_labels(r));

        if (ctx) {
            ctx->endpoint.len = 0;
        }
    }

    return NGX_DECLINED;
}


/* The location is known for good, and so are the values of variables. */
static ngx_int_t
ngx_http_profiler_preaccess_handler(ngx_http_request_t *r)
{
    uint32_t                      set;
    ngx_str_t                     value;
    ngx_uint_t                    i;
    ngx_http_profiler_label_t    *label;
    ngx_http_profiler_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

    if (ngx_profiler_request_labels == NULL
        || (conf->labels == NULL && ngx_profiler_traces == NULL)) {
        return NGX_DECLINED;
    }

    set = ngx_http_profiler_location_labels(r);
    /* first: values without end must not take its room */
    set = ngx_http_profiler_trace_endpoint(r, set);
    label = conf->labels ? conf->labels->elts : NULL;

    for (i = 0; label && i < conf->labels->nelts; i++) {
        if (ngx_http_complex_value(r, &label[i].value, &value) != NGX_OK) {
            break;
        }

        set = ngx_profiler_request_labels->with(
            set, (char *) label[i].name.data, label[i].name.len,
            (char *) value.data, value.len, label[i].value.lengths != NULL);
    }

    (void) ngx_http_profiler_label_set(r, set);

    if (ngx_http_profiler_trace_pass(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* Phases between may have suspended the request. */
static ngx_int_t
ngx_http_profiler_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_profiler_resume(r);

    return NGX_DECLINED;
}


/*
 * Requests are counted as the access log has them, those aside that ask the
 * profiler: how often that is done is no matter of what is profiled.
 */
static ngx_int_t
ngx_http_profiler_log_handler(ngx_http_request_t *r)
{
    ngx_http_profiler_request_t  *ctx;
    ngx_http_profiler_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

    if (ngx_profiler_request_labels == NULL || conf->location || r != r->main) {
        return NGX_OK;
    }

    ctx = ngx_http_profiler_find_request(r);

    ngx_profiler_request_labels->request_count(
        ctx == NULL ? 0 : ngx_http_profiler_last_labels(ctx));

    return NGX_OK;
}


/*
 * What is answered may have been waited for (a thread pool, a timer), and now an
 * upstream's connection is known to be the request's. To the endpoint's path with
 * a slash nginx redirects itself, before any handler of ours.
 */
static ngx_int_t
ngx_http_profiler_header_filter(ngx_http_request_t *r)
{
    ngx_http_profiler_loc_conf_t *conf;

    ngx_http_profiler_resume(r);

    if (r->headers_out.status == NGX_HTTP_MOVED_PERMANENTLY) {
        conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

        if (conf->location && ngx_http_profiler_add_nosniff(r) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


/* What is sent may have been waited for, and filters work before it is sent. */
static ngx_int_t
ngx_http_profiler_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_profiler_resume(r);

    return ngx_http_next_body_filter(r, in);
}


/* What follows on a client's body, when it has been read, is the request's work:
   what was read may be of several, as a connection of HTTP/2 is. */
static ngx_int_t
ngx_http_profiler_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_profiler_resume(r);

    return ngx_http_next_request_body_filter(r, in);
}


/* The set of server and location, which all requests there have in common. */
static uint32_t
ngx_http_profiler_location_labels(ngx_http_request_t *r)
{
    uint32_t                      set;
    ngx_str_t                    *server;
    const struct nprof_labels    *labels;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_profiler_loc_conf_t *conf;

    static ngx_str_t unnamed = ngx_string("_");

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

    if (conf->label_set == 0) {
        labels = ngx_profiler_request_labels;
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        server = cscf->server_name.len ? &cscf->server_name : &unnamed;

        set = labels->with(0, "server", 6, (char *) server->data, server->len,
                           0);
        conf->label_set = labels->with(
            set, "location", 8, (char *) conf->name.data, conf->name.len, 0);
    }

    return conf->label_set;
}


/* The request has that label set from now on, and is worked for. */
static ngx_http_profiler_request_t *
ngx_http_profiler_label_set(ngx_http_request_t *r, uint32_t set)
{
    ngx_http_profiler_request_t *ctx;

    ctx = ngx_http_profiler_label_request(r);

    if (ctx) {
        ctx->label_set = set;
        ctx->served = 0;
        ngx_http_profiler_enter(r, ctx);
    }

    return ctx;
}


ngx_http_profiler_request_t *
ngx_http_profiler_label_request(ngx_http_request_t *r)
{
    ngx_http_profiler_request_t *ctx;

    ctx = ngx_http_profiler_find_request(r);

    if (ctx == NULL) {
        ctx = ngx_http_profiler_begin_request(r);
    }

    if (ctx) {
        ngx_http_profiler_trace_begin(r, ctx);
    }

    return ctx;
}


uint32_t
ngx_http_profiler_last_labels(ngx_http_profiler_request_t *ctx)
{
    return ctx->served ? ctx->served : ctx->label_set;
}


void
ngx_http_profiler_label_serve(ngx_http_request_t *r, uint32_t set)
{
    ngx_http_profiler_request_t *ctx;

    ctx = ngx_http_profiler_find_request(r);

    if (ctx) {
        ctx->served = set;
    }
}


/* An internal redirect clears the contexts of a request. */
ngx_http_profiler_request_t *
ngx_http_profiler_find_request(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_profiler_request_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_profiler_module);

    if (ctx || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler != ngx_http_profiler_end_request) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_profiler_module);
            return ctx;
        }
    }

    return NULL;
}


/* A request without memory goes on without labels: it fails soon enough. */
static ngx_http_profiler_request_t *
ngx_http_profiler_begin_request(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_profiler_request_t *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_profiler_request_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_profiler_request_t));

    ctx->request = r;
    ctx->label_set = ngx_http_profiler_location_labels(r);
    ctx->number = ngx_profiler_request_labels->request_begin();

    cln->handler = ngx_http_profiler_end_request;
    ngx_http_set_ctx(r, ctx, ngx_http_profiler_module);

    return ctx;
}


/* The pool goes, after the request was logged. */
static void
ngx_http_profiler_end_request(void *data)
{
    ngx_http_profiler_request_t *ctx = data;

    if (ngx_profiler_request_labels) {
        ngx_profiler_request_labels->request_end(ctx->number);
    }
}


/* The event loop works for the request. */
static void
ngx_http_profiler_enter(ngx_http_request_t *r, ngx_http_profiler_request_t *ctx)
{
    struct nprof_request_sockets sockets;

    sockets.client_fd = r->connection->fd;
    sockets.shared = r->stream != NULL;
    sockets.upstream_fd = -1;

    if (r->upstream && r->upstream->peer.connection) {
        sockets.upstream_fd = r->upstream->peer.connection->fd;
    }

    ngx_profiler_request_labels->request_enter(ctx->number, ctx->label_set,
                                               &sockets);
}


/* It does so again, if the request has labels. */
static void
ngx_http_profiler_resume(ngx_http_request_t *r)
{
    ngx_http_profiler_request_t *ctx;

    if (ngx_profiler_request_labels) {
        ctx = ngx_http_profiler_find_request(r);

        if (ctx) {
            ngx_http_profiler_enter(r, ctx);
        }
    }
}
