
/*
 * Labels of threads: the main thread's word, and the cells of all others.
 */


#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "sample/thread_label.h"


static uint32_t
seen(pid_t tid)
{
    return thread_label_of(tid, false);
}


/* Without a span; the set of before. */
static uint32_t
apply(uint32_t set)
{
    return thread_label_apply((struct thread_work){set, 0, 0}).set;
}


Test(thread_label, nothing_happens_before_the_start)
{
    cr_assert_eq(apply(7), 0);
    cr_assert_eq(thread_label_current().set, 0);
    cr_assert_eq(seen(gettid()), 0);
    cr_assert_eq(thread_label_of(gettid(), true), 0);
}


Test(thread_label, main_thread_nests)
{
    thread_label_start();

    cr_assert_eq(apply(7), 0);
    cr_assert_eq(apply(8), 7);
    cr_assert_eq(thread_label_current().set, 8);
    cr_assert_eq(thread_label_of(1, true), 8);
    cr_assert_eq(seen(gettid()), 0);
    cr_assert_eq(apply(7), 8);
    cr_assert_eq(apply(0), 7);
    cr_assert_eq(thread_label_of(1, true), 0);

    apply(9);
    thread_label_stop();
    cr_assert_eq(thread_label_of(1, true), 0);
}


static void *
label_and_look(void *data)
{
    (void) data;

    cr_assert_eq(apply(5), 0);
    cr_assert_eq(apply(6), 5);
    cr_assert_eq(thread_label_current().set, 6);
    cr_assert_eq(seen(gettid()), 6);
    cr_assert_eq(thread_label_of(1, true), 1);
    cr_assert_eq(apply(5), 6);
    cr_assert_eq(apply(0), 5);
    cr_assert_eq(seen(gettid()), 0);

    return NULL;
}


Test(thread_label, other_threads_have_their_own)
{
    pthread_t thread;

    thread_label_start();
    apply(1);

    cr_assert_eq(pthread_create(&thread, NULL, label_and_look, NULL), 0);
    pthread_join(thread, NULL);
}


static void *
work_for_spans(void *data)
{
    struct thread_work before;

    (void) data;

    (void) thread_label_apply((struct thread_work){5, 50, 500});
    cr_assert_eq(thread_label_span_of(gettid(), false), 500);

    before = thread_label_apply((struct thread_work){6, 60, 600});
    cr_assert_eq(before.set, 5);
    cr_assert_eq(before.request, 50);
    cr_assert_eq(thread_label_current().request, 60);
    cr_assert_eq(thread_label_span_of(gettid(), false), 600);

    (void) thread_label_apply(before);
    cr_assert_eq(thread_label_span_of(gettid(), false), 500);

    (void) apply(0);
    cr_assert_eq(thread_label_span_of(gettid(), false), 0);
    (void) apply(7);
    cr_assert_eq(thread_label_span_of(gettid(), false), 0);
    (void) apply(0);

    return NULL;
}


Test(thread_label, spans)
{
    pthread_t thread;

    thread_label_start();
    thread_label_set_main(1, 100);
    cr_assert_eq(thread_label_span_of(0, true), 100);

    /* what applies labels on the main thread leaves it the span */
    cr_assert_eq(apply(2), 1);
    cr_assert_eq(thread_label_span_of(0, true), 100);

    cr_assert_eq(pthread_create(&thread, NULL, work_for_spans, NULL), 0);
    pthread_join(thread, NULL);
}


static void *
label_and_end(void *data)
{
    pid_t *tid = data;

    *tid = gettid();
    apply(5);

    return NULL;
}


static pid_t
ended_with_labels(void)
{
    pid_t     tid;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, label_and_end, &tid), 0);
    pthread_join(thread, NULL);

    return tid;
}


Test(thread_label, a_thread_that_is_gone_is_forgotten)
{
    pid_t tid;

    thread_label_start();

    tid = ended_with_labels();
    cr_assert_eq(seen(tid), 5);

    thread_label_forget(tid);
    cr_assert_eq(seen(tid), 0);

    thread_label_forget(tid);
}


/* The neighbours of a cell that is given up are found as before. */
Test(thread_label, cells_that_collide)
{
    pid_t    tid;
    unsigned i;

    thread_label_start();

    for (i = 0; i < THREAD_LABEL_CELLS; i++) {
        atomic_store(&thread_labels.cells[i], (uint64_t) 1 << 32 | 3);
    }

    cr_assert_eq(seen(ended_with_labels()), 0);
    cr_assert_eq(atomic_load(&thread_labels.refused), 1);

    for (i = 0; i < THREAD_LABEL_CELLS; i += THREAD_LABEL_REACH) {
        atomic_store(&thread_labels.cells[i], 0);
    }

    tid = ended_with_labels();
    cr_assert_eq(seen(tid), 5);

    for (i = 0; i < THREAD_LABEL_CELLS; i++) {
        if (atomic_load(&thread_labels.cells[i]) >> 32 == 1) {
            atomic_store(&thread_labels.cells[i], 0);
        }
    }

    cr_assert_eq(seen(tid), 5);
}
