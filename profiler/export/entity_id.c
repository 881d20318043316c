
/*
 * The id of the container; see entity_id.h.
 */


#include <inttypes.h>
#include <limits.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "entity_id.h"


/* The inode of the host's cgroup namespace (linux/proc_ns.h). */
#define HOST_CGROUP_INODE UINT64_C(0xEFFFFFFB)

#define CGROUP_ROOT "/sys/fs/cgroup"

#define HEX "[0-9a-f]"

/*
 * The end of a cgroup's path that is a container's: a UUID, Cloud Foundry's
 * form of it, 64 hexadecimal digits, or 32 and a number (ECS); then what
 * systemd and podman add.
 */
#define CONTAINER_PATTERN                                                  \
    "(" HEX "{8}[-_]" HEX "{4}[-_]" HEX "{4}[-_]" HEX "{4}[-_]" HEX "{12}" \
    "|" HEX "{8}(-" HEX "{4}){4}|" HEX "{64}|" HEX "{32}-[0-9]+)"          \
    "(\\.scope(/[^/ \t]+)?)? *$"


/* A line "number:controllers:path"; both point into it. */
static bool
cgroup_line_split(char *line, char **controllers, char **path)
{
    char *colon;

    line[strcspn(line, "\n")] = '\0';

    colon = strchr(line, ':');
    if (colon == NULL) {
        return false;
    }

    *controllers = colon + 1;

    colon = strchr(colon + 1, ':');
    if (colon == NULL) {
        return false;
    }

    *colon = '\0';
    *path = colon + 1;

    return true;
}


static bool
has_controller(const char *controllers, const char *name)
{
    size_t len;

    for (;; controllers += len + 1) {
        len = strcspn(controllers, ",");

        if (len == strlen(name) && strncmp(controllers, name, len) == 0) {
            return true;
        }

        if (controllers[len] == '\0') {
            return false;
        }
    }
}


static bool
container_match(const regex_t *pattern, const char *path, char *container)
{
    regmatch_t found[2];
    regoff_t   len;

    if (regexec(pattern, path, 2, found, 0) != 0) {
        return false;
    }

    len = found[1].rm_eo - found[1].rm_so;
    if (len > CONTAINER_ID_MAX) {
        return false;
    }

    memcpy(container, path + found[1].rm_so, (size_t) len);
    container[len] = '\0';

    return true;
}


/* The inode of a folder, or 0. */
static uint64_t
folder_inode(const char *root, const char *controller, const char *path)
{
    char        name[PATH_MAX];
    struct stat st;

    snprintf(name, sizeof(name), "%s/%s%s", root, controller, path);

    return stat(name, &st) == 0 ? st.st_ino : 0;
}


void
entity_id_read(struct entity_id *id, FILE *cgroup, uint64_t namespace_inode,
               const char *root)
{
    char    *line, *controllers, *path;
    size_t   size;
    regex_t  pattern;
    uint64_t v1, v2;

    memset(id, 0, sizeof(*id));

    if (regcomp(&pattern, CONTAINER_PATTERN, REG_EXTENDED) != 0) {
        return;
    }

    line = NULL;
    size = 0;
    v1 = 0;
    v2 = 0;

    while (id->container[0] == '\0' && getline(&line, &size, cgroup) > 0) {
        if (!cgroup_line_split(line, &controllers, &path)
            || container_match(&pattern, path, id->container)) {
            continue;
        }

        if (has_controller(controllers, "memory")) {
            v1 = folder_inode(root, "memory", path);

        } else if (controllers[0] == '\0') {
            v2 = folder_inode(root, "", path);
        }
    }

    free(line);
    regfree(&pattern);

    if (id->container[0] != '\0') {
        snprintf(id->entity, sizeof(id->entity), "ci-%s", id->container);

    } else if (namespace_inode != HOST_CGROUP_INODE && (v1 | v2) != 0) {
        snprintf(id->entity, sizeof(id->entity), "in-%" PRIu64,
                 v1 != 0 ? v1 : v2);
    }
}


void
entity_id_find(struct entity_id *id)
{
    FILE       *cgroup;
    struct stat st;

    memset(id, 0, sizeof(*id));

    cgroup = fopen("/proc/self/cgroup", "re");
    if (cgroup == NULL) {
        return;
    }

    entity_id_read(id, cgroup,
                   stat("/proc/self/ns/cgroup", &st) == 0 ? st.st_ino
                                                          : HOST_CGROUP_INODE,
                   CGROUP_ROOT);
    fclose(cgroup);
}
