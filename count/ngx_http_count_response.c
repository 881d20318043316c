/*
 * Answers in JSON. Runs on the event loop.
 */

#include "ngx_http_count.h"


static ngx_str_t ngx_http_count_type = ngx_string("application/json");


/* Sends what is in b as the whole answer. */
static ngx_int_t
ngx_http_count_send(ngx_http_request_t *r, ngx_uint_t status, ngx_buf_t *b)
{
    ngx_int_t   rc;
    ngx_chain_t out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    r->headers_out.content_type = ngx_http_count_type;
    r->headers_out.content_type_len = ngx_http_count_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_count_send_text(ngx_http_request_t *r, ngx_uint_t status,
                         const char *error, int64_t position)
{
    size_t     size;
    ngx_buf_t *b;

    size = sizeof("{\"error\":\"\",\"position\":}\n") + NGX_INT64_LEN
           + ngx_strlen(error);

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->last, "{\"error\":\"%s\"", error);

    if (position >= 0) {
        b->last = ngx_sprintf(b->last, ",\"position\":%L", position);
    }

    b->last = ngx_cpymem(b->last, "}\n", 2);

    return ngx_http_count_send(r, status, b);
}


ngx_int_t
ngx_http_count_send_error(ngx_http_request_t *r, ngx_uint_t status,
                          const char *error)
{
    return ngx_http_count_send_text(r, status, error, -1);
}


/* An input that is not the client's is the administrator's to repair. */
static void
ngx_http_count_log_job(ngx_http_count_job_t *job)
{
    ngx_log_t *log;

    log = job->request->connection->log;

    if (job->input == NULL) {
        if (job->status == NGX_HTTP_INTERNAL_SERVER_ERROR) {
            ngx_log_error(NGX_LOG_ERR, log, job->err, "count: %s%s%s",
                          job->error, job->failed_call ? ": " : "",
                          job->failed_call ? job->failed_call : "");
        }
        return;
    }

    if (job->failed_call != NULL
        && job->status == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, job->err, "count: %s \"%V\"%s",
                      job->failed_call, ngx_http_count_input_name(job->input),
                      job->err ? " failed" : "");
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0, "count: input \"%V\": %s",
                  ngx_http_count_input_name(job->input), job->error);
}


ngx_int_t
ngx_http_count_send_job(ngx_http_count_job_t *job)
{
    size_t              size;
    ngx_buf_t          *b;
    number_summary_t   *summary;
    ngx_http_request_t *r;

    r = job->request;

    if (job->status != NGX_HTTP_OK) {
        ngx_http_count_log_job(job);
        return ngx_http_count_send_text(r, job->status, job->error,
                                        job->position);
    }

    summary = &job->summary;

    size = job->plugin->head.len
           + sizeof(",\"distinct\":,\"min\":,\"max\":,\"median\":,"
                    "\"sort_ns\":}\n")
           + 6 * NGX_INT64_LEN;

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->last,
                          "%V%uz,\"distinct\":%uz,\"min\":%L,\"max\":%L,"
                          "\"median\":%L,\"sort_ns\":%uL}\n",
                          &job->plugin->head, summary->count, summary->distinct,
                          summary->min, summary->max, summary->median,
                          job->sort_ns);

    return ngx_http_count_send(r, NGX_HTTP_OK, b);
}
