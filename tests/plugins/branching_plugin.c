/*
 * A plug-in that allocates from many different stacks: the number that it is
 * given is the first of PATHS paths through a tree of calls, at the end of each
 * of which it takes and returns memory. For tests with large profiles.
 */

#include <stdlib.h>

#include "sort_plugin.h"


#define NOINLINE __attribute__((noinline, noclone))

#define PATHS 100
#define DEPTH 20
#define BLOCK 65536


void branch_left(uint64_t path, unsigned depth);
void branch_right(uint64_t path, unsigned depth);
void branch_sort(int64_t *values, size_t count);

extern const sort_plugin_t sort_plugin;

/* So that no allocation can be left out, and no call made a jump. */
static void *volatile last;
static volatile unsigned calls;


static void
branch(uint64_t path, unsigned depth)
{
    if (depth == 0) {
        last = malloc(BLOCK);
        free(last);
    } else if (path & 1) {
        branch_left(path >> 1, depth - 1);
    } else {
        branch_right(path >> 1, depth - 1);
    }
}


NOINLINE void
branch_left(uint64_t path, unsigned depth)
{
    branch(path, depth);
    calls++;
}


NOINLINE void
branch_right(uint64_t path, unsigned depth)
{
    branch(path, depth);
    calls++;
}


void
branch_sort(int64_t *values, size_t count)
{
    uint64_t i;

    for (i = 0; count != 0 && i < PATHS; i++) {
        branch((uint64_t) values[0] + i, DEPTH);
    }
}


const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "branch",
    .version = "1",
    .sort = branch_sort,
};
