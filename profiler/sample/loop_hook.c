
/*
 * The hook on the event loop's wait; see loop_hook.h.
 */


#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "../counter_add.h"
#include "../futex_wait.h"
#include "../nprof_clock.h"
#include "got_patch.h"
#include "loop_hook.h"
#include "request_scope.h"


struct loop_state loop_state;


static int  epoll_wait_hook(int fd, struct epoll_event *events, int n,
                            int timeout);
static int  poll_hook(struct pollfd *fds, nfds_t n, int timeout);
static int  select_hook(int n, fd_set *readable, fd_set *writable,
                        fd_set *exceptions, struct timeval *timeout);
static void turn_end(void);


/* Whether the slots of the main program point to us: they do for good. */
static bool hooked;


static int
loop_hook_install(void)
{
    int    rc, written;
    size_t i;

    const struct {
        const char *symbol;
        void       *target;
        void       *replacement;
    } waits[] = {
        {"epoll_wait", (void *) epoll_wait, (void *) epoll_wait_hook},
        {"poll", (void *) poll, (void *) poll_hook},
        {"select", (void *) select, (void *) select_hook},
    };

    written = 0;

    for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        rc = got_patch_program(waits[i].symbol, waits[i].target,
                               waits[i].replacement);
        if (rc < 0) {
            return rc;
        }

        written += rc;
    }

    return written == 0 ? -ENOENT : 0;
}


int
loop_hook_start(int64_t threshold_ns)
{
    int rc;

    if (!hooked) {
        rc = loop_hook_install();
        if (rc != 0) {
            return rc;
        }

        hooked = true;
    }

    loop_state.threshold_ns = threshold_ns;
    loop_state.waited = false;
    atomic_store(&loop_state.wait_start_ns, 0);
    atomic_store(&loop_state.turn_start_ns, 0);
    atomic_store(&loop_state.sleepers, 0);
    atomic_store(&loop_state.thread, (uintptr_t) __builtin_thread_pointer());

    return 0;
}


void
loop_hook_stop(void)
{
    atomic_store(&loop_state.thread, 0);
    turn_end();
    /* no wait followed */
    atomic_store(&loop_state.wait_start_ns, 0);
}


static void
stall_put(int64_t start, int64_t duration)
{
    uint64_t           written;
    struct loop_stall *stall;

    written = atomic_load_explicit(&loop_state.stalls_written,
                                   memory_order_relaxed);

    /* acquire: pairs with loop_stall_release(), which ends the reads */
    if (written
            - atomic_load_explicit(&loop_state.stalls_read,
                                   memory_order_acquire)
        == LOOP_STALLS) {
        atomic_fetch_add(&loop_state.unlisted_ns, (uint64_t) duration);
        atomic_fetch_add(&loop_state.unlisted, 1);
        return;
    }

    stall = &loop_state.stalls[written % LOOP_STALLS];
    stall->start_ns = start;
    stall->duration_ns = duration;

    /* release: pairs with loop_stalls_written() */
    atomic_store_explicit(&loop_state.stalls_written, written + 1,
                          memory_order_release);
}


static void
turn_end(void)
{
    int64_t  start, now, duration;
    uint64_t us;
    unsigned bucket;

    start
        = atomic_load_explicit(&loop_state.turn_start_ns, memory_order_relaxed);
    if (start == 0) {
        return;
    }

    now = clock_ns(CLOCK_MONOTONIC);
    duration = now - start;
    us = (uint64_t) duration / 1000;
    bucket = us == 0 ? 0 : 64 - (unsigned) __builtin_clzll(us);

    counter_add(&loop_state.turns, 1);
    counter_add(&loop_state.turns_ns, (uint64_t) duration);
    counter_add(&loop_state.histogram[bucket < LOOP_BUCKETS ? bucket
                                                            : LOOP_BUCKETS - 1],
                1);

    if (duration >= loop_state.threshold_ns / 2) {
        counter_add(&loop_state.slow_turns, 1);
    }

    /* a sample that is taken from here on is of no turn */
    atomic_store_explicit(&loop_state.wait_start_ns, now, memory_order_relaxed);
    atomic_store_explicit(&loop_state.turn_start_ns, 0, memory_order_release);

    if (duration >= loop_state.threshold_ns) {
        stall_put(start, duration);
    }
}


