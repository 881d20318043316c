
/*
 * The label set that each thread works under now.
 *
 * A thread sets its own; its signal handler and the profiler thread load it.
 * The main thread's is a word of its own, and setting it is a store. Any other
 * thread has a cell, found by its id, for as long as its set is not the empty
 * one; so it needs no slot (thread_slot.h), and no thread-local storage.
 */


#ifndef NPROF_THREAD_LABEL_H
#define NPROF_THREAD_LABEL_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>


/* Threads that have labels at one time; a power of two. */
#define THREAD_LABEL_CELLS 512

/* A thread's cell is one of so many from the place that its id says on. */
#define THREAD_LABEL_REACH 16


struct thread_labels {
    /* The main thread's thread pointer; 0: labels are off, and that thread's
       set is empty. Stored by start and stop. */
    _Atomic uintptr_t main_thread;

    /* Stored by the main thread alone: its set, and the span (nprof.h) of the
       request that it works for, 0 if there is none. */
    _Atomic uint32_t main_set;
    _Atomic uint64_t main_span;

    /* Thread id (upper half) and set; 0 if free. Taken and given back by the
       thread itself. */
    _Atomic uint64_t cells[THREAD_LABEL_CELLS];

    /* Of a cell that is taken: the request (request_scope.h) that its thread
       works for, and the span of that. Stored by the thread itself. */
    _Atomic uint32_t requests[THREAD_LABEL_CELLS];
    _Atomic uint64_t spans[THREAD_LABEL_CELLS];

    /* Sets that were not applied, since the thread found no free cell. */
    _Atomic uint64_t refused;
};


extern struct thread_labels thread_labels;


/* The caller is the main thread from here on. Main thread. */
void thread_label_start(void);

/* No thread has labels any more. Main thread. */
void thread_label_stop(void);

/* What a thread works for. */
struct thread_work {
    uint32_t set;

    /* The main thread's are not here: request_scope.h has them. */
    uint32_t request;
    uint64_t span;
};


/* The calling thread's. */
struct thread_work thread_label_current(void);

/*
 * Makes that the calling thread's, of the main thread the set only, and returns
 * what it had. A thread has to give its labels up (LABEL_SET_NONE) before it
 * ends.
 */
struct thread_work thread_label_apply(struct thread_work work);

/* The thread is gone: so are its labels. Profiler thread. */
void thread_label_forget(pid_t tid);


/* Whether labels are on, and the caller is the main thread. Any thread. */
static inline bool
thread_label_on_main(void)
{
    return atomic_load_explicit(&thread_labels.main_thread,
                                memory_order_relaxed)
           == (uintptr_t) __builtin_thread_pointer();
}


/* The cell of an id, one of THREAD_LABEL_REACH. */
static inline _Atomic uint64_t *
thread_label_cell(pid_t tid, unsigned i)
{
    return &thread_labels
                .cells[((unsigned) tid + i) & (THREAD_LABEL_CELLS - 1)];
}


/* The cell that the thread has, or NULL. */
static inline _Atomic uint64_t *
thread_label_find(pid_t tid)
{
    unsigned          i;
    _Atomic uint64_t *cell;

    for (i = 0; i < THREAD_LABEL_REACH; i++) {
        cell = thread_label_cell(tid, i);

        /* acquire: pairs with thread_label_apply(); the set's text is there */
        if (atomic_load_explicit(cell, memory_order_acquire) >> 32
            == (uint32_t) tid) {
            return cell;
        }
    }

    return NULL;
}


/* The set of any thread. Any thread; async-signal-safe. */
static inline uint32_t
thread_label_of(pid_t tid, bool main_thread)
{
    _Atomic uint64_t *cell;

    if (main_thread) {
        return atomic_load_explicit(&thread_labels.main_set,
                                    memory_order_acquire);
    }

    cell = thread_label_find(tid);

    return cell == NULL
               ? 0
               : (uint32_t) atomic_load_explicit(cell, memory_order_relaxed);
}


/* The span that the main thread works for. Any thread; async-signal-safe. */
static inline uint64_t
thread_label_main_span(void)
{
    return atomic_load_explicit(&thread_labels.main_span, memory_order_relaxed);
}


/* The span that any thread works for. Any thread; async-signal-safe. */
static inline uint64_t
thread_label_span_of(pid_t tid, bool main_thread)
{
    _Atomic uint64_t *cell;

    if (main_thread) {
        return thread_label_main_span();
    }

    cell = thread_label_find(tid);

    return cell == NULL ? 0
                        : atomic_load_explicit(
                            &thread_labels.spans[cell - thread_labels.cells],
                            memory_order_relaxed);
}


/* Sets the main thread's; on that thread. A signal between the stores sees the
   set of one request and the span of another: one of millions. */
static inline void
thread_label_set_main(uint32_t set, uint64_t span)
{
    atomic_store_explicit(&thread_labels.main_span, span, memory_order_relaxed);

    /* release: pairs with thread_label_of() */
    atomic_store_explicit(&thread_labels.main_set, set, memory_order_release);
}


#endif /* NPROF_THREAD_LABEL_H */
