
/*
 * A wake-up flag of one waiting thread: a futex word that is 1 from the wake
 * to the next wait. It may be in memory that processes share.
 */


#ifndef NPROF_FUTEX_WAIT_H
#define NPROF_FUTEX_WAIT_H


#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nprof_clock.h"


/*
 * Waits until the flag is 1, for timeout_ns nanoseconds at most, or a signal,
 * and sets it to 0. Returns whether it was 1.
 */
static inline bool
futex_flag_wait(_Atomic uint32_t *flag, int64_t timeout_ns)
{
    const struct timespec timeout = timespec_of_ns(timeout_ns);

    if (timeout_ns > 0
        && atomic_load_explicit(flag, memory_order_acquire) == 0) {
        (void) syscall(SYS_futex, flag, FUTEX_WAIT, 0, &timeout, NULL, 0);
    }

    /* acquire: pairs with the release of futex_flag_wake() */
    return atomic_exchange_explicit(flag, 0, memory_order_acquire) != 0;
}


/* Any thread; async-signal-safe, errno aside. */
static inline void
futex_flag_wake(_Atomic uint32_t *flag)
{
    if (atomic_exchange_explicit(flag, 1, memory_order_acq_rel) == 0) {
        (void) syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}


#endif /* NPROF_FUTEX_WAIT_H */
