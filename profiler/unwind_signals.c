
/*
 * The hook of libunwind's sigprocmask(); see unwind_signals.h. It runs on any
 * thread that libunwind does.
 */


#include <libunwind-x86_64.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sample/got_patch.h"
#include "unwind_signals.h"


/* The thread pointer of the thread that is spared, 0 if none. Its own stores
   are all that it has to see. */
static _Atomic uintptr_t spared;


static uintptr_t
thread_pointer(void)
{
    return (uintptr_t) __builtin_thread_pointer();
}


/* What is stored in old is only ever given back to us. */
static int
sigprocmask_hook(int how, const sigset_t *set, sigset_t *old)
{
    if (atomic_load_explicit(&spared, memory_order_relaxed)
        != thread_pointer()) {
        return sigprocmask(how, set, old);
    }

    if (old != NULL) {
        sigemptyset(old);
    }

    return 0;
}


int
unwind_signals_keep(void)
{
    int rc;

    rc = got_patch_module((void *) unw_init_remote, "sigprocmask",
                          (void *) sigprocmask, (void *) sigprocmask_hook);
    if (rc < 0) {
        return rc;
    }

    atomic_store_explicit(&spared, thread_pointer(), memory_order_relaxed);

    return 0;
}


void
unwind_signals_restore(void)
{
    atomic_store_explicit(&spared, 0, memory_order_relaxed);
}
