/*
 * The input file of a location, and the numbers that it had when it was read
 * last. One per `count_input` and worker. The numbers are shared by requests
 * that run at the same time, on the event loop and on pool threads; the mutex
 * is held for a few instructions, never while a file is read.
 */


#ifndef NGX_HTTP_COUNT_INPUT_H
#define NGX_HTTP_COUNT_INPUT_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "number_parse.h"


typedef struct ngx_http_count_input_s ngx_http_count_input_t;


/*
 * What ngx_http_count_input_read() returns other than NUMBER_OK: a value of
 * number_status_t, or this if the file could not be read.
 */
#define NGX_HTTP_COUNT_INPUT_UNREADABLE (-1)


/*
 * Makes the input that is the file of that name (absolute, and terminated by a
 * NUL), in cf->pool; the file is not looked at. NULL without memory.
 */
ngx_http_count_input_t *ngx_http_count_input_create(ngx_conf_t *cf,
                                                    ngx_str_t  *name);


/* The name of the file. */
ngx_str_t *ngx_http_count_input_name(ngx_http_count_input_t *input);


/*
 * Puts the numbers that the file has now into the parser, which was started
 * with NUMBER_DETECT, for the caller to sort: from memory if the file did not
 * change since it was read, else by reading it. Returns NUMBER_OK or what
 * is wrong. NGX_HTTP_COUNT_INPUT_UNREADABLE: *call names the system call that
 * failed and *err is its errno, or *call says what is wrong and *err is 0.
 * Any thread. Blocks on a file, never on a FIFO or a device: it refuses those.
 */
int ngx_http_count_input_read(ngx_http_count_input_t *input,
                              number_parser_t *parser, const char **call,
                              ngx_err_t *err);


#endif /* NGX_HTTP_COUNT_INPUT_H */
