
/*
 * How long a thread has waited for a processor, of /proc/self/task/TID/
 * schedstat: it tells since when a thread that waits, or has just waited, is
 * off its processor, which no clock does.
 */


#ifndef NPROF_RUN_DELAY_H
#define NPROF_RUN_DELAY_H


#include <stdint.h>


/*
 * Nanoseconds that the thread of that file waited for a processor, runnable, up
 * to its last turn on one, or -1. A kernel that keeps no such account (neither
 * CONFIG_SCHEDSTATS nor delay accounting) shows a file of zeros, which is -1,
 * too: a thread that reads, or was seen to run, has had a turn. Any thread;
 * async-signal-safe, errno aside. The kernel lets one reader of an open file in
 * at a time: the callers see to it that no signal handler meets another reader.
 */
int64_t run_delay_ns(int fd);


#endif /* NPROF_RUN_DELAY_H */
