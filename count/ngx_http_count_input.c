/*
 * Reads input files and keeps their numbers. Runs on the event loop and on
 * pool threads, so it uses malloc() and no pool, and logs nothing.
 *
 * The kept list is immutable and counted: a reader holds a reference while it
 * copies, so that another one can put a newer list in its place. What is kept
 * is bounded by count_max_values per input and worker.
 */

#include "ngx_http_count_input.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>


#define CHUNK_SIZE 65536

/* How often a file that changes under the reader is read again. */
#define MAX_READS 3

/*
 * A file that changed that recently may change again within the resolution of
 * its time stamps (a tick, 10 ms at most), which would show in none of them:
 * its numbers are used once, not kept.
 */
#define SETTLED_NS 100000000


typedef struct {
    dev_t           dev;
    ino_t           ino;
    off_t           size;
    struct timespec mtime;
    struct timespec ctime;
} file_version_t;


typedef struct {
    /* protected by the input's mutex */
    ngx_uint_t references;

    /* constant once it is shared */
    file_version_t version;
    size_t         count;
    int64_t       *values;
} number_list_t;


struct ngx_http_count_input_s {
    ngx_str_t name;

    pthread_mutex_t mutex;
    number_list_t  *list; /* protected by mutex; NULL before the first */
};


static void
version_of(file_version_t *version, const struct stat *st)
{
    version->dev = st->st_dev;
    version->ino = st->st_ino;
    version->size = st->st_size;
    version->mtime = st->st_mtim;
    version->ctime = st->st_ctim;
}


static ngx_uint_t
same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}


static ngx_uint_t
same_version(const file_version_t *a, const file_version_t *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && same_time(&a->mtime, &b->mtime)
           && same_time(&a->ctime, &b->ctime);
}


static ngx_uint_t
is_settled(const file_version_t *version)
{
    int64_t         age;
    struct timespec now;

    (void) clock_gettime(CLOCK_REALTIME, &now);

    age = (int64_t) (now.tv_sec - version->ctime.tv_sec) * 1000000000
          + (now.tv_nsec - version->ctime.tv_nsec);

    return age > SETTLED_NS;
}


/* Drops a reference; the mutex is held, or nobody else is left. */
static void
unref_locked(number_list_t *list)
{
    if (list != NULL && --list->references == 0) {
        free(list->values);
        free(list);
    }
}


static void
unref(ngx_http_count_input_t *input, number_list_t *list)
{
    (void) pthread_mutex_lock(&input->mutex);
    unref_locked(list);
    (void) pthread_mutex_unlock(&input->mutex);
}


/* Returns the kept list with a reference if it is of that version, or NULL. */
static number_list_t *
find(ngx_http_count_input_t *input, const file_version_t *version)
{
    number_list_t *list;

    (void) pthread_mutex_lock(&input->mutex);

    list = input->list;
    if (list != NULL && same_version(&list->version, version)) {
        list->references++;
    } else {
        list = NULL;
    }

    (void) pthread_mutex_unlock(&input->mutex);

    return list;
}


/* Keeps a copy of the numbers for those who come later. Without memory for it
   they will have to read the file. */
static void
keep(ngx_http_count_input_t *input, const file_version_t *version,
     const number_parser_t *parser)
{
    number_list_t *list;

    list = malloc(sizeof(number_list_t));
    if (list == NULL) {
        return;
    }

    list->references = 1;
    list->version = *version;
    list->count = parser->count;
    list->values = malloc(parser->count * sizeof(int64_t));

    if (list->values == NULL) {
        free(list);
        return;
    }

    memcpy(list->values, parser->values, parser->count * sizeof(int64_t));

    (void) pthread_mutex_lock(&input->mutex);
    unref_locked(input->list);
    input->list = list;
    (void) pthread_mutex_unlock(&input->mutex);
}


/*
 * Parses the first size bytes of the file: what is appended meanwhile is not
 * read, or one that grows faster than it is read would have no end. Returns
 * as ngx_http_count_input_read() does, *err set.
 */
