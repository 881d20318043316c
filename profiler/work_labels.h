
/*
 * What a thread works under, as others hold it (struct nprof_labels): a number
 * with the label set in its lower half and, in the upper one, the request of the
 * event loop that it is of.
 */


#ifndef NPROF_WORK_LABELS_H
#define NPROF_WORK_LABELS_H


#include <stddef.h>
#include <stdint.h>


/* See struct nprof_labels. Any thread. */
uint32_t work_label_with(uint32_t set, const char *name, size_t name_len,
                         const char *value, size_t value_len, int of_request);
uint64_t work_current(void);
uint64_t work_apply(uint64_t work);


#endif /* NPROF_WORK_LABELS_H */
