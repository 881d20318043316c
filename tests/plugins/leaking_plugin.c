/*
 * A plug-in that forgets memory: of the numbers that it is given, the smallest
 * says how many bytes. It allocates as much again and gives that back. For tests
 * of the heap profile.
 */

#include <stdlib.h>
#include <string.h>

#include "sort_plugin.h"


#define NOINLINE __attribute__((noinline, noclone))


void leak_forgets(size_t size);
void leak_returns(size_t size);
void leak_sort(int64_t *values, size_t count);

extern const sort_plugin_t sort_plugin;

/* So that no allocation can be left out. */
static void *volatile last;


NOINLINE void
leak_forgets(size_t size)
{
    last = malloc(size); /* the line of the leak */
}


NOINLINE void
leak_returns(size_t size)
{
    last = malloc(size);
    free(last);
    last = NULL;
}


void
leak_sort(int64_t *values, size_t count)
{
    size_t size;

    size = count == 0 || values[0] < 0 ? 0 : (size_t) values[0];

    leak_returns(size);
    leak_forgets(size);
}


const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "leak",
    .version = "1",
    .sort = leak_sort,
};
