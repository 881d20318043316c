
/*
 * Which spans samples were of: the newest ones, in a ring.
 *
 * A span's samples are few, and there are as many spans as requests: in the
 * table of stacks each would take a place for good. So the table counts stacks
 * without spans, and this says which share of what was added lately was whose.
 * What the ring does not hold any more has no span. Profiler thread only. 32
 * bytes a sample.
 */


#ifndef NPROF_SPAN_LOG_H
#define NPROF_SPAN_LOG_H


#include <stddef.h>
#include <stdint.h>

#include "stack_profile.h"


/* Times that are remembered: CPU samples of two and a half minutes of a busy
   processor. */
#define SPAN_LOG_SIZE 16384u


struct span_sample {
    /* An entry of the table. */
    uint64_t entry;

    struct profile_span of;
};


struct span_log {
    /* Ever written; the newest SPAN_LOG_SIZE are there. */
    uint64_t           written;
    struct span_sample samples[SPAN_LOG_SIZE];
};


/* NULL if memory lacks. */
struct span_log *span_log_create(void);

void span_log_destroy(struct span_log *log);

/* Bytes that were used once. */
size_t span_log_memory(const struct span_log *log);

void span_log_add(struct span_log *log, uint32_t entry, uint64_t span,
                  int64_t ns);


/* The samples of a profile get their shares, one after the other. */
struct span_shares {
    struct span_sample *samples;
    size_t              n;
    size_t              at;
};


/*
 * Begins with all that is there, each sample on its own. Without memory, and for
 * a log that is NULL, there are no shares. The profile gets an array that is its
 * own.
 */
void span_shares_begin(struct span_shares *shares, const struct span_log *log,
                       struct stack_profile *profile);

/* Gives a sample those of its entry; entries come in rising order. */
void span_shares_give(struct span_shares         *shares,
                      const struct stack_profile *profile, uint32_t entry,
                      struct profile_sample *sample);

void span_shares_end(struct span_shares *shares);


#endif /* NPROF_SPAN_LOG_H */
