/*
 * A library that allocates and frees, or sleeps, which loading_plugin.c loads.
 */

#include <stdlib.h>
#include <time.h>


#define NOINLINE __attribute__((noinline, noclone))


void *keeping_allocates(size_t size);
void  keeping_frees(void *block);
void  keeping_sleeps(size_t ms);


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


NOINLINE void
keeping_sleeps(size_t ms)
{
    struct timespec time = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};

    while (nanosleep(&time, &time) != 0) {
        /* void */
    }

    /* so that no call is a tail call */
    __asm__ volatile("" ::: "memory");
}
