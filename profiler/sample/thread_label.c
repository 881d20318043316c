
/*
 * Labels of threads; see thread_label.h.
 */


#include <unistd.h>

#include "label_set.h"
#include "thread_label.h"


struct thread_labels thread_labels;


void
thread_label_start(void)
{
    thread_label_set_main(LABEL_SET_NONE);
    atomic_store(&thread_labels.main_thread,
                 (uintptr_t) __builtin_thread_pointer());
}


void
thread_label_stop(void)
{
    unsigned i;

    atomic_store(&thread_labels.main_thread, 0);
    thread_label_set_main(LABEL_SET_NONE);

    for (i = 0; i < THREAD_LABEL_CELLS; i++) {
        atomic_store(&thread_labels.cells[i], 0);
    }
}


/* The thread's cell, or NULL. */
static _Atomic uint64_t *
cell_find(pid_t tid)
{
    unsigned          i;
    _Atomic uint64_t *cell;

    for (i = 0; i < THREAD_LABEL_REACH; i++) {
        cell = thread_label_cell(tid, i);

        if (atomic_load_explicit(cell, memory_order_relaxed) >> 32
            == (uint32_t) tid) {
            return cell;
        }
    }

    return NULL;
}


/* Takes a free cell for the thread, if there is one. */
static void
cell_take(pid_t tid, uint32_t set)
{
    unsigned i;
    uint64_t none;

    for (i = 0; i < THREAD_LABEL_REACH; i++) {
        none = 0;

        /* release: pairs with thread_label_of() */
        if (atomic_compare_exchange_strong_explicit(
                thread_label_cell(tid, i), &none, (uint64_t) tid << 32 | set,
                memory_order_release, memory_order_relaxed)) {
            return;
        }
    }

    atomic_fetch_add(&thread_labels.refused, 1);
}


uint32_t
thread_label_current(void)
{
    bool main_thread;

    if (atomic_load_explicit(&thread_labels.main_thread, memory_order_relaxed)
        == 0) {
        return LABEL_SET_NONE;
    }

    main_thread = thread_label_on_main();

    return thread_label_of(main_thread ? 0 : gettid(), main_thread);
}


static uint32_t
apply_in_cell(pid_t tid, uint32_t set)
{
    uint64_t          before;
    _Atomic uint64_t *cell;

    cell = cell_find(tid);

    if (cell == NULL) {
        if (set != LABEL_SET_NONE) {
            cell_take(tid, set);
        }

        return LABEL_SET_NONE;
    }

    before = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(
        cell, set == LABEL_SET_NONE ? 0 : (uint64_t) tid << 32 | set,
        memory_order_release);

    return (uint32_t) before;
}


uint32_t
thread_label_apply(uint32_t set)
{
    uint32_t before;

    if (thread_label_on_main()) {
        before = thread_label_of(0, true);
        thread_label_set_main(set);
        return before;
    }

    if (atomic_load_explicit(&thread_labels.main_thread, memory_order_relaxed)
        == 0) {
        return LABEL_SET_NONE;
    }

    return apply_in_cell(gettid(), set);
}


void
thread_label_forget(pid_t tid)
{
    _Atomic uint64_t *cell;

    cell = cell_find(tid);

    if (cell != NULL) {
        atomic_store(cell, 0);
    }
}
