
/*
 * Times malloc() and free() of whatever allocator the process has, with or
 * without libnprof's heap profile.
 *
 * Usage: malloc_driver [LIBNPROF]
 *
 * A line "SIZE PAIRS" on standard input has it allocate and free so many blocks
 * of that size, and answer with the CPU time of the thread in nanoseconds, or
 * with what went wrong. 64 MB in blocks of 4 KB stay allocated from the start
 * on, so that a profile has live blocks.
 */


#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nprof.h"


#define KEPT_BLOCKS (16 * 1024)
#define KEPT_SIZE 4096


static int64_t
cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);

    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


static const char *
profiler_start(const char *path)
{
    void                       *handle;
    struct nprof               *nprof;
    const struct nprof_library *library;

    const struct nprof_config config = {
        .rate = NPROF_RATE_DEFAULT,
        .types = NPROF_TYPE(NPROF_JOB_HEAP),
        .stall_threshold_ms = NPROF_STALL_THRESHOLD_MIN,
        .heap_interval = NPROF_HEAP_INTERVAL_DEFAULT,
        .period_ms = NPROF_PERIOD_DEFAULT,
    };

    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return dlerror();
    }

    library = dlsym(handle, NPROF_SYMBOL);
    if (library == NULL || library->abi != NPROF_ABI) {
        return "another libnprof";
    }

    if (library->prepare() != 0 || library->start(&config, &nprof) != 0) {
        return "libnprof does not start";
    }

    return library->warning(nprof);
}


static int
blocks_keep(void)
{
    int          i;
    static void *kept[KEPT_BLOCKS];

    for (i = 0; i < KEPT_BLOCKS; i++) {
        kept[i] = malloc(KEPT_SIZE);
        if (kept[i] == NULL) {
            return -1;
        }
    }

    return 0;
}


static int64_t
pairs_time(size_t size, uint64_t pairs)
{
    int64_t start;
    void *volatile block;

    start = cpu_ns();

    while (pairs-- > 0) {
        block = malloc(size);
        free(block);
    }

    return cpu_ns() - start;
}


int
main(int argc, char **argv)
{
    size_t      size;
    uint64_t    pairs;
    const char *error;

    error = argc > 1 ? profiler_start(argv[1]) : NULL;

    if (error == NULL && blocks_keep() != 0) {
        error = "no memory";
    }

    while (scanf("%zu %" SCNu64, &size, &pairs) == 2) {
        if (error != NULL) {
            printf("%s\n", error);
        } else {
            printf("%" PRId64 "\n", pairs_time(size, pairs));
        }

        fflush(stdout);
    }

    return 0;
}
