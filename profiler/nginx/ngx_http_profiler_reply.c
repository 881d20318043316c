
/*
 * The replies of the endpoint: headers as clients of Go's net/http/pprof
 * expect them.
 */


#include "ngx_http_profiler.h"


ngx_table_elt_t *
ngx_http_profiler_add_header(ngx_http_request_t *r, const char *key,
                             ngx_str_t *value)
{
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);
    h->value = *value;

    return h;
}


ngx_int_t
ngx_http_profiler_add_nosniff(ngx_http_request_t *r)
{
    static ngx_str_t nosniff = ngx_string("nosniff");

    return ngx_http_profiler_add_header(r, "X-Content-Type-Options", &nosniff)
               ? NGX_OK
               : NGX_ERROR;
}


static ngx_int_t
ngx_http_profiler_headers(ngx_http_request_t *r, ngx_uint_t status,
                          ngx_str_t *type, ngx_str_t *filename)
{
    u_char   *p;
    ngx_str_t value;

    r->headers_out.status = status;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

#if (NGX_HTTP_GZIP)
    /* a profile is compressed already: as if the client took no gzip */
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    if (ngx_http_profiler_add_nosniff(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (filename == NULL) {
        return NGX_OK;
    }

    value.len = sizeof("attachment; filename=\"\"") - 1 + filename->len;

    p = ngx_pnalloc(r->pool, value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    ngx_sprintf(p, "attachment; filename=\"%V\"", filename);

    return ngx_http_profiler_add_header(r, "Content-Disposition", &value)
               ? NGX_OK
               : NGX_ERROR;
}


ngx_int_t
ngx_http_profiler_send_header(ngx_http_request_t *r, ngx_str_t *type,
                              ngx_str_t *filename)
{
    if (ngx_http_profiler_headers(r, NGX_HTTP_OK, type, filename) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_http_profiler_send(ngx_http_request_t *r, ngx_uint_t status,
                       ngx_str_t *type, ngx_str_t *filename, const u_char *body,
                       size_t len)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;
    ngx_chain_t out;

    if (ngx_http_profiler_headers(r, status, type, filename) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, len ? len : 1);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_cpymem(b->last, body, len);
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->memory = len != 0;
    b->temporary = 0;

    r->headers_out.content_length_n = len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_profiler_send_error(ngx_http_request_t *r, ngx_uint_t status,
                             const char *message)
{
    u_char *text;
    size_t  len;

    static ngx_str_t one = ngx_string("1");

    len = ngx_strlen(message);

    text = ngx_pnalloc(r->pool, len + 1);
    if (text == NULL
        || ngx_http_profiler_add_header(r, "X-Go-Pprof", &one) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(text, message, len);
    text[len] = '\n';

    return ngx_http_profiler_send(r, status, &ngx_http_profiler_plain, NULL,
                                  text, len + 1);
}
