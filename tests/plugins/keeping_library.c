/*
 * A library that allocates and frees, which loading_plugin.c loads.
 */

#include <stdlib.h>


#define NOINLINE __attribute__((noinline, noclone))


void *keeping_allocates(size_t size);
void  keeping_frees(void *block);


NOINLINE void *
keeping_allocates(size_t size)
{
    void *volatile block;

    block = malloc(size);

    return block;
}


NOINLINE void
keeping_frees(void *block)
{
    free(block);
}
