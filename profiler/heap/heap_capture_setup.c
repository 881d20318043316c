
/*
 * Turns the capture of sampled allocations on and off. It is apart from
 * heap_capture.c, which may call nothing that an allocation hook may not.
 */


#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../nprof_clock.h"
#include "../sample/thread_slot.h"
#include "heap_capture.h"
#include "heap_countdown.h"
#include "heap_ring.h"
#include "live_set.h"


/* A child has the rings of its parent, which nobody reads. */
static void
child_forked(void)
{
    atomic_store(&heap_state.active, false);
}


/* The main thread's stack as far as it is known to be mapped when SP is in
   it. */
static void
main_stack_find(void)
{
    size_t i;

    heap_state.main_lo = 0;
    heap_state.main_hi = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used && thread_slots[i].main_thread) {
            heap_state.main_hi = atomic_load(&thread_slots[i].stack_hi);
            heap_state.main_lo = atomic_load(&thread_slots[i].stack_lo);
        }
    }
}


int
heap_capture_prepare(void)
{
    int         rc;
    static bool registered;

    rc = live_set_open();
    if (rc == 0) {
        rc = heap_ring_open();
    }

    if (rc == 0 && !registered) {
        rc = -pthread_atfork(NULL, NULL, child_forked);
        registered = rc == 0;
    }

    return rc;
}


const char *
heap_capture_missing(void)
{
    char         from = 0, to;
    struct iovec local = {&to, 1}, remote = {&from, 1};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1
               ? NULL
               : "process_vm_readv() is forbidden";
}


void
heap_capture_start(uint64_t interval)
{
    uint64_t seed;

    /* workers are forks of one master: without it their points are the same */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK)
        != (ssize_t) sizeof(seed)) {
        seed = (uint64_t) clock_ns(CLOCK_REALTIME) << 22 ^ (uint64_t) getpid();
    }

    main_stack_find();
    heap_countdown_setup(seed, interval);
    heap_state.interval = interval;
    heap_state.pid = getpid();

    /* release: pairs with heap_capture_wanted() */
    atomic_store_explicit(&heap_state.active, true, memory_order_release);
}


void
heap_capture_stop(void)
{
    atomic_store(&heap_state.active, false);
}
