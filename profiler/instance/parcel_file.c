
/*
 * Parcels in the file of the instance; see parcel_file.h.
 */


#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "instance_memory.h"
#include "parcel_file.h"


void
parcel_file_sink(void *data, const void *bytes, size_t n)
{
    struct parcel_file *file = data;

    if (file->error == 0 && n > INSTANCE_PARCEL_MAX - file->length) {
        file->error = -EFBIG;
    }

    if (file->error == 0) {
        file->error = instance_write(file->offset + file->length, bytes, n);
        file->length += n;
    }
}


int
parcel_bytes_read(struct parcel_bytes *parcel, uint64_t offset, uint64_t length)
{
    int   rc;
    void *bytes;

    memset(parcel, 0, sizeof(*parcel));

    if (length == 0 || length > INSTANCE_PARCEL_MAX) {
        return -EBADMSG;
    }

    /* not malloc(): that would keep megabytes for good */
    bytes = mmap(NULL, length, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) {
        return -ENOMEM;
    }

    rc = instance_read(offset, bytes, length);
    if (rc != 0) {
        munmap(bytes, length);
        return rc;
    }

    parcel->bytes = bytes;
    parcel->n = length;

    return 0;
}


void
parcel_bytes_free(struct parcel_bytes *parcel)
{
    if (parcel->bytes != NULL) {
        munmap(parcel->bytes, parcel->n);
        parcel->bytes = NULL;
    }
}
