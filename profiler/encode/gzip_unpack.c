
/*
 * Gzip back to bytes; see gzip_unpack.h.
 */


#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "gzip_unpack.h"


/* A gzip header and no other. */
#define WINDOW_BITS (15 + 16)


static int
unpack_begin(z_stream *stream, const void *data, size_t n)
{
    memset(stream, 0, sizeof(*stream));

    if (n > UINT_MAX) {
        return -EBADMSG;
    }

    /* zlib's field is not const, but it only reads */
    stream->next_in = (Bytef *) (uintptr_t) data;
    stream->avail_in = (uInt) n;

    return inflateInit2(stream, WINDOW_BITS) == Z_OK ? 0 : -ENOMEM;
}


int
gzip_unpack(const void *data, size_t n, void *out, size_t out_len)
{
    int      rc, status;
    z_stream stream;

    if (out_len > UINT_MAX) {
        return -EBADMSG;
    }

    rc = unpack_begin(&stream, data, n);
    if (rc != 0) {
        return rc;
    }

    stream.next_out = out;
    stream.avail_out = (uInt) out_len;
    status = inflate(&stream, Z_FINISH);

    if (status == Z_MEM_ERROR) {
        rc = -ENOMEM;
    } else if (status != Z_STREAM_END || stream.avail_in != 0
               || stream.avail_out != 0) {
        rc = -EBADMSG;
    }

    inflateEnd(&stream);

    return rc;
}


int
gzip_check(const void *data, size_t n, uint64_t out_max)
{
    int           rc, status;
    z_stream      stream;
    unsigned char piece[16384];

    rc = unpack_begin(&stream, data, n);
    if (rc != 0) {
        return rc;
    }

    do {
        stream.next_out = piece;
        stream.avail_out = sizeof(piece);
        status = inflate(&stream, Z_NO_FLUSH);
    } while (status == Z_OK && stream.total_out <= out_max);

    if (status == Z_MEM_ERROR) {
        rc = -ENOMEM;
    } else if (status != Z_STREAM_END || stream.avail_in != 0
               || stream.total_out > out_max) {
        rc = -EBADMSG;
    }

    inflateEnd(&stream);

    return rc;
}
