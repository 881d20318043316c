
/*
 * A ring of samples with spans; see span_log.h.
 */


#include <stdlib.h>

#include "../nprof_clock.h"
#include "span_log.h"
#include "stack_table.h"


struct span_log *
span_log_create(void)
{
    /* large, and so mapped: pages that were never used cost nothing */
    return calloc(1, sizeof(struct span_log));
}


void
span_log_destroy(struct span_log *log)
{
    free(log);
}


void
span_log_add(struct span_log *log, uint32_t entry, uint64_t span, int64_t ns)
{
    log->samples[log->written++ % SPAN_LOG_SIZE]
        = (struct span_sample){entry, {span, ns, clock_ns(CLOCK_MONOTONIC)}};
}


size_t
span_log_memory(const struct span_log *log)
{
    size_t n = log->written < SPAN_LOG_SIZE ? log->written : SPAN_LOG_SIZE;

    return sizeof(*log) - (SPAN_LOG_SIZE - n) * sizeof(log->samples[0]);
}


static int
sample_compare(const void *one, const void *two)
{
    const struct span_sample *a = one, *b = two;

    if (a->entry != b->entry) {
        return a->entry < b->entry ? -1 : 1;
    }

    return (a->of.span > b->of.span) - (a->of.span < b->of.span);
}


void
span_shares_begin(struct span_shares *shares, const struct span_log *log,
                  struct stack_profile *profile)
{
    size_t i, n;

    *shares = (struct span_shares){NULL, 0, 0};
    n = 0;

    if (log != NULL) {
        n = log->written < SPAN_LOG_SIZE ? log->written : SPAN_LOG_SIZE;
    }

    if (n == 0) {
        return;
    }

    shares->samples = malloc(n * sizeof(shares->samples[0]));
    profile->spans = malloc(n * sizeof(profile->spans[0]));

    if (shares->samples == NULL || profile->spans == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        shares->samples[i]
            = log->samples[(log->written - n + i) % SPAN_LOG_SIZE];
    }

    qsort(shares->samples, n, sizeof(shares->samples[0]), sample_compare);
    shares->n = n;
}


void
span_shares_give(struct span_shares         *shares,
                 const struct stack_profile *profile, uint32_t entry,
                 struct profile_sample *sample)
{
    sample->spans = profile->spans + shares->at;
    sample->n_spans = 0;
    sample->span_ns = sample->values[STACK_NANOSECONDS];

    for (; shares->at < shares->n && shares->samples[shares->at].entry == entry;
         shares->at++) {
        profile->spans[shares->at] = shares->samples[shares->at].of;
        sample->n_spans++;
    }
}


void
span_shares_end(struct span_shares *shares)
{
    free(shares->samples);
}
