
/*
 * Spans of requests: one for each request that a client makes, none for
 * subrequests, whose work is that of the request that they are made for.
 *
 * A span begins in the first phase whose configuration has profiler_trace on,
 * or where a variable asks for its ids; it ends when the request is logged. It
 * is passed on by headers of the request that nginx's proxies send along, from
 * the preaccess phase on: before the access phase makes subrequests.
 */


#include "ngx_http_profiler.h"


static ngx_int_t  ngx_http_profiler_log_handler(ngx_http_request_t *r);
static ngx_int_t  ngx_http_profiler_id_variable(ngx_http_request_t        *r,
                                                ngx_http_variable_value_t *v,
                                                uintptr_t                  data);
static ngx_uint_t ngx_http_profiler_status_code(ngx_http_request_t *r);
static void       ngx_http_profiler_span_texts(ngx_http_request_t    *r,
                                               struct nprof_span_end *end);


enum {
    NGX_HTTP_PROFILER_TRACE_ID = 0,
    NGX_HTTP_PROFILER_SPAN_ID
};


static ngx_http_variable_t ngx_http_profiler_variables[] = {

    {ngx_string("profiler_trace_id"), NULL, ngx_http_profiler_id_variable,
     NGX_HTTP_PROFILER_TRACE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("profiler_span_id"), NULL, ngx_http_profiler_id_variable,
     NGX_HTTP_PROFILER_SPAN_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},

    ngx_http_null_variable};


char *
ngx_http_profiler_trace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_profiler_loc_conf_t *plcf = conf;

    char                *rv;
    ngx_profiler_conf_t *pcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && plcf->trace) {
        pcf = (ngx_profiler_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                   ngx_profiler_module);
        pcf->trace = 1;
    }

    return rv;
}


ngx_int_t
ngx_http_profiler_trace_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t *var, *v;

    for (v = ngx_http_profiler_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_profiler_trace_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_profiler_log_handler;

    return NGX_OK;
}


/*
 * Milliseconds are what nginx knows of a request's start. One that began in
 * this turn of the loop began now, as good as.
 */
static int64_t
ngx_http_profiler_start_ns(ngx_http_request_t *r)
{
    ngx_time_t *tp;

    tp = ngx_timeofday();

    if (r->start_sec == tp->sec && r->start_msec == tp->msec) {
        return 0;
    }

    return ((int64_t) r->start_sec * 1000 + r->start_msec) * 1000000;
}


/*
 * Whether the client's request has a span that will be sent, as its location is
 * now: one that was passed on is somebody's parent, wherever the request ends.
 * ctx is its own.
 */
static ngx_uint_t
ngx_http_profiler_is_traced(ngx_http_request_t                *r,
                            const ngx_http_profiler_request_t *ctx)
{
    ngx_http_profiler_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

    return conf->trace || ctx->passed;
}


static void
ngx_http_profiler_span_make(ngx_http_request_t          *r,
                            ngx_http_profiler_request_t *ctx)
{
    struct nprof_text headers[NPROF_TRACE_HEADERS];

    ctx->span = ngx_palloc(r->pool, ngx_profiler_traces->span_size);
    if (ctx->span == NULL) {
        return;
    }

    ngx_http_profiler_read_headers(r, headers);
    ngx_profiler_traces->begin(ctx->span, headers,
                               ngx_http_profiler_start_ns(r));
}


void
ngx_http_profiler_trace_begin(ngx_http_request_t          *r,
                              ngx_http_profiler_request_t *ctx)
{
    uint64_t                     id;
    ngx_http_profiler_request_t *main;

    if (ngx_profiler_traces == NULL) {
        return;
    }

    id = 0;
    main = r == r->main ? ctx : ngx_http_profiler_find_request(r->main);

    if (main && ngx_http_profiler_is_traced(r->main, main)) {
        if (r == r->main && ctx->span == NULL) {
            ngx_http_profiler_span_make(r, ctx);
        }

        if (main->span) {
            id = ngx_profiler_traces->span_id(main->span);
        }
    }

    /* none where a location turns off what its server turned on */
    ngx_profiler_request_labels->request_span(ctx->number, id);
}


