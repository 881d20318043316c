
/*
 * A growing gzip file in memory.
 *
 * Any thread, one at a time. Memory: the compressed bytes, up to twice while
 * it grows, 16 KB of input and deflate's 256 KB.
 */


#ifndef NPROF_GZIP_BUFFER_H
#define NPROF_GZIP_BUFFER_H


#include <stddef.h>
#include <stdint.h>
#include <zlib.h>


#define GZIP_BUFFER_INPUT 16384


struct gzip_buffer {
    z_stream stream;

    uint8_t *out;
    size_t   capacity;

    /* 0, or the first -errno; all later calls then do nothing. */
    int error;

    /* Small pieces are gathered: a protobuf is written in bytes. */
    size_t  n_input;
    uint8_t input[GZIP_BUFFER_INPUT];
};


/* level: zlib's, -1 to 9. 0, -EINVAL, -ENOMEM; after 0 a finish is due. */
int gzip_buffer_init(struct gzip_buffer *buffer, int level);


/* Adds bytes; errors show at the finish. */
void gzip_buffer_add(struct gzip_buffer *buffer, const void *data, size_t len);


/*
 * Ends the file and the buffer. 0 with malloc'ed bytes that are the caller's,
 * or the first error (-ENOMEM) with nothing.
 */
int gzip_buffer_finish(struct gzip_buffer *buffer, uint8_t **out, size_t *len);


#endif /* NPROF_GZIP_BUFFER_H */
