
/*
 * The modules of all workers; see module_registry.h.
 */


#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unwind/module_file.h"
#include "module_registry.h"


void
module_registry_destroy(struct module_registry *registry)
{
    uint32_t i;

    for (i = 0; i < registry->n; i++) {
        if (registry->borrowed[i]) {
            registry->modules[i]->fd = -1;
        }

        module_identity_free(registry->modules[i]);
    }

    registry->n = 0;
}


/*
 * The file that another worker has open. It is read as that worker would read
 * it: what lies there by now may be another file, so it has to match.
 */
static void
open_of_worker(struct module_identity *module, int fd, pid_t pid)
{
    char *path, other[64];

    snprintf(other, sizeof(other), "/proc/%d/fd/%d", (int) pid, fd);

    path = module->path;
    module->path = other;
    module_file_open(module);
    module->path = path;
}


static struct module_identity *
module_copy(const struct module_identity *identity)
{
    struct module_identity *copy;

    copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }

    *copy = *identity;
    copy->fd = MODULE_FILE_UNTRIED;
    copy->path = strdup(identity->path);

    if (copy->path == NULL) {
        free(copy);
        return NULL;
    }

    return copy;
}


/*
 * The last place: all that found none before it.
 */
static const struct module_identity others = {
    .path = (char *) MODULE_REGISTRY_OTHERS,
    .fd = -1,
};


struct module_identity *
module_registry_find(struct module_registry       *registry,
                     const struct module_identity *identity, pid_t pid)
{
    uint32_t                i;
    struct module_identity *module;

    for (i = 0; i < registry->n; i++) {
        if (module_identity_equal(registry->modules[i], identity)) {
            return registry->modules[i];
        }
    }

    if (i == MODULE_REGISTRY_MAX) {
        return registry->modules[i - 1];
    }

    if (i == MODULE_REGISTRY_MAX - 1) {
        identity = &others;
    }

    module = module_copy(identity);
    if (module == NULL) {
        return NULL;
    }

    if (identity->fd >= 0 && pid == getpid()) {
        module->fd = identity->fd;
        registry->borrowed[i] = 1;
    }

    registry->pids[i] = pid;
    registry->fds[i] = identity->fd;
    registry->modules[registry->n++] = module;

    return module;
}


void
module_registry_open_files(struct module_registry *registry)
{
    uint32_t                i;
    struct module_identity *module;

    for (i = 0; i < registry->n; i++) {
        module = registry->modules[i];

        if (module->fd != MODULE_FILE_UNTRIED) {
            continue;
        }

        module_file_open(module);

        if (module->fd < 0 && registry->fds[i] >= 0 && registry->pids[i] != 0) {
            open_of_worker(module, registry->fds[i], registry->pids[i]);
        }
    }
}
