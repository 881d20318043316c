
/*
 * Directed signals; see sample_request.h.
 */


#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sample_request.h"
#include "signal_handler.h"
#include "signal_setup.h"


const char *
sample_request_missing(void)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;

    /* no signal at all: the kernel says whether one might be sent */
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), 0, &info) != 0) {
        return "rt_tgsigqueueinfo() is forbidden";
    }

    return NULL;
}


int
sample_request(struct thread_slot *slot, uint32_t wanted)
{
    siginfo_t info;

    if (atomic_load_explicit(&signal_state.lost, memory_order_relaxed)) {
        return -EPERM;
    }

    /* release: pairs with the handler's exchange */
    atomic_fetch_or_explicit(&slot->wanted, wanted, memory_order_release);

    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;
    info.si_value.sival_ptr = signal_cookie_of(slot);

    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), slot->tid, signal_number(),
                &info)
        != 0) {
        return -errno;
    }

    return 0;
}
