/*
 * Gzip files in memory: what comes out inflates to what went in, in whatever
 * pieces it came.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/gzip_buffer.h"


static void
expect_inflated(const uint8_t *gz, size_t gz_len, const uint8_t *data,
                size_t len)
{
    int      rc;
    uint8_t *out = malloc(len + 1);
    z_stream stream = {0};

    cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (uint8_t *) gz;
    stream.avail_in = (uInt) gz_len;
    stream.next_out = out;
    stream.avail_out = (uInt) len + 1;
    rc = inflate(&stream, Z_FINISH);

    cr_expect_eq(rc, Z_STREAM_END);
    cr_expect_eq(stream.avail_in, 0);
    cr_expect_eq(stream.total_out, len);
    cr_expect_eq(memcmp(out, data, len), 0);
    inflateEnd(&stream);
    free(out);
}


static void
round_trip(const uint8_t *data, size_t len, size_t piece, int level)
{
    size_t             at, n, out_len;
    uint8_t           *out;
    struct gzip_buffer buffer;

    cr_assert_eq(gzip_buffer_init(&buffer, level), 0);

    for (at = 0; at < len; at += n) {
        n = piece < len - at ? piece : len - at;
        gzip_buffer_add(&buffer, data + at, n);
    }

    cr_assert_eq(gzip_buffer_finish(&buffer, &out, &out_len), 0);
    expect_inflated(out, out_len, data, len);
    free(out);
}


/* Random, so that the output is as long as the input and has to grow. */
Test(gzip_buffer, all_sizes_and_pieces_come_back)
{
    size_t              i, j, size = 1000000;
    uint8_t            *data = malloc(size);
    static const size_t lengths[]
        = {0, 1, 16383, 16384, 16385, 32768, 65536, 1000000};
    static const size_t pieces[] = {3, 4096, 16384, 1000000};

    srand(1);
    for (i = 0; i < size; i++) {
        data[i] = (uint8_t) rand();
    }

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
            round_trip(data, lengths[i], pieces[j], 1);
        }
    }

    free(data);
}


Test(gzip_buffer, all_levels_work_and_others_are_refused)
{
    int                level;
    uint8_t            data[100000];
    struct gzip_buffer buffer;

    memset(data, 'x', sizeof(data));

    for (level = -1; level <= 9; level++) {
        round_trip(data, sizeof(data), 1000, level);
    }

    cr_expect_eq(gzip_buffer_init(&buffer, 10), -EINVAL);
    cr_expect_eq(gzip_buffer_init(&buffer, -2), -EINVAL);
}


Test(gzip_buffer, equal_input_gives_equal_bytes)
{
    int                i;
    size_t             len[2];
    uint8_t           *out[2];
    struct gzip_buffer buffer;

    for (i = 0; i < 2; i++) {
        gzip_buffer_init(&buffer, 5);
        gzip_buffer_add(&buffer, "profile", 7);
        cr_assert_eq(gzip_buffer_finish(&buffer, &out[i], &len[i]), 0);
    }

    cr_assert_eq(len[0], len[1]);
    cr_expect_eq(memcmp(out[0], out[1], len[0]), 0);
    free(out[0]);
    free(out[1]);
}
