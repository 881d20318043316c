/*
 * What happens to a request: its method and media type are checked, its body
 * is read or discarded, the plug-in is chosen, the job is run here or by a
 * thread pool, and the answer is sent. Runs on the event loop.
 */

#include "ngx_http_count.h"


static ngx_str_t ngx_http_count_text = ngx_string("text/plain");
static ngx_str_t ngx_http_count_json = ngx_string("application/json");


/* An error before the body was read: nginx has to get rid of that first. */
static ngx_int_t
ngx_http_count_refuse(ngx_http_request_t *r, ngx_uint_t status,
                      const char *error)
{
    ngx_int_t rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_count_send_error(r, status, error);
}


static ngx_int_t
ngx_http_count_refuse_method(ngx_http_request_t *r)
{
    ngx_table_elt_t *allow;

    allow = ngx_list_push(&r->headers_out.headers);
    if (allow == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    allow->hash = 1;
    ngx_str_set(&allow->key, "Allow");
    ngx_str_set(&allow->value, "GET, HEAD, POST");

    return ngx_http_count_refuse(r, NGX_HTTP_NOT_ALLOWED, "method not allowed");
}


/* Whether a Content-Type is of that media type, whatever its parameters. */
static ngx_uint_t
ngx_http_count_is_type(ngx_str_t *value, ngx_str_t *type)
{
    u_char *p, *last;

    if (value->len < type->len
        || ngx_strncasecmp(value->data, type->data, type->len) != 0) {
        return 0;
    }

    p = value->data + type->len;
    last = value->data + value->len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p == last || *p == ';';
}


/* NGX_OK, or NGX_DECLINED for a body that is neither text nor JSON. What has
   no type is text, as sent by a plain socket. */
static ngx_int_t
ngx_http_count_syntax(ngx_http_request_t *r, number_syntax_t *syntax)
{
    ngx_table_elt_t *type;

    type = r->headers_in.content_type;
    *syntax = NUMBER_TEXT;

    if (type == NULL
        || ngx_http_count_is_type(&type->value, &ngx_http_count_text)) {
        return NGX_OK;
    }

    *syntax = NUMBER_JSON;

    return ngx_http_count_is_type(&type->value, &ngx_http_count_json)
               ? NGX_OK
               : NGX_DECLINED;
}


static ngx_http_count_plugin_t *
ngx_http_count_choose(ngx_http_request_t *r, ngx_http_count_loc_conf_t *clcf)
{
    ngx_str_t                name;
    ngx_http_count_plugin_t *plugin;

    if (clcf->plugin != NULL) {
        return clcf->plugin;
    }

    if (ngx_http_complex_value(r, clcf->sort, &name) != NGX_OK) {
        return NULL;
    }

    plugin = ngx_http_count_find_plugin(
        ngx_http_get_module_main_conf(r, ngx_http_count_module), &name);

    if (plugin == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "count: no plug-in has the name \"%V\" that "
                      "\"count_sort\" has in %V:%ui",
                      &name, &clcf->sort_place.file, clcf->sort_place.line);
    }

    return plugin;
}


static ngx_http_count_job_t *
ngx_http_count_create_job(ngx_http_request_t *r, number_syntax_t syntax,
                          ngx_http_count_loc_conf_t *clcf)
{
    ngx_http_count_job_t *job;

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_count_job_t));
    if (job == NULL) {
        return NULL;
    }

    job->request = r;
    job->position = -1;
    number_parser_init(&job->parser, syntax, clcf->max_values);

    return job;
}


/* The write event handler of a request whose job a thread pool has. */
static void
ngx_http_count_done(ngx_http_request_t *r)
{
    if (r->aio) {
        /* the connection can be written to, but there is no answer yet */
        return;
    }

    ngx_http_finalize_request(
        r, ngx_http_count_send_job(
               ngx_http_get_module_ctx(r, ngx_http_count_module)));
}


