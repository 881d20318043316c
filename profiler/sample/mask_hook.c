
/*
 * The pthread_sigmask() hook; see mask_hook.h. It runs on any thread, wherever
 * the original is called.
 */


#include <signal.h>
#include <stddef.h>

#include "got_patch.h"
#include "mask_hook.h"
#include "signal_handler.h"
#include "signal_setup.h"


static int
mask_hook(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t without;

    /* one that other code has by now is masked as the caller wants it */
    if (set == NULL || how == SIG_UNBLOCK
        || atomic_load_explicit(&signal_state.lost, memory_order_relaxed)) {
        return pthread_sigmask(how, set, old);
    }

    without = *set;
    sigdelset(&without, signal_number());

    return pthread_sigmask(how, &without, old);
}


int
mask_hook_install(void)
{
    int rc;

    rc = got_patch("pthread_sigmask", (void *) pthread_sigmask,
                   (void *) mask_hook);

    return rc < 0 ? rc : 0;
}
