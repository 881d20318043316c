
/*
 * The page of the endpoint: one HTML file, which the build puts into this
 * object, as it is and gzipped. A build without Node.js has none.
 *
 * The page shows what is in profiles, which is anybody's text in the end. Its
 * Content-Security-Policy names its one script and its one style sheet by their
 * hashes: nothing else runs or loads, and it talks to this server alone.
 */


#include "ngx_http_profiler.h"
#include "nprof_page.h"


#if (NGX_HTTP_PROFILER_PAGE)

/* bytes NAME[] up to NAME_end, of a file */
#define NGX_HTTP_PROFILER_EMBED(name, file)                           \
    __asm__(".pushsection .rodata\n"                                  \
            ".global " #name ", " #name "_end\n"                      \
            ".hidden " #name ", " #name "_end\n" #name ":\n"          \
            ".incbin \"" file "\"\n" #name "_end:\n"                  \
            ".popsection\n");                                         \
    extern const u_char name[] __attribute__((visibility("hidden"))); \
    extern const u_char name##_end[] __attribute__((visibility("hidden")))

NGX_HTTP_PROFILER_EMBED(ngx_http_profiler_page_html,
                        NGX_HTTP_PROFILER_PAGE_HTML);

#if (NGX_HTTP_GZIP)
NGX_HTTP_PROFILER_EMBED(ngx_http_profiler_page_gzip,
                        NGX_HTTP_PROFILER_PAGE_GZIP);
#endif


typedef struct {
    const char *key;
    ngx_str_t   value;
} ngx_http_profiler_page_header_t;


static ngx_int_t  ngx_http_profiler_page_headers(ngx_http_request_t *r,
                                                 ngx_uint_t          gzip);
static ngx_uint_t ngx_http_profiler_page_gzip_ok(ngx_http_request_t *r);


static ngx_http_profiler_page_header_t ngx_http_profiler_page_header[] = {
    {"Content-Security-Policy", ngx_string(NGX_HTTP_PROFILER_PAGE_POLICY)},
    {"X-Content-Type-Options", ngx_string("nosniff")},
    {"Referrer-Policy", ngx_string("no-referrer")},
    {"Cross-Origin-Opener-Policy", ngx_string("same-origin")},
    {"Cache-Control", ngx_string("no-cache")},
    {"Vary", ngx_string("Accept-Encoding")},
    {NULL, ngx_null_string},
};


ngx_int_t
ngx_http_profiler_ui(ngx_http_request_t *r)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;
    ngx_uint_t    gzip;
    const u_char *data, *end;

    data = ngx_http_profiler_page_html;
    end = ngx_http_profiler_page_html_end;
    gzip = ngx_http_profiler_page_gzip_ok(r);

#if (NGX_HTTP_GZIP)
    if (gzip) {
        data = ngx_http_profiler_page_gzip;
        end = ngx_http_profiler_page_gzip_end;
    }
#endif

    if (ngx_http_profiler_page_headers(r, gzip) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the module's own memory, which outlives all requests of the cycle */
    b->pos = (u_char *) data;
    b->last = (u_char *) end;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.content_length_n = end - data;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_profiler_page_headers(ngx_http_request_t *r, ngx_uint_t gzip)
{
    ngx_table_elt_t                **known[2], *h;
    ngx_uint_t                       i;
    ngx_http_profiler_page_header_t *header;

    static ngx_str_t encoding = ngx_string("gzip");
    static ngx_str_t etags[]
        = {ngx_string("\"" NGX_HTTP_PROFILER_PAGE_ETAG "\""),
           ngx_string("\"" NGX_HTTP_PROFILER_PAGE_ETAG "-gzip\"")};

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/html; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    for (header = ngx_http_profiler_page_header; header->key; header++) {
        if (ngx_http_profiler_add_header(r, header->key, &header->value)
            == NULL) {
            return NGX_ERROR;
        }
    }

    /* those that nginx's filters go by */
    known[0] = &r->headers_out.etag;
    known[1] = &r->headers_out.content_encoding;

    for (i = 0; i < (gzip ? 2 : 1); i++) {
        h = ngx_http_profiler_add_header(r, i ? "Content-Encoding" : "ETag",
                                         i ? &encoding : &etags[gzip]);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *known[i] = h;
    }

    return NGX_OK;
}


/* Whether the client takes gzip; nginx compresses no other time. */
static ngx_uint_t
ngx_http_profiler_page_gzip_ok(ngx_http_request_t *r)
{
#if (NGX_HTTP_GZIP)
    return ngx_http_gzip_ok(r) == NGX_OK;
#else
    return 0;
#endif
}


#else /* !NGX_HTTP_PROFILER_PAGE */


ngx_int_t
ngx_http_profiler_ui(ngx_http_request_t *r)
{
    return ngx_http_profiler_send_error(
        r, NGX_HTTP_NOT_FOUND,
        "no page: this was built without it, which takes `make web`");
}


#endif
