
/*
 * What the signal handler cost so far: a mean and a distribution, of all
 * threads together. Handlers add, any thread reads; nothing is ever reset.
 *
 * The distribution has four buckets to the power of two, so that a percentile
 * is at most a fifth too high.
 */


#ifndef NPROF_HANDLER_COST_H
#define NPROF_HANDLER_COST_H


#include <stdatomic.h>
#include <stdint.h>


/* The first bucket is of less than this, the last one of 7 ms and more. */
#define HANDLER_COST_FIRST_LOG2 7
#define HANDLER_COST_BUCKETS 64


struct handler_cost {
    /* Runs that took or dropped a sample, and their nanoseconds. */
    _Atomic uint64_t runs;
    _Atomic uint64_t ns;

    _Atomic uint64_t buckets[HANDLER_COST_BUCKETS];
};


extern struct handler_cost handler_cost;


/* The bucket of a time. Any thread; async-signal-safe. */
static inline unsigned
handler_cost_bucket(uint64_t ns)
{
    unsigned log2, bucket;

    if (ns < UINT64_C(1) << HANDLER_COST_FIRST_LOG2) {
        return 0;
    }

    log2 = 63 - (unsigned) __builtin_clzll(ns);
    bucket = 1 + (log2 - HANDLER_COST_FIRST_LOG2) * 4
             + (unsigned) (ns >> (log2 - 2) & 3);

    return bucket < HANDLER_COST_BUCKETS ? bucket : HANDLER_COST_BUCKETS - 1;
}


/* The nanoseconds that a bucket, not the last one, is below. Any thread. */
static inline uint64_t
handler_cost_bound(unsigned bucket)
{
    unsigned log2;

    if (bucket == 0) {
        return UINT64_C(1) << HANDLER_COST_FIRST_LOG2;
    }

    log2 = HANDLER_COST_FIRST_LOG2 + (bucket - 1) / 4;

    return (UINT64_C(5) + (bucket - 1) % 4) << (log2 - 2);
}


/* Adds a run. Any thread; async-signal-safe. */
static inline void
handler_cost_add(uint64_t ns)
{
    atomic_fetch_add_explicit(&handler_cost.runs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&handler_cost.ns, ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&handler_cost.buckets[handler_cost_bucket(ns)], 1,
                              memory_order_relaxed);
}


#endif /* NPROF_HANDLER_COST_H */
