
/*
 * What a sampled allocation stands for; docs/heap.md derives it.
 *
 * Pure arithmetic. Any thread.
 */


#ifndef NPROF_HEAP_WEIGHT_H
#define NPROF_HEAP_WEIGHT_H


#include <stdint.h>


/* Bits of objects that are behind the binary point. */
#define HEAP_OBJECT_BITS 16


/* Estimated objects, in units of 2^-HEAP_OBJECT_BITS, and their bytes. */
struct heap_weight {
    int64_t objects;
    int64_t bytes;
};


/*
 * The weight of a sampled block of size bytes: one over the probability that it
 * was sampled, and that many times its size. Sums of it are unbiased whatever
 * the sizes are. interval is the mean number of bytes between samples; with 1
 * every block is sampled, and stands for itself.
 */
struct heap_weight heap_weight(uint64_t size, uint64_t interval);


#endif /* NPROF_HEAP_WEIGHT_H */
