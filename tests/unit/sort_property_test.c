/*
 * What every plug-in has to do, over all that were built: sort any list in
 * place like a reference does, from several threads at once, write nothing
 * beside the list, and be gone when it is closed.
 */

#include <criterion/criterion.h>

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sort_loader.h"


#define MAX_LENGTH 3000
#define GUARDS 16
#define GUARD INT64_C(0x5ca1ab1e0ddba11)


typedef void (*fill_t)(int64_t *values, size_t length, unsigned *seed);


static int64_t
random_value(unsigned *seed)
{
    uint64_t value;

    value = (uint64_t) (unsigned) rand_r(seed);
    value = value << 31 ^ (uint64_t) (unsigned) rand_r(seed);

    return (int64_t) (value << 31 ^ (uint64_t) (unsigned) rand_r(seed));
}


static void
fill_random(int64_t *values, size_t length, unsigned *seed)
{
    size_t i;

    for (i = 0; i < length; i++) {
        values[i] = random_value(seed);
    }
}


static void
fill_few_distinct(int64_t *values, size_t length, unsigned *seed)
{
    size_t i;

    for (i = 0; i < length; i++) {
        values[i] = rand_r(seed) % 4 - 2;
    }
}


static void
fill_ascending(int64_t *values, size_t length, unsigned *seed)
{
    size_t i;

    (void) seed;
    for (i = 0; i < length; i++) {
        values[i] = (int64_t) i - 100;
    }
}


static void
fill_descending(int64_t *values, size_t length, unsigned *seed)
{
    size_t i;

    (void) seed;
    for (i = 0; i < length; i++) {
        values[i] = 100 - (int64_t) i;
    }
}


static void
fill_extremes(int64_t *values, size_t length, unsigned *seed)
{
    static const int64_t extremes[]
        = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};

    size_t i;

    for (i = 0; i < length; i++) {
        values[i] = extremes[(size_t) rand_r(seed) % 7];
    }
}


static const fill_t fills[] = {fill_random, fill_few_distinct, fill_ascending,
                               fill_descending, fill_extremes};


static int
ascending(const void *one, const void *two)
{
    const int64_t *a = one, *b = two;

    return (*a > *b) - (*a < *b);
}


static void
check_list(const sort_plugin_t *plugin, fill_t fill, size_t length,
           unsigned *seed)
{
    size_t  i;
    int64_t values[MAX_LENGTH + 2 * GUARDS], expected[MAX_LENGTH];

    for (i = 0; i < length + 2 * GUARDS; i++) {
        values[i] = GUARD;
    }

    fill(values + GUARDS, length, seed);
    memcpy(expected, values + GUARDS, length * sizeof(int64_t));
    qsort(expected, length, sizeof(int64_t), ascending);

    plugin->sort(values + GUARDS, length);

    cr_assert_arr_eq(values + GUARDS, expected, length * sizeof(int64_t),
                     "%s: list of %zu", plugin->name, length);

    for (i = 0; i < GUARDS; i++) {
        cr_assert_eq(values[i], GUARD, "%s wrote before", plugin->name);
        cr_assert_eq(values[GUARDS + length + i], GUARD, "%s wrote behind",
                     plugin->name);
    }
}


static void *
check_lists(void *data)
{
    size_t               length, fill;
    unsigned             seed;
    const sort_plugin_t *plugin = data;

    seed = 1;

    for (fill = 0; fill < sizeof(fills) / sizeof(fills[0]); fill++) {
        for (length = 0; length < 100; length++) {
            check_list(plugin, fills[fill], length, &seed);
        }
        for (; length <= MAX_LENGTH; length += 1 + length / 3) {
            check_list(plugin, fills[fill], length, &seed);
        }
        check_list(plugin, fills[fill], MAX_LENGTH, &seed);
    }

    return NULL;
}


static glob_t
built_plugins(void)
{
    char        pattern[256];
    glob_t      found;
    const char *build;

    build = getenv("BUILD");
    snprintf(pattern, sizeof(pattern), "%s/algorithms/libsort_v*.so",
             build ? build : "build");

    cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "none: %s", pattern);
    cr_assert_geq(found.gl_pathc, 2);

    return found;
}


static sort_library_t
open_plugin(const char *path)
{
    char           error[SORT_LOADER_ERROR];
    sort_library_t library;

    cr_assert_eq(sort_loader_open(path, &library, error, sizeof(error)), 0,
                 "%s", error);

    return library;
}


Test(sort_property, sorts_like_the_reference)
{
    size_t         i;
    glob_t         found;
    sort_library_t library;

    found = built_plugins();

    for (i = 0; i < found.gl_pathc; i++) {
        library = open_plugin(found.gl_pathv[i]);
        (void) check_lists((void *) library.plugin);
        sort_loader_close(&library);
    }

    globfree(&found);
}


Test(sort_property, sorts_on_several_threads)
{
    size_t         i, j;
    glob_t         found;
    pthread_t      threads[4];
    sort_library_t library;

    found = built_plugins();

    for (i = 0; i < found.gl_pathc; i++) {
        library = open_plugin(found.gl_pathv[i]);

        for (j = 0; j < 4; j++) {
            cr_assert_eq(pthread_create(&threads[j], NULL, check_lists,
                                        (void *) library.plugin),
                         0);
        }
        for (j = 0; j < 4; j++) {
            (void) pthread_join(threads[j], NULL);
        }

        sort_loader_close(&library);
    }

    globfree(&found);
}


static bool
is_mapped(const char *path)
{
    char  line[4096];
    bool  found;
    FILE *maps;

    maps = fopen("/proc/self/maps", "r");
    cr_assert_not_null(maps);

    for (found = false; !found && fgets(line, sizeof(line), maps) != NULL;) {
        found = (strstr(line, strrchr(path, '/')) != NULL);
    }

    (void) fclose(maps);

    return found;
}


Test(sort_property, is_gone_when_closed)
{
    size_t         i;
    glob_t         found;
    int64_t        values[] = {2, 1};
    sort_library_t library;

    found = built_plugins();

    for (i = 0; i < found.gl_pathc; i++) {
        library = open_plugin(found.gl_pathv[i]);
        library.plugin->sort(values, 2);
        cr_assert(is_mapped(found.gl_pathv[i]));
        sort_loader_close(&library);
        cr_assert_not(is_mapped(found.gl_pathv[i]), "%s", found.gl_pathv[i]);
    }

    globfree(&found);
}
