
/*
 * Parcels (stack_parcel.h) in the file of the instance.
 */


#ifndef NPROF_PARCEL_FILE_H
#define NPROF_PARCEL_FILE_H


#include <stddef.h>
#include <stdint.h>


/* A parcel as it is written, at most INSTANCE_PARCEL_MAX bytes. */
struct parcel_file {
    uint64_t offset;
    uint64_t length;

    /* 0, or the first -errno; -EFBIG if it is too large. */
    int error;
};

/* A parcel as it is read; all zero is none. */
struct parcel_bytes {
    void  *bytes;
    size_t n;
};


/* A parcel_sink_pt; data is the struct parcel_file. */
void parcel_file_sink(void *data, const void *bytes, size_t n);

/* Reads so many bytes into memory of their own. Returns 0 or -errno. */
int parcel_bytes_read(struct parcel_bytes *parcel, uint64_t offset,
                      uint64_t length);

void parcel_bytes_free(struct parcel_bytes *parcel);


#endif /* NPROF_PARCEL_FILE_H */
