/*
 * What the service tells about a list of numbers. Free of nginx; no function
 * keeps anything, so any thread may call them.
 */


#ifndef NUMBER_SUMMARY_H
#define NUMBER_SUMMARY_H


#include <stddef.h>
#include <stdint.h>


typedef struct {
    size_t  count;
    size_t  distinct;
    int64_t min;
    int64_t max;
    /* of two middle values, the lower one */
    int64_t median;
} number_summary_t;


/* Summarizes count values, at least one, that are in ascending order. */
void number_summarize(const int64_t *sorted, size_t count,
                      number_summary_t *summary);


#endif /* NUMBER_SUMMARY_H */
