
/*
 * What the parts of the HTTP endpoint share.
 */


#ifndef NGX_HTTP_PROFILER_H
#define NGX_HTTP_PROFILER_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_profiler.h"
#include "profile_query.h"


typedef struct {
    /* what paths are relative to: the location that has profiler_endpoint */
    ngx_http_core_loc_conf_t *location;

    /* the location as the configuration has it; empty outside of any */
    ngx_str_t name;

    /* of profiler_label: ngx_http_profiler_label_t, NULL if there is none */
    ngx_array_t *labels;

    /* the label set of server and location; in a worker, 0 until it is needed */
    uint32_t label_set;

    ngx_flag_t trace;

    /* NULL: METHOD location */
    ngx_http_complex_value_t *trace_resource;
} ngx_http_profiler_loc_conf_t;


/* Of each request and subrequest, in the request's pool. */
typedef struct {
    ngx_http_request_t *request;

    /* libnprof's number of it, its label set, and that of the module which
       served it, 0 if that has said none */
    uint64_t number;
    uint32_t label_set;
    uint32_t served;

    /* of a client's request that is traced, else NULL */
    struct nprof_span *span;

    /* its resource, empty until its location is known; whether values that come
       with requests are in it */
    ngx_str_t endpoint;
    unsigned  endpoint_of_request : 1;

    /* its headers have the span; the span was sent */
    unsigned passed : 1;
    unsigned ended : 1;
} ngx_http_profiler_request_t;


extern ngx_module_t ngx_http_profiler_module;


/*
 * Labels of requests (ngx_http_profiler_label.c).
 */

