/*
 * Loads sort plug-ins: opens the file, checks its descriptor, says what was
 * wrong. Free of nginx. Any thread may call it; a library is used by as many
 * threads as like, but has to be closed by one, after the last sort returned.
 */


#ifndef SORT_LOADER_H
#define SORT_LOADER_H


#include <stddef.h>

#include "sort_plugin.h"


/* Room for an error text with a path in it; longer ones are cut. */
#define SORT_LOADER_ERROR 1024


typedef struct {
    /* of dlopen(); NULL if nothing is open */
    void *handle;

    /* lies in the plug-in's own memory, gone with sort_loader_close() */
    const sort_plugin_t *plugin;
} sort_library_t;


/*
 * Opens the plug-in at path, which is not searched for: a name without '/' is
 * one in the working folder. Initializers of the plug-in run here.
 *
 * Returns 0, or -errno with nothing left open, *library all NULL, and in
 * error, a buffer of size bytes, a text that names file, symbol and cause:
 *   -ENOENT, -EACCES, ...  the file can't be looked at
 *   -EINVAL                it is no regular file
 *   -ENAMETOOLONG          path is longer than the system allows
 *   -ELIBBAD               the dynamic loader refused it
 *   -ENOSYS                it exports no sort_plugin
 *   -EPROTO                a descriptor that is not of our ABI, or incomplete
 *   -EBUSY                 it was replaced again and again meanwhile
 */
int sort_loader_open(const char *path, sort_library_t *library, char *error,
                     size_t size);


/* Closes what sort_loader_open() opened; does nothing for a closed one. */
void sort_loader_close(sort_library_t *library);


#endif /* SORT_LOADER_H */
