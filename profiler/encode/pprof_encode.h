
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
#include "pprof_label.h"


/* What of a file is not its profiles'. */
struct pprof_form {
    enum pprof_label_names names;

    /* Not NULL: what the whole file is of. Samples need not say it: their label
       of that name and value is left out. */
    const char *version;

    /* zlib's, -1 (its default) to 9. */
    int gzip_level;

    /* Not NULL: how many were served, for comments (pprof_requests.h). */
    const struct stack_profile *requests;
};


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

/*
 * The same of n profiles in one file: its value types are theirs, one after
 * the other, and all else of its head is the first one's. Samples of one have 0
 * in the values of the others. One module has one identity in all of them. n is
 * 1 or more.
 */
int pprof_encode_all(const struct stack_profile *const *profiles, uint32_t n,
                     const struct pprof_form *form,
                     struct symbolizer *symbolizer, uint8_t **out,
                     size_t *out_len);


#endif /* NPROF_PPROF_ENCODE_H */
