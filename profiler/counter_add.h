
/*
 * Counters that one thread writes and others read.
 */


#ifndef NPROF_COUNTER_ADD_H
#define NPROF_COUNTER_ADD_H


#include <stdatomic.h>
#include <stdint.h>


/* Adds without an atomic addition: there is one writer. Its thread;
   async-signal-safe. */
static inline void
counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(
        counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
        memory_order_relaxed);
}


#endif /* NPROF_COUNTER_ADD_H */
