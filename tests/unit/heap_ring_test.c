/*
 * The ring of sampled allocations: records of all lengths from several threads
 * arrive whole, each once, and each thread's in order.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "heap/heap_ring.h"


#define THREADS 4
#define RECORDS 20000


static void
ring_open(void)
{
    cr_assert_eq(heap_ring_open(), 0);
}


TestSuite(heap_ring, .init = ring_open, .timeout = 60);


/* Of the n-th record of a thread; up to 9,600 bytes. */
static size_t
stack_size(unsigned thread, unsigned n)
{
    return (thread * 7919 + n * 104729) % 1200 * 8;
}


static void
record_fill(struct heap_record *record, unsigned thread, unsigned n)
{
    record->tid = (pid_t) thread;
    record->size = n;
    record->sample.stack_size = stack_size(thread, n);
    memset(record->sample.stack, (int) (thread + n), stack_size(thread, n));
}


static bool
record_is_whole(const struct heap_record *record, unsigned thread, unsigned n)
{
    size_t i, size = stack_size(thread, n);

    if (record->size != n || record->sample.stack_size != size) {
        return false;
    }

    for (i = 0; i < size; i++) {
        if (record->sample.stack[i] != (unsigned char) (thread + n)) {
            return false;
        }
    }

    return true;
}


static void *
produce(void *data)
{
    unsigned            n, thread = (unsigned) (uintptr_t) data;
    struct heap_record *record;

    for (n = 0; n < RECORDS; n++) {
        while ((record = heap_ring_reserve(stack_size(thread, n))) == NULL) {
            sched_yield();
        }

        record_fill(record, thread, n);
        (void) heap_ring_commit(record);
    }

    return NULL;
}


Test(heap_ring, records_of_threads_arrive_whole_and_in_order)
{
    unsigned                  i, all, next[THREADS] = {0};
    pthread_t                 threads[THREADS];
    const struct heap_record *record;

    for (i = 0; i < THREADS; i++) {
        cr_assert_eq(
            pthread_create(&threads[i], NULL, produce, (void *) (uintptr_t) i),
            0);
    }

    for (all = 0; all < THREADS * RECORDS;) {
        record = heap_ring_peek(heap_ring_end());
        if (record == NULL) {
            sched_yield();
            continue;
        }

        i = (unsigned) record->tid;
        cr_assert(i < THREADS && record_is_whole(record, i, next[i]));
        next[i]++;
        all++;
        heap_ring_release();
    }

    for (i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_expect_eq(next[i], RECORDS);
    }

    cr_expect_null(heap_ring_peek(heap_ring_end()));
}


/* What is not published holds up what comes after it, and the line too. */
Test(heap_ring, a_record_waits_for_those_before_it)
{
    uint64_t            line;
    struct heap_record *first, *second;

    first = heap_ring_reserve(100);
    second = heap_ring_reserve(200);
    second->size = 2;
    (void) heap_ring_commit(second);
    line = heap_ring_end();
    cr_expect_null(heap_ring_peek(line));

    first->size = 1;
    (void) heap_ring_commit(first);
    (void) heap_ring_commit(heap_ring_reserve(300));

    cr_expect_eq(heap_ring_peek(line)->size, 1);
    heap_ring_release();
    cr_expect_eq(heap_ring_peek(line)->size, 2);
    heap_ring_release();
    cr_expect_null(heap_ring_peek(line), "the third is behind the line");
    cr_expect_not_null(heap_ring_peek(heap_ring_end()));
    heap_ring_release();
}


Test(heap_ring, a_full_ring_refuses_and_says_when_it_is_half_full)
{
    unsigned            n, halves = 0;
    struct heap_record *record;

    for (n = 0; (record = heap_ring_reserve(4000)) != NULL; n++) {
        halves += heap_ring_commit(record);
    }

    cr_expect(n > HEAP_RING_SIZE / 4500 && n < HEAP_RING_SIZE / 4000, "%u", n);
    cr_expect(halves >= n / 2 && halves <= n / 2 + 1, "%u of %u", halves, n);

    cr_assert_not_null(heap_ring_peek(heap_ring_end()));
    heap_ring_release();
    cr_expect_not_null(heap_ring_reserve(4000));
}
