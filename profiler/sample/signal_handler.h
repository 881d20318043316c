
/*
 * The signal handler of the CPU sampler.
 *
 * It runs on any thread at any instruction. It copies registers and stack
 * into the thread's ring and leaves: it does not unwind, allocate, lock, log,
 * wait, or use thread-local storage other than errno, which it restores. What
 * this object and sample_ring.o may call is checked by the build.
 */


#ifndef NPROF_SIGNAL_HANDLER_H
#define NPROF_SIGNAL_HANDLER_H


#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "thread_slot.h"


/* What the handler reads; set up before the first signal, by signal_setup.c. */
struct signal_state {
    /* Whether samples are taken. Stored by the starting and stopping thread,
       loaded by the handler. */
    _Atomic bool active;

    /* The signal's handler is another one by now: none is sent any more. Stored
       by the profiler thread, and by signal_setup(), which takes another signal;
       loaded by who asks for samples. */
    _Atomic bool lost;

    /* The upper half of the value of our signals. */
    uint32_t cookie;

    /* What was installed before us: called for signals that are not ours. */
    struct sigaction previous;

    /*
     * The profiler thread waits on this futex word: 1 means that there is
     * work. Set by handlers (ring half full), by other threads, and, where it
     * is that of an instance's slot, by other workers.
     */
    _Atomic uint32_t *wake;
};


extern struct signal_state signal_state;

/* The value (sival_ptr) of a signal to the slot's thread. Any thread. */
static inline void *
signal_cookie_of(const struct thread_slot *slot)
{
    return (void *) (uintptr_t) ((uint64_t) signal_state.cookie << 32
                                 | (uint64_t) (slot - thread_slots));
}


/* Of SA_SIGINFO's type; async-signal-safe. */
void signal_handler(int signo, siginfo_t *info, void *context);

/* Wakes the profiler thread. Any thread; async-signal-safe. */
void signal_wake_profiler(void);

/* No other worker can wake it any more. No thread of ours runs. */
void signal_wake_reset(void);


#endif /* NPROF_SIGNAL_HANDLER_H */
