/*
 * The ring of samples: against a model on one thread, and with a producer and
 * a consumer that run at the same time.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "sample/sample_ring.h"


#define RING 4096

/* A record's header and padding are at most this. */
#define RECORD_OVERHEAD 32

#define RECORDS_THREADED 1000000


static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return *state * 0x2545f4914f6cdd1du;
}


/* What record number n holds, and how much of it: known to both sides. */
static size_t
record_length(uint64_t n, size_t max)
{
    uint64_t state = n + 1;

    return 16 + next_random(&state) % (max - 15);
}


static void
record_fill(unsigned char *record, uint64_t n, size_t length)
{
    size_t i;

    memcpy(record, &n, sizeof(n));
    memcpy(record + 8, &length, sizeof(length));

    for (i = 16; i < length; i++) {
        record[i] = (unsigned char) (n * 31 + i);
    }
}


static bool
record_is(const unsigned char *record, uint64_t n, size_t length)
{
    size_t   i, stored_length;
    uint64_t stored;

    memcpy(&stored, record, sizeof(stored));
    memcpy(&stored_length, record + 8, sizeof(stored_length));

    if (stored != n || stored_length != length) {
        return false;
    }

    for (i = 16; i < length; i++) {
        if (record[i] != (unsigned char) (n * 31 + i)) {
            return false;
        }
    }

    return true;
}


static void
ring_make(struct sample_ring *ring, size_t size)
{
    cr_assert_eq(sample_ring_init(ring, size), 0);
    cr_assert_eq(sample_ring_used(ring), 0);
    cr_assert_null(sample_ring_peek(ring, sample_ring_end(ring)));
}


static bool
ring_put(struct sample_ring *ring, uint64_t n, size_t length)
{
    void *record = sample_ring_reserve(ring, length);

    if (record == NULL) {
        return false;
    }

    cr_assert_eq((uintptr_t) record % 16, 0);
    record_fill(record, n, length);
    sample_ring_commit(ring);

    return true;
}


static void
ring_get(struct sample_ring *ring, uint64_t n, size_t length)
{
    const void *record = sample_ring_peek(ring, sample_ring_end(ring));

    cr_assert_not_null(record);
    cr_assert(record_is(record, n, length), "record %lu", n);
    sample_ring_release(ring);
}


Test(sample_ring, random_sizes_come_out_as_they_went_in)
{
    size_t             length, held = 0;
    uint64_t           put = 0, got = 0, refused = 0, i, state = 42;
    struct sample_ring ring;

    ring_make(&ring, RING);

    for (i = 0; i < 300000; i++) {
        if (next_random(&state) % 9 < 5) {
            length = record_length(put, RING / 4);

            if (ring_put(&ring, put, length)) {
                put++;
                held += length;
                continue;
            }

            /* refused for want of room only: the hole before the ring's end
               is smaller than the record */
            refused++;
            cr_assert_gt(
                sample_ring_used(&ring) + 2 * (length + RECORD_OVERHEAD), RING);

        } else if (got < put) {
            length = record_length(got, RING / 4);
            ring_get(&ring, got++, length);
            held -= length;
        }

        cr_assert_leq(held, sample_ring_used(&ring));
        cr_assert_leq(sample_ring_used(&ring), RING);
    }

    cr_expect_gt(refused, 1000);
    cr_expect_gt(put, 100000);
    sample_ring_destroy(&ring);
}


Test(sample_ring, an_empty_ring_takes_half_of_it_wherever_it_stands)
{
    uint64_t           n;
    struct sample_ring ring;

    ring_make(&ring, RING);

    for (n = 0; n < 4 * RING; n++) {
        cr_assert(ring_put(&ring, n, 16 + n % 64));
        ring_get(&ring, n, 16 + n % 64);
        cr_assert(ring_put(&ring, n, RING / 2 - RECORD_OVERHEAD));
        ring_get(&ring, n, RING / 2 - RECORD_OVERHEAD);
        cr_assert_eq(sample_ring_used(&ring), 0);
    }

    sample_ring_destroy(&ring);
}


Test(sample_ring, refuses_what_never_fits)
{
    struct sample_ring ring;

    ring_make(&ring, RING);

    cr_expect_null(sample_ring_reserve(&ring, RING));
    cr_expect_null(sample_ring_reserve(&ring, 10 * RING));
    cr_expect_eq(sample_ring_used(&ring), 0);
    cr_expect_not_null(sample_ring_reserve(&ring, RING - 16));

    sample_ring_destroy(&ring);
}


Test(sample_ring, a_full_ring_keeps_what_it_holds)
{
    uint64_t           n = 0, i, full;
    struct sample_ring ring;

    ring_make(&ring, RING);

    while (ring_put(&ring, n, 100)) {
        n++;
    }

    cr_expect_gt(n, RING / (100 + RECORD_OVERHEAD) - 1);
    full = sample_ring_used(&ring);
    cr_expect_null(sample_ring_reserve(&ring, 100));
    cr_expect_eq(sample_ring_used(&ring), full);

    for (i = 0; i < n; i++) {
        ring_get(&ring, i, 100);
    }

    cr_expect_null(sample_ring_peek(&ring, sample_ring_end(&ring)));
    sample_ring_destroy(&ring);
}


Test(sample_ring, an_uncommitted_record_is_not_seen)
{
    struct sample_ring ring;

    ring_make(&ring, RING);

    cr_assert_not_null(sample_ring_reserve(&ring, 64));
    cr_expect_null(sample_ring_peek(&ring, sample_ring_end(&ring)));

    /* what is not committed is given to the next one that asks */
    cr_assert(ring_put(&ring, 1, 48));
    ring_get(&ring, 1, 48);
    cr_expect_eq(sample_ring_used(&ring), 0);

    sample_ring_destroy(&ring);
}


Test(sample_ring, what_comes_after_the_end_waits)
{
    uint64_t           end, n;
    const void        *record;
    struct sample_ring ring;

    ring_make(&ring, RING);

    for (n = 0; n < 1000; n++) {
        cr_assert(ring_put(&ring, n, 200));
        end = sample_ring_end(&ring);
        cr_assert(ring_put(&ring, n + 1, 333));

        record = sample_ring_peek(&ring, end);
        cr_assert(record_is(record, n, 200));
        sample_ring_release(&ring);
        cr_assert_null(sample_ring_peek(&ring, end));

        ring_get(&ring, n + 1, 333);
    }

    sample_ring_destroy(&ring);
}


static void *
produce(void *data)
{
    uint64_t            n;
    struct sample_ring *ring = data;

    for (n = 0; n < RECORDS_THREADED; n++) {
        while (!ring_put(ring, n, record_length(n, 400))) {
            sched_yield();
        }
    }

    return NULL;
}


Test(sample_ring, two_threads_at_once, .timeout = 60)
{
    bool               good = true;
    uint64_t           n = 0, end;
    pthread_t          producer;
    const void        *record;
    struct sample_ring ring;

    ring_make(&ring, 16 * RING);
    cr_assert_eq(pthread_create(&producer, NULL, produce, &ring), 0);

    while (n < RECORDS_THREADED) {
        end = sample_ring_end(&ring);
        record = sample_ring_peek(&ring, end);

        if (record == NULL) {
            sched_yield();
            continue;
        }

        for (/* void */; record != NULL;
             record = sample_ring_peek(&ring, end)) {
            good &= record_is(record, n, record_length(n, 400));
            n++;
            sample_ring_release(&ring);
        }
    }

    pthread_join(producer, NULL);
    cr_expect(good);
    cr_expect_eq(sample_ring_used(&ring), 0);
    sample_ring_destroy(&ring);
}
