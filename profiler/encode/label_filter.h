
/*
 * Which samples of a profile are wanted, by the labels that they have in a file
 * of it: those of their set, the thread's name, and the ids of spans.
 *
 * A filter is made by the event loop and used by the export thread. Memory: a
 * copy of what was asked for.
 */


#ifndef NPROF_LABEL_FILTER_H
#define NPROF_LABEL_FILTER_H


#include "../aggregate/stack_profile.h"
#include "../nprof.h"


struct label_filter;


/* Takes what has all of n labels, which are copied. One block, the caller's to
   free(); NULL if memory lacks. */
struct label_filter *label_filter_create(const struct nprof_label_match *labels,
                                         uint32_t                        n);

/*
 * Takes samples that are not wanted out of the profile, and of those that are
 * the shares of spans that are not. The profile's samples are changed, and
 * their spans, which have to be the profile's own.
 */
void label_filter_samples(const struct label_filter *filter,
                          struct stack_profile      *profile);

/* The same of a profile of requests, which have neither thread nor span: they
   are not asked for these. */
void label_filter_requests(const struct label_filter *filter,
                           struct stack_profile      *profile);


#endif /* NPROF_LABEL_FILTER_H */
