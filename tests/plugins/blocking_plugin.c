/*
 * A plug-in that holds its thread up. Of the two numbers that it is given, the
 * smaller says how (enum block_how), the larger how long, in milliseconds of
 * 100 and more. For tests of the sampler.
 */

#include <alloca.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sort_plugin.h"


enum block_how {
    BLOCK_SLEEP = 0,
    /* A library's wait for its own descriptor: the loop's it is not. */
    BLOCK_POLL,
    /* Below a function that finds its frame by the frame pointer. */
    BLOCK_FRAME,
    BLOCK_BURN,
    /* Half of it burnt, then half slept. */
    BLOCK_BOTH
};


/* So that no call is a tail call. */
#define STAY() __asm__ volatile("" ::: "memory")

#define NOINLINE __attribute__((noinline, noclone))


void block_in_sleep(int64_t ms);
void block_in_poll(int64_t ms);
void block_in_frame(int64_t ms);
void block_in_burn(int64_t ms);
void block_sort(int64_t *values, size_t count);

extern const sort_plugin_t sort_plugin;


NOINLINE void
block_in_sleep(int64_t ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&time, &time) != 0) {
        /* void */
    }

    STAY();
}


NOINLINE void
block_in_poll(int64_t ms)
{
    int           fds[2];
    struct pollfd polled;

    if (pipe(fds) == 0) {
        polled.fd = fds[0];
        polled.events = POLLIN;
        (void) poll(&polled, 1, (int) ms);
        close(fds[0]);
        close(fds[1]);
    }

    STAY();
}


/* alloca() of an unknown size: the compiler has to keep a frame pointer. */
NOINLINE void
block_in_frame(int64_t ms)
{
    char *room;

    room = alloca((size_t) ms);
    memset(room, 1, (size_t) ms);
    __asm__ volatile("" ::"r"(room) : "memory");
    block_in_sleep(ms);
    STAY();
}


NOINLINE void
block_in_burn(int64_t ms)
{
    struct timespec   start, now;
    volatile unsigned spin;

    clock_gettime(CLOCK_MONOTONIC, &start);

    do {
        for (spin = 0; spin < 10000; spin++) {
            /* void */
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000
                 + (now.tv_nsec - start.tv_nsec) / 1000000
             < ms);

    STAY();
}


NOINLINE void
block_sort(int64_t *values, size_t count)
{
    int64_t how, ms;

    if (count != 2) {
        return;
    }

    how = values[0] < values[1] ? values[0] : values[1];
    ms = values[0] < values[1] ? values[1] : values[0];

    switch (how) {
    case BLOCK_SLEEP:
        block_in_sleep(ms);
        break;
    case BLOCK_POLL:
        block_in_poll(ms);
        break;
    case BLOCK_FRAME:
        block_in_frame(ms);
        break;
    case BLOCK_BURN:
        block_in_burn(ms);
        break;
    default: /* BLOCK_BOTH */
        block_in_burn(ms / 2);
        block_in_sleep(ms - ms / 2);
        break;
    }

    values[0] = how;
    values[1] = ms;
    STAY();
}


const sort_plugin_t sort_plugin = {
    .abi = SORT_PLUGIN_ABI,
    .size = sizeof(sort_plugin_t),
    .name = "blocking",
    .version = "1",
    .sort = block_sort,
};
