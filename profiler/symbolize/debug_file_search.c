
/*
 * Separate debug files (debug_file_search.h). The export thread.
 */


#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "debug_file_search.h"


/* Shorter ids are no identities, longer ones do not exist. */
#define ID_MIN 3
#define ID_MAX 64

#define LINK_MAX 4096


static int
open_path(struct debug_elf *debug, const char *path, const uint8_t *id,
          size_t len)
{
    int     rc;
    size_t  n;
    uint8_t found[ID_MAX];

    /* Not blocking: the name may turn out to be a FIFO. */
    debug->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (debug->fd == -1) {
        return -errno;
    }

    rc = elf_file_open(&debug->elf, debug->fd);
    if (rc != 0) {
        close(debug->fd);
        return rc;
    }

    n = elf_file_build_id(&debug->elf, found, sizeof(found));

    /* A module's id may have been cut by who recorded it. */
    if (n < len || memcmp(found, id, len) != 0) {
        debug_elf_close(debug);
        return -ENOENT;
    }

    return 0;
}


int
debug_file_by_build_id(struct debug_elf *debug, const char *folder,
                       const uint8_t *id, size_t len)
{
    int    n;
    char   path[PATH_MAX];
    size_t i, at;

    if (len < ID_MIN || len > ID_MAX) {
        return -ENOENT;
    }

    n = snprintf(path, sizeof(path), "%s/.build-id/%02x/", folder, id[0]);

    if (n < 0 || (size_t) n + 2 * len + sizeof(".debug") > sizeof(path)) {
        return -ENAMETOOLONG;
    }

    for (at = (size_t) n, i = 1; i < len; i++, at += 2) {
        sprintf(path + at, "%02x", id[i]);
    }

    memcpy(path + at, ".debug", sizeof(".debug"));

    return open_path(debug, path, id, len);
}


static int
is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && path[len] == '/'
           && strstr(path, "/../") == NULL;
}


/* The section: a path, its NUL, a build id to the end. */
int
debug_file_shared_by(struct debug_elf *debug, const char *folder,
                     const struct elf_file *file)
{
    int                rc = -ENOENT;
    char              *path;
    size_t             len;
    uint64_t           size;
    const uint8_t     *id;
    const Elf64_Shdr  *section;
    struct block_arena arena = {0};

    section = elf_file_section(file, ".gnu_debugaltlink");
    if (section == NULL) {
        return -ENOENT;
    }

    path = elf_file_load(file, section, LINK_MAX, &arena, &size);

    if (path != NULL && strnlen(path, size) < size) {
        id = (const uint8_t *) path + strlen(path) + 1;
        len = size - strlen(path) - 1;

        rc = debug_file_by_build_id(debug, folder, id, len);

        if (rc != 0 && len >= ID_MIN && len <= ID_MAX
            && is_below(path, folder)) {
            rc = open_path(debug, path, id, len);
        }
    }

    block_arena_free(&arena);

    return rc;
}


void
debug_elf_close(struct debug_elf *debug)
{
    elf_file_close(&debug->elf);
    close(debug->fd);
    debug->fd = -1;
}