char *ngx_http_profiler_label(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* the name of the location that create_loc_conf is called for; NGX_ERROR if
   there is no memory */
ngx_int_t ngx_http_profiler_label_location(ngx_conf_t *cf, ngx_str_t *name);

/* adds the phase handlers and filters: in postconfiguration */
ngx_int_t ngx_http_profiler_label_init(ngx_conf_t *cf);

/* what the request has, or NULL; whether labels are on or not */
ngx_http_profiler_request_t *
ngx_http_profiler_find_request(ngx_http_request_t *r);

/* the same, made if need be, traced if its configuration says so; NULL if memory
   lacks. While labels are on. */
ngx_http_profiler_request_t *
ngx_http_profiler_label_request(ngx_http_request_t *r);

/* those that it ends with */
uint32_t ngx_http_profiler_last_labels(ngx_http_profiler_request_t *ctx);

/* of the calls for other modules (ngx_profiler_label.h) */
void ngx_http_profiler_label_serve(ngx_http_request_t *r, uint32_t set);


/*
 * Spans of requests (ngx_http_profiler_trace.c). Those that take a request do
 * nothing where it is not traced.
 */

char *ngx_http_profiler_trace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_profiler_trace_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_profiler_trace_init(ngx_conf_t *cf);

/* begins its span, if its configuration traces it, and it has none; says which
   span its samples are of: whenever its location may have changed */
void ngx_http_profiler_trace_begin(ngx_http_request_t          *r,
                                   ngx_http_profiler_request_t *ctx);

/* the set with the label of its endpoint: once its location is known */
uint32_t ngx_http_profiler_trace_endpoint(ngx_http_request_t *r, uint32_t set);

/* puts the span into its headers; NGX_ERROR if memory lacks */
ngx_int_t ngx_http_profiler_trace_pass(ngx_http_request_t *r);


/*
 * Headers that carry a trace (ngx_http_profiler_context.c), by enum
 * nprof_trace_header.
 */

/* those that the request has; the text is the request's */
void ngx_http_profiler_read_headers(ngx_http_request_t *r,
                                    struct nprof_text  *values);

/* gives the request those, copied, and no others; NGX_ERROR if memory lacks */
ngx_int_t ngx_http_profiler_write_headers(ngx_http_request_t *r,
                                          struct nprof_text  *values);


/*
 * Replies (ngx_http_profiler_reply.c). Each sends a whole response, and
 * returns what a content handler returns.
 */

/* value is copied, but not its text; NULL if there is no memory */
ngx_table_elt_t *ngx_http_profiler_add_header(ngx_http_request_t *r,
                                              const char         *key,
                                              ngx_str_t          *value);

/* that of every reply; NGX_ERROR if there is no memory */
ngx_int_t ngx_http_profiler_add_nosniff(ngx_http_request_t *r);

/* body is copied; filename may be NULL: then there is no disposition */
ngx_int_t ngx_http_profiler_send(ngx_http_request_t *r, ngx_uint_t status,
                                 ngx_str_t *type, ngx_str_t *filename,
                                 const u_char *body, size_t len);

/* headers only, with no length unless it was set: what a HEAD request gets at
   once */
ngx_int_t ngx_http_profiler_send_header(ngx_http_request_t *r, ngx_str_t *type,
                                        ngx_str_t *filename);

/* text/plain, with the header that makes `go tool pprof` show the message */
ngx_int_t ngx_http_profiler_send_error(ngx_http_request_t *r, ngx_uint_t status,
                                       const char *message);


/*
 * Replies that a job of libnprof makes (ngx_http_profiler_job.c). They return
 * NGX_DONE, and the request is finalized when the job is done; a client that
 * goes away drops the job.
 */

ngx_int_t ngx_http_profiler_run(ngx_http_request_t *r, enum nprof_job_kind kind,
                                ngx_str_t *input, ngx_str_t *type,
                                ngx_str_t *filename);

/* that of a profile: of seconds from now on, unless the window says what of */
ngx_int_t ngx_http_profiler_run_window(ngx_http_request_t        *r,
                                       enum nprof_job_kind        kind,
                                       const struct nprof_window *window,
                                       ngx_uint_t seconds, ngx_str_t *type,
                                       ngx_str_t *filename);


/* profiles (ngx_http_profiler_profile.c) */
ngx_int_t ngx_http_profiler_cpu(ngx_http_request_t *r);
ngx_int_t ngx_http_profiler_wall(ngx_http_request_t *r);
ngx_int_t ngx_http_profiler_stall(ngx_http_request_t *r);

/* those of Go that a worker has nothing for: empty, since tools that scrape
   them take a 404 for an error */
ngx_int_t ngx_http_profiler_foreign(ngx_http_request_t *r);

/* what the request's query asks for; what is wrong with it, or NULL */
const char *ngx_http_profiler_query(ngx_http_request_t     *r,
                                    enum profile_query_form form,
                                    struct profile_query   *query);

/* one of what is not collected; options are of enum nprof_profile_option */
ngx_int_t ngx_http_profiler_empty(ngx_http_request_t *r,
                                  enum nprof_job_kind kind, ngx_uint_t options,
                                  ngx_str_t *filename);


/* the heap's profiles (ngx_http_profiler_heap.c) */
ngx_int_t ngx_http_profiler_heap(ngx_http_request_t *r);
ngx_int_t ngx_http_profiler_allocs(ngx_http_request_t *r);


/* content types */
extern ngx_str_t ngx_http_profiler_octets;
extern ngx_str_t ngx_http_profiler_plain;


/* what the profiler is doing (ngx_http_profiler_status.c) */
ngx_int_t ngx_http_profiler_status(ngx_http_request_t *r);

/* kept profiles (ngx_http_profiler_store.c) */
ngx_int_t ngx_http_profiler_store(ngx_http_request_t *r);

/* to the same with a slash */
ngx_int_t ngx_http_profiler_redirect(ngx_http_request_t *r);


/* the page (ngx_http_profiler_page.c); 404 where the build has none */
ngx_int_t ngx_http_profiler_ui(ngx_http_request_t *r);


/* POST of addresses (ngx_http_profiler_symbol.c) */
ngx_int_t ngx_http_profiler_symbol(ngx_http_request_t *r);


#endif /* NGX_HTTP_PROFILER_H */
