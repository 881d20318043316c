
/*
 * Keeps the sampler's signal unblocked in threads that block all signals, as
 * those of nginx's thread pools do.
 */


#ifndef NPROF_MASK_HOOK_H
#define NPROF_MASK_HOOK_H


/*
 * Redirects pthread_sigmask() of all loaded modules: a mask that blocks or
 * replaces never blocks the sampler's signal, unless other code took that. After
 * signal_setup(), before the threads that matter start. Returns 0 or -errno.
 */
int mask_hook_install(void);


#endif /* NPROF_MASK_HOOK_H */
