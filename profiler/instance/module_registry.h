
/*
 * The modules of all workers, as profiles that are merged name them: each once,
 * with its file where it can be opened. The export thread's.
 *
 * Bounds: MODULE_REGISTRY_MAX modules, the last of which is the one that all
 * share that find no other place: it has no file and no names.
 */


#ifndef NPROF_MODULE_REGISTRY_H
#define NPROF_MODULE_REGISTRY_H


#include <stdint.h>
#include <sys/types.h>

#include "../unwind/module_identity.h"


#define MODULE_REGISTRY_MAX 1024

/* The path of the last one. */
#define MODULE_REGISTRY_OTHERS "[other modules]"


struct module_registry {
    struct module_identity *modules[MODULE_REGISTRY_MAX];
    uint32_t                n;

    /* Those whose file is another's to close: of this process's own table. */
    uint8_t borrowed[MODULE_REGISTRY_MAX];

    /* Who has it open, and as what; no file is opened before it is needed. */
    pid_t pids[MODULE_REGISTRY_MAX];
    int   fds[MODULE_REGISTRY_MAX];
};


void module_registry_destroy(struct module_registry *registry);

/*
 * The module of that identity, which the worker pid (0: none that lives) has
 * open as identity->fd; it stays valid as long as the registry. NULL if there
 * is no memory.
 */
struct module_identity *
module_registry_find(struct module_registry       *registry,
                     const struct module_identity *identity, pid_t pid);

/*
 * Opens the files of all modules that were not tried yet: that of the path if it
 * is the same, or the one that another worker has, which may be deleted by now.
 */
void module_registry_open_files(struct module_registry *registry);


#endif /* NPROF_MODULE_REGISTRY_H */
