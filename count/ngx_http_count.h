/*
 * What the files of the count module share: its configuration and the job,
 * which is one request's sort.
 *
 * A job belongs to its request, and is on one thread at a time: the event
 * loop's, or, between ngx_http_count_post() and the completion of that task, a
 * pool thread's. All else here is the event loop's.
 */


#ifndef NGX_HTTP_COUNT_H
#define NGX_HTTP_COUNT_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "number_parse.h"
#include "number_summary.h"
#include "sort_loader.h"

#include "ngx_http_count_input.h"
#include "ngx_profiler_label.h"


typedef struct {
    ngx_str_t      name;
    sort_library_t library;

    /* the beginning of its answers, up to the value of "count" */
    ngx_str_t head;
} ngx_http_count_plugin_t;


typedef struct {
    ngx_array_t plugins; /* ngx_http_count_plugin_t * */
} ngx_http_count_main_conf_t;


/* Where a directive stands, for errors that are found after it was read. */
typedef struct {
    ngx_str_t  file;
    ngx_uint_t line;
} ngx_http_count_place_t;


typedef struct {
    ngx_flag_t enabled;

    /* plugin is NULL if the name has variables */
    ngx_http_complex_value_t *sort;
    ngx_http_count_plugin_t  *plugin;

    ngx_http_count_input_t *input; /* NULL without count_input */

    size_t max_values;

    ngx_thread_pool_t *thread_pool; /* NULL: the event loop does the work */

    ngx_http_count_place_t count_place;
    ngx_http_count_place_t sort_place;
} ngx_http_count_loc_conf_t;


typedef struct {
    ngx_http_request_t      *request;
    ngx_http_count_plugin_t *plugin;

    /* what a profiler shows with the samples of its work */
    ngx_profiler_labels_t labels;

    /* what to sort: an input file, or if that is NULL a body, NULL if empty */
    ngx_http_count_input_t *input;
    ngx_chain_t            *body;
    off_t                   body_length;

    /* started; it has a list only while the job is run */
    number_parser_t  parser;
    number_summary_t summary;
    uint64_t         sort_ns;

    /* NGX_HTTP_OK, or an error's status with a text for the client; 0 as long
       as the job was not run, or for ever if it was cancelled */
    ngx_uint_t  status;
    const char *error;

    /* in the input, of what is wrong; -1 where that makes no sense */
    int64_t position;

    /* what went wrong with a file, for the log: the call, and its errno */
    const char *failed_call;
    ngx_err_t   err;

    /*
     * Set by the event loop when nobody waits for the answer any more, read by
     * the pool thread, which then spares itself what it has not begun. Nothing
     * else is published by it.
     */
    ngx_atomic_t cancelled;
} ngx_http_count_job_t;


extern ngx_module_t ngx_http_count_module;

/* the profiler's, NULL where there is none; set before there are requests */
extern const ngx_profiler_label_calls_t *ngx_http_count_labels;


/* The plug-in that count_plugin gave that name, or NULL. */
ngx_http_count_plugin_t *
ngx_http_count_find_plugin(ngx_http_count_main_conf_t *mcf, ngx_str_t *name);


/*
 * Content handler of a location with `count`. Answers, or returns NGX_DONE
 * and answers later, or returns an error for nginx to answer.
 */
ngx_int_t ngx_http_count_handler(ngx_http_request_t *r);


/*
 * Reads, parses and sorts the numbers of a job; the results, or what went
 * wrong, are in the job then. Blocks. Any thread: it touches neither the
 * request nor its pool, and logs nothing.
 */
void ngx_http_count_run(ngx_http_count_job_t *job);


/*
 * Runs the job in the pool; when it is done, done(r) is called by the event
 * loop as a write event handler is, unless the request was terminated
 * meanwhile. Returns NGX_OK, or NGX_ERROR if the pool has no room: nothing
 * will happen then, and the job is still the caller's.
 */
ngx_int_t ngx_http_count_post(ngx_http_count_job_t     *job,
                              ngx_thread_pool_t        *pool,
                              ngx_http_event_handler_pt done);

/* Returns when no pool has a job of ours; as the worker exits, when those that
   wait are skipped. */
void ngx_http_count_wait(ngx_log_t *log);


/* Sends the outcome of a job; returns as ngx_http_output_filter() does. */
ngx_int_t ngx_http_count_send_job(ngx_http_count_job_t *job);


/* Sends an error that is no job's. error is a static string. */
ngx_int_t ngx_http_count_send_error(ngx_http_request_t *r, ngx_uint_t status,
                                    const char *error);


#endif /* NGX_HTTP_COUNT_H */
