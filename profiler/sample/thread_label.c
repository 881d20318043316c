
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
    thread_label_set_main(LABEL_SET_NONE, 0);
    atomic_store(&thread_labels.main_thread,
                 (uintptr_t) __builtin_thread_pointer());
}


void
thread_label_stop(void)
{
    unsigned i;

    atomic_store(&thread_labels.main_thread, 0);
    thread_label_set_main(LABEL_SET_NONE, 0);

    for (i = 0; i < THREAD_LABEL_CELLS; i++) {
        atomic_store(&thread_labels.cells[i], 0);
    }
}


static void
cell_fill(_Atomic uint64_t *cell, const struct thread_work *work)
{
    size_t i;

    i = (size_t) (cell - thread_labels.cells);
    atomic_store_explicit(&thread_labels.requests[i], work->request,
                          memory_order_relaxed);
    atomic_store_explicit(&thread_labels.spans[i], work->span,
                          memory_order_relaxed);
}


/* Takes a free cell for the thread, if there is one. */
static void
cell_take(pid_t tid, const struct thread_work *work)
{
    unsigned          i;
    uint64_t          none;
    _Atomic uint64_t *cell;

    for (i = 0; i < THREAD_LABEL_REACH; i++) {
        none = 0;
        cell = thread_label_cell(tid, i);

        /* release: pairs with thread_label_find() */
        if (atomic_compare_exchange_strong_explicit(
                cell, &none, (uint64_t) tid << 32 | work->set,
                memory_order_release, memory_order_relaxed)) {
            cell_fill(cell, work);
            return;
        }
    }

    atomic_fetch_add(&thread_labels.refused, 1);
}


/* What has a cell is left without a span: it is the next one's. */
static void
cell_give_up(_Atomic uint64_t *cell)
{
    cell_fill(cell, &(struct thread_work){0, 0, 0});
    atomic_store_explicit(cell, 0, memory_order_release);
}


static struct thread_work
cell_work(const _Atomic uint64_t *cell)
{
    size_t i;

    if (cell == NULL) {
        return (struct thread_work){LABEL_SET_NONE, 0, 0};
    }

    i = (size_t) (cell - thread_labels.cells);

    return (struct thread_work){
        (uint32_t) atomic_load_explicit(cell, memory_order_relaxed),
        atomic_load_explicit(&thread_labels.requests[i], memory_order_relaxed),
        atomic_load_explicit(&thread_labels.spans[i], memory_order_relaxed)};
}


static struct thread_work
main_work(void)
{
    return (struct thread_work){thread_label_of(0, true), 0,
                                thread_label_main_span()};
}


struct thread_work
thread_label_current(void)
{
    if (thread_label_on_main()) {
        return main_work();
    }

    return cell_work(
        atomic_load_explicit(&thread_labels.main_thread, memory_order_relaxed)
                == 0
            ? NULL
            : thread_label_find(gettid()));
}


static struct thread_work
apply_in_cell(pid_t tid, const struct thread_work *work)
{
    struct thread_work before;
    _Atomic uint64_t  *cell;

    cell = thread_label_find(tid);
    before = cell_work(cell);

    if (cell == NULL) {
        if (work->set != LABEL_SET_NONE) {
            cell_take(tid, work);
        }

    } else if (work->set == LABEL_SET_NONE) {
        cell_give_up(cell);

    } else {
        cell_fill(cell, work);
        atomic_store_explicit(cell, (uint64_t) tid << 32 | work->set,
                              memory_order_release);
    }

    return before;
}


struct thread_work
thread_label_apply(struct thread_work work)
{
    struct thread_work before;

    if (thread_label_on_main()) {
        before = main_work();
        thread_label_set_main(work.set, before.span);
        return before;
    }

    if (atomic_load_explicit(&thread_labels.main_thread, memory_order_relaxed)
        == 0) {
        return cell_work(NULL);
    }

    return apply_in_cell(gettid(), &work);
}


void
thread_label_forget(pid_t tid)
{
    _Atomic uint64_t *cell;

    cell = thread_label_find(tid);

    if (cell != NULL) {
        cell_give_up(cell);
    }
}