/* The loop has done what there was to do, for whomever. */
static inline void
loop_waits(void)
{
    request_scope_leave();
    turn_end();
}


static void
watchers_wake(void)
{
    int      error;
    uint32_t i, sleepers;

    error = errno;
    sleepers = atomic_exchange(&loop_state.sleepers, 0);

    for (i = 0; i < LOOP_WATCHERS; i++) {
        if (sleepers & 1u << i) {
            futex_flag_wake(atomic_load(&loop_state.wakes[i]));
        }
    }

    errno = error;
}


/*
 * What follows the first wait is no turn: nginx's epoll module makes one while
 * the worker still starts, to see what the kernel can do.
 */
static void
turn_begin(void)
{
    if (!loop_state.waited) {
        loop_state.waited = true;
        return;
    }

    if (loop_state.threshold_ns == LOOP_UNTIMED) {
        return;
    }

    /* sequentially consistent, as is loop_watcher_sleep(): one sees the other */
    atomic_store(&loop_state.turn_start_ns, clock_ns(CLOCK_MONOTONIC));

    if (atomic_load(&loop_state.sleepers) != 0) {
        watchers_wake();
    }
}


static inline bool
loop_is_callers(void)
{
    return atomic_load_explicit(&loop_state.thread, memory_order_relaxed)
           == (uintptr_t) __builtin_thread_pointer();
}


static int
epoll_wait_hook(int fd, struct epoll_event *events, int n, int timeout)
{
    int rc;

    if (!loop_is_callers()) {
        return epoll_wait(fd, events, n, timeout);
    }

    loop_waits();
    rc = epoll_wait(fd, events, n, timeout);
    turn_begin();

    return rc;
}


static int
poll_hook(struct pollfd *fds, nfds_t n, int timeout)
{
    int rc;

    if (!loop_is_callers()) {
        return poll(fds, n, timeout);
    }

    loop_waits();
    rc = poll(fds, n, timeout);
    turn_begin();

    return rc;
}


static int
select_hook(int n, fd_set *readable, fd_set *writable, fd_set *exceptions,
            struct timeval *timeout)
{
    int rc;

    if (!loop_is_callers()) {
        return select(n, readable, writable, exceptions, timeout);
    }

    loop_waits();
    rc = select(n, readable, writable, exceptions, timeout);
    turn_begin();

    return rc;
}


uint64_t
loop_stalls_written(void)
{
    /* acquire: pairs with stall_put() */
    return atomic_load_explicit(&loop_state.stalls_written,
                                memory_order_acquire);
}


const struct loop_stall *
loop_stall_peek(uint64_t end)
{
    uint64_t read;

    read = atomic_load_explicit(&loop_state.stalls_read, memory_order_relaxed);

    /* beyond the end is what a sample of a later turn has brought out */
    return read >= end ? NULL : &loop_state.stalls[read % LOOP_STALLS];
}


void
loop_stall_release(void)
{
    /* release: pairs with stall_put() */
    atomic_fetch_add_explicit(&loop_state.stalls_read, 1, memory_order_release);
}


bool
loop_watcher_sleep(enum loop_watcher watcher, _Atomic uint32_t *wake)
{
    atomic_store(&loop_state.wakes[watcher], wake);
    atomic_fetch_or(&loop_state.sleepers, 1u << watcher);

    if (loop_turn_start() != 0) {
        loop_watcher_rise(watcher);
        return false;
    }

    return true;
}


void
loop_watcher_rise(enum loop_watcher watcher)
{
    atomic_fetch_and(&loop_state.sleepers, ~(1u << watcher));
}
