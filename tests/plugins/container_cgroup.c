/*
 * Preloaded, it gives a process the cgroup file of a container: of
 * /proc/self/cgroup it is told what the file that CGROUP_FILE names has.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


FILE *
fopen(const char *path, const char *mode)
{
    static FILE *(*real)(const char *, const char *);

    const char *file;

    *(void **) &real = dlsym(RTLD_NEXT, "fopen");
    file = getenv("CGROUP_FILE");

    return real(file != NULL && strcmp(path, "/proc/self/cgroup") == 0 ? file
                                                                       : path,
                mode);
}
