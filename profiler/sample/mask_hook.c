
/*
 * The pthread_sigmask() hook; see mask_hook.h. It runs on any thread, wherever
 * the original is called.
 */


#include <signal.h>
#include <stddef.h>

#include "got_patch.h"
#include "mask_hook.h"
#include "signal_setup.h"


static int
mask_hook(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t without;

    if (set == NULL || how == SIG_UNBLOCK) {
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
