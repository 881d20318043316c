
/*
 * The headers of a request that carry a trace: those that its client sent are
 * read, and replaced by our own, which nginx's proxies send along.
 */


#include "ngx_http_profiler.h"


static void ngx_http_profiler_remove_header(ngx_list_t      *list,
                                            ngx_list_part_t *prev,
                                            ngx_list_part_t *part,
                                            ngx_list_part_t *rest,
                                            ngx_uint_t       i);


/* by enum nprof_trace_header */
static ngx_str_t ngx_http_profiler_headers[NPROF_TRACE_HEADERS] = {
    [NPROF_DATADOG_TRACE_ID] = ngx_string("x-datadog-trace-id"),
    [NPROF_DATADOG_PARENT_ID] = ngx_string("x-datadog-parent-id"),
    [NPROF_DATADOG_PRIORITY] = ngx_string("x-datadog-sampling-priority"),
    [NPROF_DATADOG_ORIGIN] = ngx_string("x-datadog-origin"),
    [NPROF_DATADOG_TAGS] = ngx_string("x-datadog-tags"),
    [NPROF_TRACEPARENT] = ngx_string("traceparent"),
    [NPROF_TRACESTATE] = ngx_string("tracestate"),
};


static ngx_uint_t
ngx_http_profiler_is_header(ngx_table_elt_t *h, ngx_str_t *name)
{
    return h->key.len == name->len
           && ngx_strncasecmp(h->key.data, name->data, name->len) == 0;
}


/*
 * A list may be in more than one header. What is longer than we pass on is not
 * joined; joined is the text's memory, NULL before the first time.
 */
static void
ngx_http_profiler_join(ngx_http_request_t *r, struct nprof_text *list,
                       u_char **joined, ngx_str_t *more)
{
    if (list->len + 1 + more->len > NPROF_TRACE_HEADERS_SIZE) {
        return;
    }

    if (*joined == NULL) {
        *joined = ngx_pnalloc(r->pool, NPROF_TRACE_HEADERS_SIZE);
        if (*joined == NULL) {
            return;
        }

        ngx_memcpy(*joined, list->data, list->len);
        list->data = (char *) *joined;
    }

    (*joined)[list->len++] = ',';
    ngx_memcpy(*joined + list->len, more->data, more->len);
    list->len += more->len;
}


void
ngx_http_profiler_read_headers(ngx_http_request_t *r, struct nprof_text *values)
{
    u_char          *joined;
    ngx_uint_t       i, k;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    ngx_memzero(values, NPROF_TRACE_HEADERS * sizeof(struct nprof_text));
    joined = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            for (k = 0; k < NPROF_TRACE_HEADERS; k++) {
                if (ngx_http_profiler_is_header(
                        &h[i], &ngx_http_profiler_headers[k])) {
                    break;
                }
            }

            if (k == NPROF_TRACE_HEADERS) {
                continue;
            }

            if (values[k].data == NULL) {
                values[k].data = (char *) h[i].value.data;
                values[k].len = h[i].value.len;

            } else if (k == NPROF_TRACESTATE) {
                ngx_http_profiler_join(r, &values[k], &joined, &h[i].value);
            }
        }
    }
}


/*
 * Leaves the first header of that name, and none if there is to be none;
 * NGX_ERROR if memory lacks.
 */
static ngx_int_t
ngx_http_profiler_keep_header(ngx_http_request_t *r, ngx_str_t *name,
                              ngx_uint_t wanted, ngx_table_elt_t **kept)
{
    ngx_uint_t       i;
    ngx_list_t      *list;
    ngx_list_part_t *part, *prev, *rest;
    ngx_table_elt_t *h;

    *kept = NULL;
    list = &r->headers_in.headers;
    prev = NULL;
    part = &list->part;
    i = 0;

    while (part) {
        h = part->elts;

        if (i >= part->nelts) {
            prev = part;
            part = part->next;
            i = 0;
            continue;
        }

        if (!ngx_http_profiler_is_header(&h[i], name)) {
            i++;
            continue;
        }

        if (wanted && *kept == NULL) {
            *kept = &h[i++];
            continue;
        }

        rest = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
        if (rest == NULL) {
            return NGX_ERROR;
        }

        ngx_http_profiler_remove_header(list, prev, part, rest, i);

        if (prev && prev->next != part) {
            part = prev->next;
            i = 0;
        }
    }

    return NGX_OK;
}


/*
 * Takes an element out of a list without moving any other, since there are
 * pointers to them. No part may become empty but the first one, as who walks
 * through the list does not expect it. rest is memory for a part more.
 */
static void
ngx_http_profiler_remove_header(ngx_list_t *list, ngx_list_part_t *prev,
                                ngx_list_part_t *part, ngx_list_part_t *rest,
                                ngx_uint_t i)
{
    ngx_uint_t       left;
    ngx_table_elt_t *h;

    h = part->elts;
    left = part->nelts - i - 1;

    if (left == 0) {
        part->nelts--;

        if (part->nelts == 0 && prev) {
            prev->next = part->next;

            if (list->last == part) {
                list->last = prev;
                list->nalloc = ngx_max(prev->nelts, 1);
            }
        }

        return;
    }

    if (i == 0) {
        rest = part;
        rest->elts = &h[1];
        rest->nelts = left;

    } else {
        rest->elts = &h[i + 1];
        rest->nelts = left;
        rest->next = part->next;
        part->next = rest;
        part->nelts = i;
    }

    if (list->last == part) {
        /* it is full: what is pushed gets a part of its own */
        list->last = rest;
        list->nalloc = left;
    }
}


ngx_int_t
ngx_http_profiler_write_headers(ngx_http_request_t *r,
                                struct nprof_text  *values)
{
    u_char          *p;
    ngx_uint_t       k;
    ngx_str_t       *name;
    ngx_table_elt_t *h;

    for (k = 0; k < NPROF_TRACE_HEADERS; k++) {
        name = &ngx_http_profiler_headers[k];

        if (ngx_http_profiler_keep_header(r, name, values[k].data != NULL, &h)
            != NGX_OK) {
            return NGX_ERROR;
        }

        if (values[k].data == NULL) {
            continue;
        }

        p = ngx_pnalloc(r->pool, values[k].len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (h == NULL) {
            h = ngx_list_push(&r->headers_in.headers);
            if (h == NULL) {
                return NGX_ERROR;
            }

            ngx_memzero(h, sizeof(ngx_table_elt_t));
            h->hash = ngx_hash_key(name->data, name->len);
            h->key = *name;
            h->lowcase_key = name->data;
        }

        h->value.data = p;
        h->value.len = values[k].len;
        p = ngx_cpymem(p, values[k].data, values[k].len);
        *p = '\0';
    }

    return NGX_OK;
}
