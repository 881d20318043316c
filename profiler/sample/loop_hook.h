
/*
 * Times the turns of the event loop: from the return of epoll_wait() (poll(),
 * select()) to its next call.
 *
 * The hook stands in the main program's global offset table, so only the event
 * loop's own waits pass it: a library that polls inside a handler blocks the
 * loop, and is part of a turn. It runs on the main thread; other threads pass
 * straight through. It takes two readings of the clock a turn, none where turns
 * are not timed, and allocates, locks and waits for nothing.
 */


#ifndef NPROF_LOOP_HOOK_H
#define NPROF_LOOP_HOOK_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Turns by length: [i] has those under 2^i microseconds and not under half of
   that, the last one all others. */
#define LOOP_BUCKETS 32

/* Stalls that wait for the profiler thread, a power of two: a tenth of a second
   has a hundred of the shortest. */
#define LOOP_STALLS 256


/* Who may want to be woken when a turn begins: the profiler thread, and the one
   that looks. */
enum loop_watcher {
    LOOP_WATCHER_PROFILER = 0,
    LOOP_WATCHER_LOOKER,
    LOOP_WATCHERS
};


/* A turn that was over the threshold; CLOCK_MONOTONIC, nanoseconds. */
struct loop_stall {
    int64_t start_ns;
    int64_t duration_ns;
};


struct loop_state {
    /* The main thread's thread pointer, 0 while the hook is off. */
    _Atomic uintptr_t thread;

    int64_t threshold_ns;

    /*
     * When the turn that runs began (CLOCK_MONOTONIC), 0 while the loop waits.
     * Stored by the main thread, loaded by its signal handler and by the
     * profiler thread.
     */
    _Atomic int64_t turn_start_ns;

    /* When the last wait began that followed a turn, 0 before the first one; as
       above. */
    _Atomic int64_t wait_start_ns;

    /* Written by the main thread, loaded by the profiler thread. */
    _Atomic uint64_t turns;
    _Atomic uint64_t turns_ns;
    _Atomic uint64_t histogram[LOOP_BUCKETS];

    /* Turns of half the threshold or more; likewise. */
    _Atomic uint64_t slow_turns;

    /*
     * The watchers that want to be woken when a turn begins, a bit for each, set
     * by itself and cleared by the main thread; and what they wait on
     * (futex_wait.h).
     */
    _Atomic uint32_t          sleepers;
    _Atomic uint32_t *_Atomic wakes[LOOP_WATCHERS];

    /* The stalls, a ring: written is stored by the main thread (release), read
       by the profiler thread. */
    struct loop_stall stalls[LOOP_STALLS];
    _Atomic uint64_t  stalls_written;
    _Atomic uint64_t  stalls_read;

    /* Stalls that found the ring full, and their time. */
    _Atomic uint64_t unlisted;
    _Atomic uint64_t unlisted_ns;

    /* The main thread's: whether the loop has waited once. */
    bool waited;
};


/* Written by the main thread but for what is said. Read it through the
   functions below. */
extern struct loop_state loop_state;


/* A threshold: turns are not timed, and need no clock. */
#define LOOP_UNTIMED 0

/*
 * Begins to time the calling thread's loop; INT64_MAX: no turn is a stall. The
 * end of requests' work (request_scope.h) is seen in any case. Call it on the
 * main thread, in a worker after fork; the last call counts. Returns 0 or
 * -errno: -ENOENT if the main program calls none of the three.
 */
int loop_hook_start(int64_t threshold_ns);

/*
 * Ends that, and with it the turn that runs: a loop that is left does not wait
 * once more. The hook stays, and passes through. On the main thread.
 */
void loop_hook_stop(void);

/* When the turn that runs began, 0 if none does. Any thread;
   async-signal-safe. */
static inline int64_t
loop_turn_start(void)
{
    return atomic_load(&loop_state.turn_start_ns);
}


/*
 * Whether the loop has waited since `ns` nanoseconds before the given point in
 * time (CLOCK_MONOTONIC), at least. Any thread; async-signal-safe.
 */
static inline bool
loop_waits_since(int64_t point_ns, int64_t ns)
{
    int64_t start;

    start = atomic_load(&loop_state.wait_start_ns);

    return start != 0 && loop_turn_start() == 0 && point_ns - start >= ns;
}


/* Turns so far. Any thread. */
static inline uint64_t
loop_turns(void)
{
    return atomic_load_explicit(&loop_state.turns, memory_order_relaxed);
}


/* Turns of half the threshold or more so far. Any thread. */
static inline uint64_t
loop_slow_turns(void)
{
    return atomic_load_explicit(&loop_state.slow_turns, memory_order_relaxed);
}


/* How many stalls were ever listed. Profiler thread. */
uint64_t loop_stalls_written(void);

/*
 * The oldest stall in the list, if it is one of the first `end` that ever were;
 * else NULL. It stays until loop_stall_release(). Profiler thread.
 */
const struct loop_stall *loop_stall_peek(uint64_t end);

/* Takes out the stall that was peeked at. Profiler thread. */
void loop_stall_release(void);

/*
 * Asks for futex_flag_wake(wake) when a turn begins, once. Returns false if one
 * runs already. wake is used until loop_hook_stop(). The watcher's thread.
 */
bool loop_watcher_sleep(enum loop_watcher watcher, _Atomic uint32_t *wake);

/* It need not be woken any more. The watcher's thread. */
void loop_watcher_rise(enum loop_watcher watcher);

/* Whether the watcher sleeps still. Its own thread. */
static inline bool
loop_watcher_sleeps(enum loop_watcher watcher)
{
    return (atomic_load(&loop_state.sleepers) & 1u << watcher) != 0;
}


#endif /* NPROF_LOOP_HOOK_H */
