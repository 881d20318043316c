
/*
 * Gzip back to bytes, of files that may be damaged. Any thread.
 */


#ifndef NPROF_GZIP_UNPACK_H
#define NPROF_GZIP_UNPACK_H


#include <stddef.h>
#include <stdint.h>


/*
 * Unpacks n bytes of gzip into out, which has to hold exactly what is in them.
 * Returns 0, -EBADMSG if it is no gzip, cut short, damaged, or of another size,
 * or -ENOMEM.
 */
int gzip_unpack(const void *data, size_t n, void *out, size_t out_len);

/* Whether it is whole and sound, and has at most so many bytes: 0, or as above.
 */
int gzip_check(const void *data, size_t n, uint64_t out_max);


#endif /* NPROF_GZIP_UNPACK_H */
