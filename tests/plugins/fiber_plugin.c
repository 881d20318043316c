/*
 * A plug-in that sorts on a stack of its own, as coroutine libraries do, at
 * the low end of a mapping whose rest it gives back and takes again meanwhile:
 * what lies above such a stack may be gone at any time. For tests of the
 * sampler; it takes about half a second of CPU time whatever it is given.
 */

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "sort_plugin.h"


#define FIBER_STACK (32 * 1024)
#define FIBER_MAPPING (1024 * 1024)
#define FIBER_BURN_NS 250000000


void fiber_burn(void);

extern const sort_plugin_t sort_plugin;


static __thread ucontext_t fiber, back;


/* Busy for a time on whatever stack this is. */
__attribute__((noinline)) void
fiber_burn(void)
{
    struct timespec   start, now;
    volatile unsigned spin;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);

    do {
        for (spin = 0; spin < 10000; spin++) {
            /* void */
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec
                 - start.tv_nsec
             < FIBER_BURN_NS);
}


static void
fiber_main(void)
{
    char *above = (char *) back.uc_link;

    fiber_burn();
    munmap(above, FIBER_MAPPING - FIBER_STACK);
    fiber_burn();
}


static void
fiber_sort(int64_t *values, size_t count)
{
    size_t  i, j;
    int64_t value;
    char   *stack;

    for (i = 1; i < count; i++) {
        value = values[i];
        for (j = i; j > 0 && values[j - 1] > value; j--) {
            values[j] = values[j - 1];
        }
        values[j] = value;
    }

    stack = mmap(NULL, FIBER_MAPPING, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return;
    }

    getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = FIBER_STACK;
    fiber.uc_link = &back;
    makecontext(&fiber, fiber_main, 0);

    back.uc_link = (ucontext_t *) (stack + FIBER_STACK);
    swapcontext(&back, &fiber);

    munmap(stack, FIBER_STACK);
}


const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "fiber",
    .version = "1",
    .sort = fiber_sort,
};