static int
parse_file(int fd, off_t size, number_parser_t *parser, ngx_err_t *err)
{
    int     status;
    off_t   offset;
    char   *chunk;
    ssize_t n;

    chunk = malloc(CHUNK_SIZE);
    if (chunk == NULL) {
        return NUMBER_NO_MEMORY;
    }

    number_parser_expect(parser, (uint64_t) size);
    status = NUMBER_OK;

    for (offset = 0; offset < size && status == NUMBER_OK; offset += n) {
        n = pread(fd, chunk, (size_t) ngx_min(size - offset, CHUNK_SIZE),
                  offset);

        if (n == -1) {
            *err = ngx_errno;
            status = NGX_HTTP_COUNT_INPUT_UNREADABLE;
            break;
        }

        if (n == 0) {
            break;
        }

        status = (int) number_parser_feed(parser, chunk, (size_t) n);
    }

    free(chunk);

    return status == NUMBER_OK ? (int) number_parser_finish(parser) : status;
}


/* Reads the open file, again if it changes meanwhile, and keeps its numbers
   if it does not. As ngx_http_count_input_read() otherwise. */
static int
read_open(ngx_http_count_input_t *input, int fd, number_parser_t *parser,
          const char **call, ngx_err_t *err)
{
    int            status, reads;
    struct stat    st;
    file_version_t before, after;

    if (fstat(fd, &st) == -1) {
        *call = "fstat()";
        *err = ngx_errno;
        return NGX_HTTP_COUNT_INPUT_UNREADABLE;
    }

    for (reads = 0; reads < MAX_READS; reads++) {
        if (!S_ISREG(st.st_mode)) {
            *call = "not a regular file:";
            return NGX_HTTP_COUNT_INPUT_UNREADABLE;
        }

        version_of(&before, &st);

        number_parser_restart(parser, NUMBER_DETECT);
        status = parse_file(fd, before.size, parser, err);

        if (status == NGX_HTTP_COUNT_INPUT_UNREADABLE) {
            *call = "pread()";
            break;
        }

        if (fstat(fd, &st) == -1) {
            break;
        }

        version_of(&after, &st);

        if (same_version(&before, &after)) {
            if (status == NUMBER_OK && is_settled(&before)) {
                keep(input, &before, parser);
            }
            break;
        }
    }

    /* what is always written to was read as it was at one time or another */
    return status;
}


int
ngx_http_count_input_read(ngx_http_count_input_t *input,
                          number_parser_t *parser, const char **call,
                          ngx_err_t *err)
{
    int            fd, status;
    struct stat    st;
    number_list_t *list;
    file_version_t version;

    *err = 0;

    if (stat((char *) input->name.data, &st) == -1) {
        *call = "stat()";
        *err = ngx_errno;
        return NGX_HTTP_COUNT_INPUT_UNREADABLE;
    }

    /* opening a device can have effects; a FIFO would block without NONBLOCK */
    if (!S_ISREG(st.st_mode)) {
        *call = "not a regular file:";
        return NGX_HTTP_COUNT_INPUT_UNREADABLE;
    }

    version_of(&version, &st);

    list = find(input, &version);
    if (list != NULL) {
        status = (int) number_parser_copy(parser, list->values, list->count);
        unref(input, list);
        return status;
    }

    fd = open((char *) input->name.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd == -1) {
        *call = "open()";
        *err = ngx_errno;
        return NGX_HTTP_COUNT_INPUT_UNREADABLE;
    }

    status = read_open(input, fd, parser, call, err);

    (void) close(fd);

    return status;
}


static void
cleanup_input(void *data)
{
    ngx_http_count_input_t *input = data;

    /* thread pools have finished our tasks before a worker frees its cycle */
    unref_locked(input->list);
    (void) pthread_mutex_destroy(&input->mutex);
}


ngx_http_count_input_t *
ngx_http_count_input_create(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_count_input_t *input;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_count_input_t));
    if (cln == NULL) {
        return NULL;
    }

    input = cln->data;
    input->name = *name;
    input->list = NULL;

    if (pthread_mutex_init(&input->mutex, NULL) != 0) {
        return NULL;
    }

    cln->handler = cleanup_input;

    return input;
}


ngx_str_t *
ngx_http_count_input_name(ngx_http_count_input_t *input)
{
    return &input->name;
}
