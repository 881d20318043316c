
/*
 * Gzip in memory (gzip_buffer.h). Any thread, one at a time.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gzip_buffer.h"


#define FIRST_CAPACITY (32 * 1024)

/* zlib's window, with its flag for a gzip header (no name, no time). */
#define WINDOW_GZIP (15 + 16)
#define MEMORY_LEVEL 8


int
gzip_buffer_init(struct gzip_buffer *buffer, int level)
{
    int rc;

    memset(buffer, 0, sizeof(*buffer));

    rc = deflateInit2(&buffer->stream, level, Z_DEFLATED, WINDOW_GZIP,
                      MEMORY_LEVEL, Z_DEFAULT_STRATEGY);

    return rc == Z_OK ? 0 : rc == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}


static int
reserve_output(struct gzip_buffer *buffer)
{
    size_t   used, capacity;
    uint8_t *out;

    if (buffer->stream.avail_out > 0) {
        return 0;
    }

    used = buffer->capacity;
    capacity = used ? 2 * used : FIRST_CAPACITY;

    out = realloc(buffer->out, capacity);
    if (out == NULL) {
        return -ENOMEM;
    }

    buffer->out = out;
    buffer->capacity = capacity;
    buffer->stream.next_out = out + used;
    buffer->stream.avail_out = (uInt) (capacity - used);

    return 0;
}


/* Compresses the gathered input: all of it, to the end of the file or not. */
static void
compress_input(struct gzip_buffer *buffer, int flush)
{
    int rc = Z_OK;

    buffer->stream.next_in = buffer->input;
    buffer->stream.avail_in = (uInt) buffer->n_input;

    while (buffer->error == 0
           && (flush == Z_FINISH ? rc != Z_STREAM_END
                                 : buffer->stream.avail_in > 0)) {
        buffer->error = reserve_output(buffer);

        if (buffer->error == 0) {
            rc = deflate(&buffer->stream, flush);

            if (rc != Z_OK && rc != Z_STREAM_END) {
                buffer->error = -EIO;
            }
        }
    }

    buffer->n_input = 0;
}


void
gzip_buffer_add(struct gzip_buffer *buffer, const void *data, size_t len)
{
    size_t         n;
    const uint8_t *p = data;

    while (len > 0 && buffer->error == 0) {
        n = GZIP_BUFFER_INPUT - buffer->n_input;
        n = n < len ? n : len;

        memcpy(buffer->input + buffer->n_input, p, n);
        buffer->n_input += n;
        p += n;
        len -= n;

        if (buffer->n_input == GZIP_BUFFER_INPUT) {
            compress_input(buffer, Z_NO_FLUSH);
        }
    }
}


int
gzip_buffer_finish(struct gzip_buffer *buffer, uint8_t **out, size_t *len)
{
    int rc;

    compress_input(buffer, Z_FINISH);

    rc = buffer->error;

    if (rc == 0) {
        *out = buffer->out;
        *len = buffer->capacity - buffer->stream.avail_out;

    } else {
        free(buffer->out);
    }

    deflateEnd(&buffer->stream);
    memset(buffer, 0, sizeof(*buffer));

    return rc;
}
