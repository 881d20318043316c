/*
 * A profile that the encoder made, decoded for tests.
 */

#ifndef TESTS_DECODED_PROFILE_H
#define TESTS_DECODED_PROFILE_H

#include <criterion/criterion.h>

#include <stdlib.h>
#include <zlib.h>

#include "profile.pb-c.h"


#define MAX_OUT (64 * 1024 * 1024)


typedef Perftools__Profiles__Profile profile_t;


static inline profile_t *
decode(const uint8_t *gz, size_t len)
{
    uint8_t   *out = malloc(MAX_OUT);
    z_stream   stream = {0};
    profile_t *profile;

    cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (uint8_t *) gz;
    stream.avail_in = (uInt) len;
    stream.next_out = out;
    stream.avail_out = MAX_OUT;
    cr_assert_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);

    profile = perftools__profiles__profile__unpack(NULL, stream.total_out, out);
    cr_assert_not_null(profile);
    inflateEnd(&stream);
    free(out);

    return profile;
}


static inline const char *
text_of(const profile_t *p, int64_t i)
{
    cr_assert(i >= 0 && (size_t) i < p->n_string_table, "string %ld", i);

    return p->string_table[i];
}


#endif /* TESTS_DECODED_PROFILE_H */
