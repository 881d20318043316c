
/*
 * Per-thread CPU timers; see cpu_timers.h.
 */


#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../nprof_clock.h"
#include "../random_below.h"
#include "cpu_timers.h"
#include "signal_handler.h"
#include "signal_setup.h"


#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif


int
cpu_timer_start(struct thread_slot *slot, uint64_t period_ns)
{
    struct sigevent   event;
    struct itimerspec spec;
    uint64_t          first;

    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal_number();
    event.sigev_notify_thread_id = slot->tid;
    event.sigev_value.sival_ptr = signal_cookie_of(slot);

    if (timer_create(THREAD_CPU_CLOCK(slot->tid), &event, &slot->timer) != 0) {
        /* EINVAL: the clock's thread is gone */
        return errno == EINVAL ? -ESRCH : -errno;
    }

    slot->has_timer = true;

    first = 1 + random_below(period_ns, (uint64_t) slot->tid);

    spec.it_interval.tv_sec = (time_t) (period_ns / 1000000000u);
    spec.it_interval.tv_nsec = (long) (period_ns % 1000000000u);
    spec.it_value.tv_sec = (time_t) (first / 1000000000u);
    spec.it_value.tv_nsec = (long) (first % 1000000000u);

    if (timer_settime(slot->timer, 0, &spec, NULL) != 0) {
        int error = errno;

        cpu_timer_stop(slot);
        return -error;
    }

    return 0;
}


void
cpu_timer_stop(struct thread_slot *slot)
{
    if (slot->has_timer) {
        (void) timer_delete(slot->timer);
        slot->has_timer = false;
    }
}