/* METHOD location, of which there are few, whatever clients send. */
static ngx_int_t
ngx_http_profiler_default_endpoint(ngx_http_request_t *r, ngx_str_t *endpoint)
{
    u_char                       *p;
    ngx_str_t                     method, location;
    ngx_http_profiler_loc_conf_t *conf;

    static ngx_str_t other = ngx_string("OTHER");

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);
    method = r->method == NGX_HTTP_UNKNOWN ? other : r->method_name;
    location = conf->name;

    /* what it is, not how it is matched; a regular expression is as it is */
    if (location.len > 2 && ngx_strncmp(location.data, "= ", 2) == 0) {
        location.data += 2;
        location.len -= 2;

    } else if (location.len > 3 && ngx_strncmp(location.data, "^~ ", 3) == 0) {
        location.data += 3;
        location.len -= 3;
    }

    p = ngx_pnalloc(r->pool, method.len + 1 + location.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    endpoint->data = p;
    p = ngx_cpymem(p, method.data, method.len);

    if (location.len) {
        *p++ = ' ';
        p = ngx_cpymem(p, location.data, location.len);
    }

    endpoint->len = p - endpoint->data;

    return NGX_OK;
}


uint32_t
ngx_http_profiler_trace_endpoint(ngx_http_request_t *r, uint32_t set)
{
    ngx_str_t                     endpoint;
    ngx_http_profiler_request_t  *ctx;
    ngx_http_profiler_loc_conf_t *conf;

    ctx = ngx_profiler_traces ? ngx_http_profiler_find_request(r->main) : NULL;

    /* without an id no tracer could start */
    if (ctx == NULL || ctx->span == NULL
        || ngx_profiler_traces->span_id(ctx->span) == 0
        || !ngx_http_profiler_is_traced(r->main, ctx)) {
        return set;
    }

    if (r == r->main) {
        conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);
        endpoint.len = 0;

        if (conf->trace_resource
            && ngx_http_complex_value(r, conf->trace_resource, &endpoint)
                   != NGX_OK) {
            return set;
        }

        if (endpoint.len == 0
            && ngx_http_profiler_default_endpoint(r, &endpoint) != NGX_OK) {
            return set;
        }

        ctx->endpoint = endpoint;
        ctx->endpoint_of_request
            = conf->trace_resource && conf->trace_resource->lengths != NULL;
    }

    return ngx_profiler_request_labels->with(
        set, NPROF_TRACE_ENDPOINT, sizeof(NPROF_TRACE_ENDPOINT) - 1,
        (char *) ctx->endpoint.data, ctx->endpoint.len,
        ctx->endpoint_of_request);
}


ngx_int_t
ngx_http_profiler_trace_pass(ngx_http_request_t *r)
{
    char                          buffer[NPROF_TRACE_HEADERS_SIZE];
    struct nprof_text             values[NPROF_TRACE_HEADERS];
    ngx_http_profiler_request_t  *ctx;
    ngx_http_profiler_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);

    if (ngx_profiler_traces == NULL || !conf->trace || r != r->main) {
        return NGX_OK;
    }

    ctx = ngx_http_profiler_find_request(r);

    if (ctx == NULL || ctx->span == NULL || ctx->passed) {
        return NGX_OK;
    }

    ctx->passed = 1;

    /* without a span, as where no tracer could start, the client's go on */
    if (ngx_profiler_traces->span_id(ctx->span) == 0) {
        return NGX_OK;
    }

    ngx_profiler_traces->inject(ctx->span, ctx->label_set, buffer, values);

    return ngx_http_profiler_write_headers(r, values);
}


/*
 * All requests that the access log has come here, those that never got to a
 * phase, too: what nginx could not read, and clients that went away.
 */
static ngx_int_t
ngx_http_profiler_log_handler(ngx_http_request_t *r)
{
    uint32_t                      labels;
    struct nprof_span_end         end;
    ngx_http_profiler_request_t  *ctx;
    ngx_http_profiler_loc_conf_t *conf;

    if (ngx_profiler_traces == NULL || r != r->main) {
        return NGX_OK;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);
    ctx = ngx_http_profiler_find_request(r);

    if (conf->trace && (ctx == NULL || ctx->span == NULL)) {
        ctx = ngx_http_profiler_label_request(r);
    }

    if (ctx == NULL || ctx->span == NULL || ctx->ended
        || !ngx_http_profiler_is_traced(r, ctx)) {
        return NGX_OK;
    }

    labels = ngx_http_profiler_last_labels(ctx);

    if (ctx->endpoint.len == 0) {
        labels = ngx_http_profiler_trace_endpoint(r, labels);
    }

    ngx_memzero(&end, sizeof(struct nprof_span_end));
    end.labels = labels;
    end.status = ngx_http_profiler_status_code(r);
    ngx_http_profiler_span_texts(r, &end);
    ngx_profiler_traces->end(ctx->span, &end);

    /* whoever logs after us may ask for its ids yet */
    ctx->ended = 1;

    return NGX_OK;
}


