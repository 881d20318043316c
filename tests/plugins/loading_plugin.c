/*
 * A plug-in that loads and unloads a library, which allocates, or holds its
 * thread up. Of the two numbers that it is given, the smaller says what (enum
 * loading), the larger how many bytes, or milliseconds. What went wrong is given
 * back as a negative number, the line of this file. For tests of the heap profile
 * and of stalls.
 */

#include <dlfcn.h>
#include <stddef.h>

#include "sort_plugin.h"


#define KEPT_MAX 64


enum loading {
    LOADING_OPEN = 0,
    /* One more block, by the library. */
    LOADING_KEEP,
    /* Frees all of them, by the library. */
    LOADING_DROP,
    /* Blocks of the library may be left. */
    LOADING_CLOSE,
    /* Opens it, sleeps in it, and closes it. */
    LOADING_STAY
};


void loading_sort(int64_t *values, size_t count);

extern const sort_plugin_t sort_plugin;

static void *library;
static void *kept[KEPT_MAX];
static int   n_kept;


static int
loading_open(void)
{
    /* found by the run-path: beside this file */
    library = dlopen("libkeeping.so", RTLD_NOW | RTLD_LOCAL);

    return library == NULL ? -__LINE__ : 0;
}


static int
loading_keep(size_t size)
{
    void *(*keep)(size_t size);

    *(void **) &keep = dlsym(library, "keeping_allocates");
    if (keep == NULL || n_kept == KEPT_MAX) {
        return -__LINE__;
    }

    kept[n_kept] = keep(size);

    return kept[n_kept++] == NULL ? -__LINE__ : 0;
}


static int
loading_drop(void)
{
    void (*drop)(void *block);

    *(void **) &drop = dlsym(library, "keeping_frees");
    if (drop == NULL) {
        return -__LINE__;
    }

    while (n_kept > 0) {
        drop(kept[--n_kept]);
    }

    return 0;
}


static int
loading_close(void)
{
    return dlclose(library) != 0 ? -__LINE__ : 0;
}


static int
loading_stay(size_t ms)
{
    int rc;
    void (*sleeps)(size_t ms);

    rc = loading_open();
    if (rc != 0) {
        return rc;
    }

    *(void **) &sleeps = dlsym(library, "keeping_sleeps");
    if (sleeps == NULL) {
        return -__LINE__;
    }

    sleeps(ms);

    return loading_close();
}


void
loading_sort(int64_t *values, size_t count)
{
    int rc;

    if (count != 2) {
        values[0] = -__LINE__;
        return;
    }

    switch (values[0]) {
    case LOADING_OPEN:
        rc = loading_open();
        break;
    case LOADING_KEEP:
        rc = loading_keep((size_t) values[1]);
        break;
    case LOADING_DROP:
        rc = loading_drop();
        break;
    case LOADING_CLOSE:
        rc = loading_close();
        break;
    case LOADING_STAY:
        rc = loading_stay((size_t) values[1]);
        break;
    default:
        rc = -__LINE__;
    }

    if (rc != 0) {
        values[0] = rc;
    }
}


const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "loading",
    .version = "1",
    .sort = loading_sort,
};
