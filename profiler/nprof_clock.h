
/*
 * Clocks in nanoseconds. Any thread; async-signal-safe.
 */


#ifndef NPROF_CLOCK_H
#define NPROF_CLOCK_H


#include <stdint.h>
#include <sys/types.h>
#include <time.h>


/*
 * The kernel's id of the CPU clock of a thread of this process: the inverted
 * thread id, CPUCLOCK_PERTHREAD and CPUCLOCK_SCHED (linux/posix-timers.h).
 */
#define THREAD_CPU_CLOCK(tid) ((clockid_t) (~(unsigned) (tid) << 3 | 4 | 2))


static inline int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    (void) clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


/* CPU time of a thread of this process, nanoseconds; -1 if it is gone. */
static inline int64_t
thread_clock_ns(pid_t tid)
{
    struct timespec now;

    if (clock_gettime(THREAD_CPU_CLOCK(tid), &now) != 0) {
        return -1;
    }

    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


static inline struct timespec
timespec_of_ns(int64_t ns)
{
    struct timespec time;

    time.tv_sec = (time_t) (ns / 1000000000);
    time.tv_nsec = (long) (ns % 1000000000);

    return time;
}


#endif /* NPROF_CLOCK_H */
