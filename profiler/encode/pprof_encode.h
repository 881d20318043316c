
/*
 * Makes a gzipped profile.proto of a profile: the format of `go tool pprof`,
 * Pyroscope, Parca, Datadog and Speedscope.
 *
 * The export thread, with the symbolizer's stack (SYMBOLIZER_STACK_SIZE).
 * Memory: some 250 bytes per sample and 8 per frame of it while it runs, and
 * what the symbolizer takes.
 */


#ifndef NPROF_PPROF_ENCODE_H
#define NPROF_PPROF_ENCODE_H


#include <stddef.h>
#include <stdint.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/symbolizer.h"


/*
 * gzip_level: -1 (zlib's default) to 9. The output is malloc'ed and the
 * caller's; the profile stays as it is. A profile without samples is valid and
 * has its first module as its mapping; only then the symbolizer may be NULL. It
 * is trimmed at the end.
 * 0, -ENOMEM, -EINVAL for a level that does not exist.
 */
int pprof_encode(const struct stack_profile *profile,
                 struct symbolizer *symbolizer, int gzip_level, uint8_t **out,
                 size_t *out_len);


#endif /* NPROF_PPROF_ENCODE_H */
