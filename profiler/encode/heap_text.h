
/*
 * A heap profile as a text to be read, as Go's `heap?debug=1`: a line of
 * numbers and addresses for each stack, and its frames below it. pprof can read
 * it, too: its interval is 1, for the numbers are estimates already.
 *
 * The export thread, with the symbolizer's stack (SYMBOLIZER_STACK_SIZE).
 */


#ifndef NPROF_HEAP_TEXT_H
#define NPROF_HEAP_TEXT_H


#include <stddef.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/symbolizer.h"


/*
 * Stacks with the most bytes in use come first. profile has the values of the
 * heap's; its samples are sorted. The text is malloc'ed and the caller's. 0 or
 * -ENOMEM.
 */
int heap_text(struct stack_profile *profile, struct symbolizer *symbolizer,
              char **text, size_t *len);


#endif /* NPROF_HEAP_TEXT_H */
