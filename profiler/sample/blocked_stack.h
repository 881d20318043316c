
/*
 * Takes samples of blocked threads without a signal, so that none of them is
 * ever woken: where a thread is blocked is in its /proc/self/task/TID/syscall,
 * and its stack is copied from outside.
 *
 * Profiler thread only, but for what is said. The copy is taken by the kernel
 * (process_vm_readv()), since the thread may end meanwhile.
 */


#ifndef NPROF_BLOCKED_STACK_H
#define NPROF_BLOCKED_STACK_H


#include <stdint.h>

#include "sample_record.h"
#include "thread_slot.h"


enum thread_place {
    /* On a processor or ready to be. */
    THREAD_RUNNING,

    /* In a system call or a page fault: there is a sample of it. */
    THREAD_BLOCKED,

    /* It moved while it was looked at, or is gone, or can't be looked at. */
    THREAD_UNKNOWN
};


/* Room for any sample. */
union blocked_sample {
    struct sample_record record;
    unsigned char        room[sizeof(struct sample_record) + SAMPLE_STACK_MAX];
};


/* What is missing here to look at blocked threads: a static text, or NULL. */
const char *blocked_stack_missing(void);

/*
 * Says where the slot's thread is. For THREAD_BLOCKED sample has SP, PC and
 * stack, and *cpu_ns the thread's CPU clock: as long as that stands still, the
 * thread is where it was.
 */
enum thread_place blocked_stack_take(const struct thread_slot *slot,
                                     union blocked_sample     *sample,
                                     int64_t                  *cpu_ns);

/* Says the same, and for THREAD_BLOCKED SP and PC, but takes nothing. Any
   thread. */
enum thread_place thread_place(const struct thread_slot *slot, uint64_t *sp,
                               uint64_t *pc);

/* The CPU clock of the slot's thread, nanoseconds; -1 if it is gone. Any
   thread. */
int64_t thread_cpu_ns(const struct thread_slot *slot);


#endif /* NPROF_BLOCKED_STACK_H */
