/*
 * Reads what is no stored profile, or a damaged one, and what is no step of the
 * history: it is refused, and never more is unpacked than there may be.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/encode/gzip_unpack.h"


#define UNPACKED_MAX 65536


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* Unpacks into a block of exactly that size. */
static int
unpack(const uint8_t *data, size_t size, size_t unpacked)
{
    int   rc;
    void *out = malloc(unpacked);

    rc = gzip_unpack(data, size, out, unpacked);
    free(out);

    return rc;
}


/* How long it is, which gzip says at its end. */
static uint32_t
length_of(const uint8_t *data, size_t size)
{
    return (uint32_t) data[size - 4] | (uint32_t) data[size - 3] << 8
           | (uint32_t) data[size - 2] << 16 | (uint32_t) data[size - 1] << 24;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int      rc;
    uint8_t *copy;
    uint32_t length;

    copy = malloc(size);
    memcpy(copy, data, size);

    rc = gzip_check(copy, size, UNPACKED_MAX);

    if (rc != 0 && rc != -EBADMSG) {
        abort();
    }

    /* one that is whole is unpacked to what it says, and to nothing else */
    if (rc == 0) {
        length = length_of(copy, size);

        if (length > UNPACKED_MAX || unpack(copy, size, length) != 0
            || unpack(copy, size, length + 1) != -EBADMSG
            || (length > 0 && unpack(copy, size, length - 1) != -EBADMSG)
            || (length > 0 && gzip_check(copy, size, length - 1) != -EBADMSG)) {
            abort();
        }
    } else {
        (void) unpack(copy, size, 100);
    }

    free(copy);

    return 0;
}