/* The labels of the request that is worked for now, and which plug-in sorts. */
static ngx_profiler_labels_t
ngx_http_count_job_labels(ngx_http_count_job_t *job)
{
    ngx_str_t             value;
    ngx_profiler_labels_t labels;
    const sort_plugin_t  *plugin;

    static ngx_str_t algorithm = ngx_string("algorithm");
    static ngx_str_t version = ngx_string("version");

    plugin = job->plugin->library.plugin;
    labels = ngx_profiler_label_current(ngx_http_count_labels);

    value.data = (u_char *) plugin->name;
    value.len = ngx_strlen(plugin->name);
    labels = ngx_profiler_label_with(ngx_http_count_labels, labels, &algorithm,
                                     &value);

    value.data = (u_char *) plugin->version;
    value.len = ngx_strlen(plugin->version);

    return ngx_profiler_label_with(ngx_http_count_labels, labels, &version,
                                   &value);
}


/* Returns as ngx_http_output_filter() does, or NGX_DONE if a thread pool has
   the job and ngx_http_count_done() will answer. */
static ngx_int_t
ngx_http_count_start(ngx_http_count_job_t *job, ngx_http_count_loc_conf_t *clcf)
{
    ngx_http_request_t *r;

    r = job->request;
    job->labels = ngx_http_count_job_labels(job);
    ngx_profiler_label_serve(ngx_http_count_labels, r, job->labels);

    if (clcf->thread_pool == NULL) {
        ngx_http_count_run(job);
        return ngx_http_count_send_job(job);
    }

    ngx_http_set_ctx(r, job, ngx_http_count_module);

    if (ngx_http_count_post(job, clcf->thread_pool, ngx_http_count_done)
        != NGX_OK) {
        /* nginx has logged why */
        return ngx_http_count_send_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         "too many requests are waiting");
    }

    if (r == r->main && !r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_count_get(ngx_http_request_t *r, ngx_http_count_loc_conf_t *clcf)
{
    ngx_int_t             rc;
    ngx_http_count_job_t *job;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (clcf->input == NULL) {
        return ngx_http_count_send_error(r, NGX_HTTP_NOT_FOUND,
                                         "nothing to sort here: POST numbers");
    }

    job = ngx_http_count_create_job(r, NUMBER_DETECT, clcf);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job->input = clcf->input;
    job->plugin = ngx_http_count_choose(r, clcf);
    if (job->plugin == NULL) {
        return ngx_http_count_send_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                         "no such plug-in");
    }

    rc = ngx_http_count_start(job, clcf);
    if (rc == NGX_DONE) {
        r->main->count++;
    }

    return rc;
}


static void
ngx_http_count_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_count_job_t      *job;
    ngx_http_count_loc_conf_t *clcf;

    job = ngx_http_get_module_ctx(r, ngx_http_count_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_count_module);

    if (r->request_body != NULL) {
        job->body = r->request_body->bufs;
    }

    rc = ngx_http_count_start(job, clcf);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_count_post_body(ngx_http_request_t *r, ngx_http_count_loc_conf_t *clcf)
{
    ngx_int_t                rc;
    number_syntax_t          syntax;
    ngx_http_count_job_t    *job;
    ngx_http_count_plugin_t *plugin;

    if (r->request_body_no_buffering) {
        /* an error_page of "proxy_request_buffering off" comes too late */
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "count: the body was sent to an upstream unbuffered, "
                      "there is nothing to sort");
        return ngx_http_count_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                     "the body was not kept");
    }

    if (ngx_http_count_syntax(r, &syntax) != NGX_OK) {
        return ngx_http_count_refuse(
            r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
            "Content-Type is neither text/plain nor application/json");
    }

    plugin = ngx_http_count_choose(r, clcf);
    if (plugin == NULL) {
        return ngx_http_count_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                     "no such plug-in");
    }

    job = ngx_http_count_create_job(r, syntax, clcf);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job->plugin = plugin;
    job->body_length = r->headers_in.content_length_n;

    ngx_http_set_ctx(r, job, ngx_http_count_module);

    rc = ngx_http_read_client_request_body(r, ngx_http_count_body_handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


ngx_int_t
ngx_http_count_handler(ngx_http_request_t *r)
{
    ngx_http_count_loc_conf_t *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_count_module);

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_count_post_body(r, clcf);
    }

    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) {
        return ngx_http_count_get(r, clcf);
    }

    return ngx_http_count_refuse_method(r);
}