/* As the access log has it. */
static ngx_uint_t
ngx_http_profiler_status_code(ngx_http_request_t *r)
{
    return r->err_status ? r->err_status : r->headers_out.status;
}


static struct nprof_text
ngx_http_profiler_text(ngx_str_t *value)
{
    struct nprof_text text;

    text.data = (char *) value->data;
    text.len = value->len;

    return text;
}


/* What its upstreams took, and which they were. */
static void
ngx_http_profiler_span_upstreams(ngx_http_request_t    *r,
                                 struct nprof_span_end *end)
{
    ngx_str_t                  name;
    ngx_uint_t                 i;
    ngx_http_variable_value_t *vv;
    ngx_http_upstream_state_t *state;

    end->upstream_ms = -1;

    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        return;
    }

    state = r->upstream_states->elts;
    end->upstream_ms = 0;

    for (i = 0; i < r->upstream_states->nelts; i++) {
        if (state[i].peer && state[i].response_time != (ngx_msec_t) -1) {
            end->upstream_ms += state[i].response_time;
        }
    }

    ngx_str_set(&name, "upstream_addr");
    vv = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));

    if (vv && !vv->not_found) {
        end->texts[NPROF_SPAN_UPSTREAM].data = (char *) vv->data;
        end->texts[NPROF_SPAN_UPSTREAM].len = vv->len;
    }
}


static void
ngx_http_profiler_span_texts(ngx_http_request_t *r, struct nprof_span_end *end)
{
    u_char                   *args;
    ngx_str_t                 path;
    ngx_http_core_srv_conf_t *cscf;

    end->texts[NPROF_SPAN_METHOD] = ngx_http_profiler_text(&r->method_name);

    if (r->headers_in.server.len) {
        end->texts[NPROF_SPAN_HOST]
            = ngx_http_profiler_text(&r->headers_in.server);
    } else {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        end->texts[NPROF_SPAN_HOST]
            = ngx_http_profiler_text(&cscf->server_name);
    }

    /* arguments are where secrets are */
    path = r->unparsed_uri;
    args = path.len ? ngx_strlchr(path.data, path.data + path.len, '?') : NULL;

    if (args) {
        path.len = args - path.data;
    }

    end->texts[NPROF_SPAN_PATH] = ngx_http_profiler_text(&path);

    if (r->headers_in.user_agent) {
        end->texts[NPROF_SPAN_USER_AGENT]
            = ngx_http_profiler_text(&r->headers_in.user_agent->value);
    }

#if (NGX_HTTP_SSL)
    end->tls = r->connection->ssl != NULL;
#endif

    ngx_http_profiler_span_upstreams(r, end);
}


static ngx_int_t
ngx_http_profiler_id_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                       *p;
    ngx_http_profiler_request_t  *ctx;
    ngx_http_profiler_loc_conf_t *conf;

    v->not_found = 1;

    if (ngx_profiler_traces == NULL) {
        return NGX_OK;
    }

    ctx = ngx_http_profiler_find_request(r->main);
    conf = ngx_http_get_module_loc_conf(r->main, ngx_http_profiler_module);

    if (conf->trace && (ctx == NULL || ctx->span == NULL)) {
        ctx = ngx_http_profiler_label_request(r->main);
    }

    if (ctx == NULL || ctx->span == NULL
        || !ngx_http_profiler_is_traced(r->main, ctx)
        || ngx_profiler_traces->span_id(ctx->span) == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 32 + 16);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_profiler_traces->print_ids(ctx->span, (char *) p, (char *) p + 32);

    v->data = data == NGX_HTTP_PROFILER_TRACE_ID ? p : p + 32;
    v->len = data == NGX_HTTP_PROFILER_TRACE_ID ? 32 : 16;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
