
/*
 * Keeps the calling thread on the processor that another thread runs on.
 *
 * A thread that wakes up there takes the processor from the other one, so it
 * finds that one stopped exactly where it was. From another processor it would
 * take some microseconds until a signal gets there, in which the thread goes
 * on: to its next system call, more often than not.
 */


#ifndef NPROF_CPU_FOLLOW_H
#define NPROF_CPU_FOLLOW_H


#include <stdbool.h>
#include <stdint.h>


struct cpu_follow {
    /* The followed thread's processor, kept up to date by the kernel; NULL if
       it is not known here. */
    const volatile uint32_t *cpu;

    /* The one that the calling thread was bound to last, or -1. */
    int bound;
};


/*
 * Begins to follow the calling thread. Where the C library has not registered
 * it for restartable sequences (glibc before 2.35, or told not to) nothing is
 * followed.
 */
void cpu_follow_init(struct cpu_follow *follow);

/* Moves the calling thread to where the followed one runs now, or did last. */
void cpu_follow_move(struct cpu_follow *follow);

/* Whether the calling thread is there. */
bool cpu_follow_there(const struct cpu_follow *follow);


#endif /* NPROF_CPU_FOLLOW_H */
