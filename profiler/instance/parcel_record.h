
/*
 * What the writer and the reader of parcels (stack_parcel.h) agree on.
 */


#ifndef NPROF_PARCEL_RECORD_H
#define NPROF_PARCEL_RECORD_H


/* "NPRF", and a number that changes with the format. */
#define PARCEL_MAGIC 0x4652504eu
#define PARCEL_VERSION 1

/* magic 4, version 4, worker 8, pid 4; of the machine's byte order. */
#define PARCEL_HEADER 20

/* A frame begins with its module's number + 1, or 0, shifted, and its kind. */
#define PARCEL_KIND_BITS 4


enum parcel_record {
    /* Nothing follows. */
    PARCEL_RECORD_END = 0,

    /* kind, values a sample; numbers begin anew. */
    PARCEL_RECORD_PROFILE,

    /* path, build id, inode, bias, start, end and file offset of the text
       segment, descriptor + 1 */
    PARCEL_RECORD_MODULE,

    /* the set without the label, name, value */
    PARCEL_RECORD_LABEL,

    /* name */
    PARCEL_RECORD_THREAD,

    /* thread, labels, frames, of each the module and, where there is one, the
       offset in its text; values, the sign in the lowest bit */
    PARCEL_RECORD_SAMPLE,

    /* Right after a sample: how many, of each the span, its count, and its
       time. */
    PARCEL_RECORD_SPANS
};


#endif /* NPROF_PARCEL_RECORD_H */
