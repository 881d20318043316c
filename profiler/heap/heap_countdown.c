
/*
 * The countdown's gaps; see heap_countdown.h. Runs in the allocation hooks, on
 * any thread.
 */


#include <math.h>
#include <stdatomic.h>

#include "heap_countdown.h"


/* How often a thread asks whether sampling is on again, bytes. */
#define REST_BYTES (1024 * 1024)

/* The odd number nearest to 2^64 by the golden ratio: splitmix64's step. */
#define STEP UINT64_C(0x9e3779b97f4a7c15)


/* Here, too: a definition does not take the model of its declaration. */
_Thread_local struct heap_countdown heap_countdown
    __attribute__((tls_model("initial-exec")));

/* Written before the hooks are there. */
static uint64_t process_seed;
static uint64_t mean_gap;

/* How often a thread was given a state. Neither its id nor where its variable
   is tells it from one that has ended. */
static _Atomic uint64_t seedings;


void
heap_countdown_setup(uint64_t seed, uint64_t interval)
{
    process_seed = seed;
    mean_gap = interval;
}


static uint64_t
mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;

    return value ^ (value >> 31);
}


/* In (0, 1], in steps of 2^-53: splitmix64. */
static double
uniform(void)
{
    heap_countdown.state += STEP;

    return (double) ((mix(heap_countdown.state) >> 11) + 1) * 0x1p-53;
}


/*
 * The whole part of an exponentially distributed number: a block of n bytes
 * ends the gap with exactly the probability 1 - exp(-n / mean), and what is
 * left of a gap is distributed as a new one.
 */
static uint64_t
gap_draw(void)
{
    if (mean_gap <= 1) {
        return 0;
    }

    return (uint64_t) (-log(uniform()) * (double) mean_gap);
}


bool
heap_countdown_draw(uint64_t size)
{
    uint64_t seeding;

    if (heap_countdown.state == 0) {
        seeding = atomic_fetch_add_explicit(&seedings, 1, memory_order_relaxed);
        heap_countdown.state = mix(process_seed + seeding * STEP) | 1;
        heap_countdown.left = gap_draw();

        if (heap_countdown_passes(size)) {
            return false;
        }
    }

    heap_countdown.left = gap_draw();

    return true;
}


void
heap_countdown_rest(void)
{
    heap_countdown.left = REST_BYTES;
    /* that is no gap: one is drawn when sampling is on again */
    heap_countdown.state = 0;
}
