
/*
 * Choosing and installing the sampler's signal. Runs in a worker, on its main
 * thread, before there are timers.
 */


#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "signal_handler.h"
#include "signal_setup.h"


/* 0 if none is. Stored by signal_setup(), loaded by any thread. */
static _Atomic int taken;


static int
signal_install(int signo)
{
    struct sigaction action, previous;

    if (sigaction(signo, NULL, &previous) != 0) {
        return -errno;
    }

    if ((previous.sa_flags & SA_SIGINFO)
        || (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)) {
        return -EBUSY;
    }

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = signal_handler;
    /* SA_ONSTACK: a Go module's goroutine stack has no room for our frame */
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);

    if (sigaction(signo, &action, &signal_state.previous) != 0) {
        return -errno;
    }

    return 0;
}


/* Takes the first that nobody has a handler for; 0 or -errno. */
static int
signal_take(void)
{
    /* what nginx leaves alone; SIGIO, SIGALRM, USR1, USR2 and others are its */
    const int candidates[]
        = {SIGPROF, SIGVTALRM, SIGSTKFLT, SIGPWR, SIGRTMAX - 2};
    size_t i;
    int    rc;

    rc = -EBUSY;

    for (i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        rc = signal_install(candidates[i]);
        if (rc == 0) {
            taken = candidates[i];
            break;
        }
    }

    return rc;
}


int
signal_setup(void)
{
    int rc;

    if (signal_state.cookie == 0
        && getrandom(&signal_state.cookie, sizeof(signal_state.cookie), 0)
               != sizeof(signal_state.cookie)) {
        return -EIO;
    }

    if (!signal_is_ours()) {
        rc = signal_take();
        if (rc != 0) {
            return rc;
        }
    }

    atomic_store(&signal_state.lost, false);

    return taken;
}


int
signal_number(void)
{
    return taken;
}


bool
signal_is_ours(void)
{
    struct sigaction action;

    return sigaction(taken, NULL, &action) == 0
           && (action.sa_flags & SA_SIGINFO)
           && action.sa_sigaction == signal_handler;
}
