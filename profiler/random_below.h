
/*
 * A random number of the kernel's, for what is drawn once in a while.
 *
 * Any thread; not in a signal handler.
 */


#ifndef NPROF_RANDOM_BELOW_H
#define NPROF_RANDOM_BELOW_H


#include <stdint.h>
#include <sys/random.h>


/* One of 0 ... limit - 1. Where the kernel has none yet it is made of other,
   which should differ from call to call. */
static inline uint64_t
random_below(uint64_t limit, uint64_t other)
{
    uint64_t value;

    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value)) {
        value = other * 0x9e3779b97f4a7c15ull;
    }

    return value % limit;
}


#endif /* NPROF_RANDOM_BELOW_H */
