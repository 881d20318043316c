/*
 * What the tests of unwinding and patching share: shared objects compiled from
 * a string, kept in the folder of symbol_fixture.h, and what /proc says of the
 * process.
 */

#ifndef TESTS_LIBRARY_FIXTURE_H
#define TESTS_LIBRARY_FIXTURE_H

#include <dirent.h>
#include <dlfcn.h>
#include <link.h>

#include "symbol_fixture.h"


/* Compiles source to NAME.so in the folder; the path is the caller's. */
static inline char *
library_compile(const char *name, const char *options, const char *source)
{
    char *path, c_path[256];
    FILE *file;

    snprintf(c_path, sizeof(c_path), "%s/%s.c", fixture_folder, name);
    file = fopen(c_path, "w");
    cr_assert_not_null(file);
    fputs(source, file);
    fclose(file);

    cr_assert_gt(asprintf(&path, "%s/%s.so", fixture_folder, name), 0);
    fixture_run("cc -g0 -fPIC -shared -Wl,--build-id %s -o %s %s", options,
                path, c_path);

    return path;
}


static inline void *
library_open(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    cr_assert_not_null(library, "%s", dlerror());

    return library;
}


/* The address of a symbol of an open library. */
static inline uint64_t
library_address(void *library, const char *name)
{
    void *address = dlsym(library, name);

    cr_assert_not_null(address, "%s", name);

    return (uint64_t) (uintptr_t) address;
}


/* Run-time address minus ELF virtual address of an open library. */
static inline uint64_t
library_bias(void *library)
{
    struct link_map *map;

    cr_assert_eq(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);

    return map->l_addr;
}


/* The descriptors that the process has open. */
static inline unsigned
open_files(void)
{
    DIR     *folder = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(folder) != NULL) {
        n++;
    }

    closedir(folder);

    return n;
}


/*
 * The mapping that holds the address: its bounds and permissions ("rw-p").
 * False if there is none.
 */
static inline bool
mapping_of(uint64_t address, uint64_t *lo, uint64_t *hi, char *permissions)
{
    char  line[1024];
    bool  found = false;
    FILE *maps = fopen("/proc/self/maps", "re");

    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        found = sscanf(line, "%lx-%lx %4s", lo, hi, permissions) == 3
                && address >= *lo && address < *hi;
    }

    fclose(maps);

    return found;
}


#endif /* TESTS_LIBRARY_FIXTURE_H */
