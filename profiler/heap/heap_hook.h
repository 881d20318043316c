
/*
 * Hooks on the C library's allocation functions, in all loaded modules
 * (got_patch.h).
 *
 * They run wherever those are called, on any thread, and call what the process
 * called before: a preloaded allocator stays the one that serves. They neither
 * lock, sleep nor allocate. Of an allocation that is not sampled they take a
 * few instructions; of a free() the reading of one byte.
 */


#ifndef NPROF_HEAP_HOOK_H
#define NPROF_HEAP_HOOK_H


#include "../sample/got_patch.h"


/* The functions that are hooked. */
#define HEAP_HOOKS 10


/* Each with the hook that takes its place. */
extern const struct got_redirect heap_hooks[HEAP_HOOKS];

/* Why the allocator can't be hooked here: a static text, or NULL. */
const char *heap_hook_missing(void);

/*
 * Installs the hooks, in all modules that are loaded now; again when others
 * came. They stay. Returns 0 or -errno. Not from a signal handler.
 */
int heap_hook_install(void);


#endif /* NPROF_HEAP_HOOK_H */
