
/*
 * The "timers" CPU engine: a POSIX timer on the CPU clock of each thread.
 *
 * Runs on the profiler thread. The timers are not inherited by a child and do
 * not survive exec.
 */


#ifndef NPROF_CPU_TIMERS_H
#define NPROF_CPU_TIMERS_H


#include <stdint.h>

#include "thread_slot.h"


/*
 * Arms a timer that sends the sampler's signal to the slot's thread each
 * period_ns nanoseconds of its CPU time, the first after a random part of a
 * period. Returns 0 or -errno: -ESRCH if the thread is gone, -EAGAIN if
 * RLIMIT_SIGPENDING is used up.
 */
int cpu_timer_start(struct thread_slot *slot, uint64_t period_ns);

/* Disarms and deletes the slot's timer, if it has one. */
void cpu_timer_stop(struct thread_slot *slot);


#endif /* NPROF_CPU_TIMERS_H */
