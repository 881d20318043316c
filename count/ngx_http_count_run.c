/*
 * Runs a job: reads, parses, sorts. May be on a pool thread, where a request,
 * its pool and its log must not be touched; the body's chain is read only, and
 * the event loop leaves it alone while the request is blocked.
 */

#include "ngx_http_count.h"

#include "count.h"
#include "value_shelf.h"


#define CHUNK_SIZE 65536


/* The file is on disk: a pool thread is where it can be waited for. */
static int
feed_file(ngx_http_count_job_t *job, ngx_buf_t *b)
{
    int     status;
    off_t   offset;
    char   *chunk;
    ssize_t n;

    /* not on the stack, which a profiler may have to copy */
    chunk = malloc(CHUNK_SIZE);
    if (chunk == NULL) {
        return NUMBER_NO_MEMORY;
    }

    status = NUMBER_OK;

    for (offset = b->file_pos; offset < b->file_last; offset += n) {
        n = pread(b->file->fd, chunk,
                  (size_t) ngx_min(b->file_last - offset, CHUNK_SIZE), offset);

        if (n <= 0) {
            job->failed_call = "pread()";
            job->err = (n == -1) ? ngx_errno : 0;
            status = NGX_HTTP_COUNT_INPUT_UNREADABLE;
            break;
        }

        status = (int) number_parser_feed(&job->parser, chunk, (size_t) n);
        if (status != NUMBER_OK) {
            break;
        }
    }

    free(chunk);

    return status;
}


static int
read_body(ngx_http_count_job_t *job)
{
    int          status;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    if (job->body_length > 0) {
        number_parser_expect(&job->parser, (uint64_t) job->body_length);
    }

    for (cl = job->body; cl != NULL; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            status = (int) number_parser_feed(&job->parser, b->pos,
                                              (size_t) (b->last - b->pos));
        } else if (b->in_file) {
            status = feed_file(job, b);
        } else {
            continue;
        }

        if (status != NUMBER_OK) {
            return status;
        }
    }

    return (int) number_parser_finish(&job->parser);
}


static void
set_error(ngx_http_count_job_t *job, ngx_uint_t status, const char *error)
{
    job->status = status;
    job->error = error;
}


/* Translates what a parser or reader returned other than NUMBER_OK. */
static void
set_input_error(ngx_http_count_job_t *job, int status)
{
    switch (status) {
    case NUMBER_EMPTY:
        set_error(job, NGX_HTTP_BAD_REQUEST, "no numbers");
        return;

    case NUMBER_NOT_INTEGER:
        set_error(job, NGX_HTTP_BAD_REQUEST, "not an integer");
        break;

    case NUMBER_OVERFLOW:
        set_error(job, NGX_HTTP_BAD_REQUEST, "integer out of 64 bits");
        break;

    case NUMBER_NOT_ARRAY:
        set_error(job, NGX_HTTP_BAD_REQUEST, "not a JSON array of integers");
        break;

    case NUMBER_TOO_MANY:
        set_error(job, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "too many numbers");
        return;

    case NUMBER_NO_MEMORY:
        set_error(job, NGX_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
        return;

    default: /* NGX_HTTP_COUNT_INPUT_UNREADABLE */
        set_error(job, NGX_HTTP_INTERNAL_SERVER_ERROR,
                  "the input can't be read");
        return;
    }

    job->position = (int64_t) job->parser.position;
}


static void
read_and_sort(ngx_http_count_job_t *job)
{
    int              status;
    size_t           capacity;
    int64_t         *values;
    number_parser_t *parser;

    parser = &job->parser;

    values = value_shelf_take(&capacity);
    number_parser_give(parser, values, capacity);

    if (job->input != NULL) {
        status = ngx_http_count_input_read(job->input, parser,
                                           &job->failed_call, &job->err);
    } else {
        status = read_body(job);
    }

    if (status != NUMBER_OK) {
        set_input_error(job, status);

    } else if (!job->cancelled) {
        job->sort_ns = count(job->plugin->library.plugin, parser->values,
                             parser->count, &job->summary);
        job->status = NGX_HTTP_OK;
    }

    values = number_parser_take(parser, &capacity);
    value_shelf_put(values, capacity);
}


/* Its samples are the job's, whichever thread has it. */
void
ngx_http_count_run(ngx_http_count_job_t *job)
{
    ngx_profiler_labels_t before;

    if (job->cancelled) {
        return;
    }

    before = ngx_profiler_label_apply(ngx_http_count_labels, job->labels);
    read_and_sort(job);
    ngx_profiler_label_apply(ngx_http_count_labels, before);
}
