
/*
 * Clocks in nanoseconds. Any thread; async-signal-safe.
 */


#ifndef NPROF_CLOCK_H
#define NPROF_CLOCK_H


#include <stdint.h>
#include <time.h>


static inline int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    (void) clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


#endif /* NPROF_CLOCK_H */
