/*
 * Opens a sort plug-in and validates its descriptor. Keeps no state: all that
 * is open belongs to the caller's sort_library_t. It refuses what is not a
 * regular file (dlopen() of a FIFO would block the server) and every
 * descriptor that it does not understand completely.
 *
 * A file that was replaced. glibc takes a path for the library that it has
 * loaded under this very name, without a look at the disk: while any old
 * configuration holds version 1 of a file, dlopen() of that path gives
 * version 1 again, although a rename has put version 2 there. So each file is
 * opened under a spelling of its path that says which file it is: between
 * folder and name come 64 empty steps, "/" or "./", one for each bit of a hash
 * of device, inode and modification time. That is the same path to the kernel,
 * and one path for whoever normalizes it, but another name to glibc exactly if
 * it is another file. A file that was not replaced gets the name of before and
 * with it the old handle, so glibc's list of names does not grow with the
 * number of reloads. While a file is loaded its inode can't be given to
 * another, so the identity is no weaker than glibc's own.
 *
 * A file that is rewritten in place is beyond help: its pages change under the
 * code that runs. Plug-ins are replaced by rename, as package managers do.
 */

#include "sort_loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>


#define IDENTITY_BITS 64

/* A file that is replaced this often while it is opened is not waited for. */
#define MAX_ATTEMPTS 10


static void
say(char *error, size_t size, const char *path, const char *format, ...)
{
    int     length;
    va_list args;

    length = snprintf(error, size, "\"%s\": ", path);
    if (length < 0 || (size_t) length >= size) {
        return;
    }

    va_start(args, format);
    vsnprintf(error + length, size - (size_t) length, format, args);
    va_end(args);
}


static uint64_t
mix(uint64_t hash, uint64_t value)
{
    /* the finalizer of SplitMix64 */
    hash = (hash ^ value) + UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);

    return hash ^ (hash >> 31);
}


/* Puts the identity of the file at path into *identity; 0 or -errno. */
static int
identify(const char *path, uint64_t *identity, char *error, size_t size)
{
    int         err;
    uint64_t    hash;
    struct stat st;

    if (stat(path, &st) == -1) {
        err = errno;
        say(error, size, path, "stat() failed (%d: %s)", err, strerror(err));
        return -err;
    }

    if (!S_ISREG(st.st_mode)) {
        say(error, size, path, "is not a regular file");
        return -EINVAL;
    }

    hash = mix(0, (uint64_t) st.st_dev);
    hash = mix(hash, (uint64_t) st.st_ino);
    hash = mix(hash, (uint64_t) st.st_mtim.tv_sec);
    *identity = mix(hash, (uint64_t) st.st_mtim.tv_nsec);

    return 0;
}


/* Writes the spelling of path that says identity; 0, or -ENAMETOOLONG. */
static int
spell(char spelling[PATH_MAX], const char *path, uint64_t identity)
{
    char       *p;
    size_t      folder;
    unsigned    bit;
    const char *name;

    name = strrchr(path, '/');
    name = (name == NULL) ? path : name + 1;
    folder = (size_t) (name - path);

    if (folder + 2 + 2 * IDENTITY_BITS + strlen(name) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }

    p = spelling;
    if (folder == 0) {
        *p++ = '.';
        *p++ = '/';
    }
    memcpy(p, path, folder);
    p += folder;

    for (bit = 0; bit < IDENTITY_BITS; bit++) {
        if ((identity >> bit) & 1) {
            *p++ = '.';
        }
        *p++ = '/';
    }
    strcpy(p, name);

    return 0;
}


/* The text of dlerror(), less the name of the file if it begins with that. */
static const char *
loader_message(const char *spelling)
{
    size_t      length;
    const char *message;

    message = dlerror();
    if (message == NULL) {
        return "unknown error of the dynamic loader";
    }

    length = strlen(spelling);
    if (strncmp(message, spelling, length) == 0
        && strncmp(message + length, ": ", 2) == 0) {
        message += length + 2;
    }

    return message;
}


/*
 * Opens the file that path names now. Returns 0 or -errno; -EAGAIN if it was
 * replaced meanwhile, so that the name may not fit the file.
 */
static int
open_once(const char *path, void **handle, char *error, size_t size)
{
    int      err;
    char     spelling[PATH_MAX];
    uint64_t before, after;

    err = identify(path, &before, error, size);
    if (err != 0) {
        return err;
    }

    err = spell(spelling, path, before);
    if (err != 0) {
        say(error, size, path, "is too long a path");
        return err;
    }

    *handle = dlopen(spelling, RTLD_NOW | RTLD_LOCAL);
    if (*handle == NULL) {
        say(error, size, path, "dlopen() failed (%s)",
            loader_message(spelling));
        err = -ELIBBAD;
    }

    if (identify(path, &after, error, size) == 0 && after == before) {
        return err;
    }

    if (*handle != NULL) {
        dlclose(*handle);
        *handle = NULL;
    }

    return -EAGAIN;
}


/* Returns 0, or -EPROTO if we can't use the plug-in. */
static int
validate(const sort_plugin_t *plugin, const char *path, char *error,
         size_t size)
{
    const char *missing;

    if (plugin->abi != SORT_PLUGIN_ABI) {
        say(error, size, path,
            "symbol \"" SORT_PLUGIN_SYMBOL "\": ABI number is %u instead of %u",
            (unsigned) plugin->abi, (unsigned) SORT_PLUGIN_ABI);
        return -EPROTO;
    }

    if (plugin->size != sizeof(sort_plugin_t)) {
        say(error, size, path,
            "symbol \"" SORT_PLUGIN_SYMBOL "\": size is %u instead of %zu",
            (unsigned) plugin->size, sizeof(sort_plugin_t));
        return -EPROTO;
    }

    missing = plugin->sort == NULL      ? "sort"
              : plugin->name == NULL    ? "name"
              : plugin->version == NULL ? "version"
                                        : NULL;
    if (missing != NULL) {
        say(error, size, path, "symbol \"" SORT_PLUGIN_SYMBOL "\": %s is NULL",
            missing);
        return -EPROTO;
    }

    return 0;
}


int
sort_loader_open(const char *path, sort_library_t *library, char *error,
                 size_t size)
{
    int err, attempt;

    library->handle = NULL;
    library->plugin = NULL;

    for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        err = open_once(path, &library->handle, error, size);
        if (err != -EAGAIN) {
            break;
        }
    }

    if (err == -EAGAIN) {
        say(error, size, path, "was replaced while it was opened, %d times",
            MAX_ATTEMPTS);
        err = -EBUSY;
    }

    if (err != 0) {
        return err;
    }

    library->plugin = dlsym(library->handle, SORT_PLUGIN_SYMBOL);
    if (library->plugin == NULL) {
        say(error, size, path, "symbol \"" SORT_PLUGIN_SYMBOL "\" is missing");
        err = -ENOSYS;
    } else {
        err = validate(library->plugin, path, error, size);
    }

    if (err != 0) {
        sort_loader_close(library);
    }

    return err;
}


void
sort_loader_close(sort_library_t *library)
{
    if (library->handle != NULL) {
        dlclose(library->handle);
    }

    library->handle = NULL;
    library->plugin = NULL;
}
