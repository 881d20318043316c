/*
 * Questions between workers, one of which dies as it answers.
 */

#include "other_workers.h"

#include <errno.h>

#include "instance/peer_exchange.h"
#include "nprof.h"
#include "nprof_clock.h"


#define TYPE NPROF_TYPE(NPROF_JOB_WALL)

/* As words of areas are (peer_exchange.c): free, and asked. */
#define FREE 0
#define ASKED 2

#define FAR_AWAY INT64_C(60000000000)


static struct peer_question question, later;
static struct parcel_bytes  taken;


/* What it was asked for. */
static int
types_write(void *data, uint32_t types, struct parcel_file *file)
{
    (void) data;
    parcel_file_sink(file, &types, sizeof(types));

    return file->error;
}


static int
never_write(void *data, uint32_t types, struct parcel_file *file)
{
    (void) data;
    (void) types;
    (void) file;

    pause();

    return -EINTR;
}


static void
answers(void)
{
    peer_accept_all(instance.slot);
    peer_answer_all(instance.slot, types_write, NULL);
}


static void
begins_to_answer(void)
{
    peer_accept_all(instance.slot);
    peer_answer_all(instance.slot, never_write, NULL);
}


static void
count_lost(void *data, uint32_t pid)
{
    (void) pid;
    ++*(unsigned *) data;
}


static unsigned
areas_in_use(void)
{
    unsigned i, n = 0;

    for (i = 0; i < INSTANCE_AREAS; i++) {
        n += atomic_load(&instance_own_slot()->areas[i].word) != FREE;
    }

    return n;
}


/* An instance with this worker, and another one. */
static pid_t
two_workers(void (*other)(void))
{
    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(instance_join(), 0);
    peer_begin();

    return other_worker(other);
}


/* Asks the other worker alone. */
static void
ask(struct peer_question *asked, pid_t pid)
{
    peer_ask_all(asked, TYPE, pid);
    cr_assert_eq(asked->n, 1);
}


Test(peer_exchange, the_types_that_were_asked_for_are_written)
{
    ask(&question, two_workers(answers));
    cr_assert_eq(
        peer_take(&question, 0, clock_ns(CLOCK_MONOTONIC) + FAR_AWAY, &taken),
        0);
    cr_assert_eq(taken.n, sizeof(uint32_t));
    cr_assert_eq(*(const uint32_t *) taken.bytes, TYPE);
    parcel_bytes_free(&taken);
    cr_assert_eq(areas_in_use(), 0);
}


/* What was sampled after the first was taken may be missing in an answer. */
Test(peer_exchange, a_question_that_comes_late_is_for_the_next_turn)
{
    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(instance_join(), 0);
    peer_begin();

    ask(&question, getpid());
    peer_accept_all(instance.slot);
    ask(&later, getpid());
    peer_answer_all(instance.slot, types_write, NULL);

    cr_assert_eq(peer_take(&question, 0, 0, &taken), 0);
    parcel_bytes_free(&taken);
    cr_assert_eq(peer_take(&later, 0, 0, &taken), -ETIMEDOUT);
    cr_assert_eq(areas_in_use(), 0);

    ask(&later, getpid());
    answers();
    cr_assert_eq(peer_take(&later, 0, 0, &taken), 0);
    parcel_bytes_free(&taken);
}


/* Its slot has another worker by the time that anybody looks. */
Test(peer_exchange, area_of_a_worker_that_died_as_it_answered_is_given_back)
{
    pid_t    first, second;
    unsigned lost = 0;
    uint64_t asked;

    first = two_workers(begins_to_answer);
    ask(&question, first);
    asked = atomic_load(&instance_own_slot()->areas[0].word);
    cr_assert_eq(asked & 0xff, ASKED);

    while (atomic_load(&instance_own_slot()->areas[0].word) == asked) {
        usleep(1000);
    }

    cr_assert_eq(peer_take(&question, 0, clock_ns(CLOCK_MONOTONIC), &taken),
                 -ETIMEDOUT);
    cr_assert_eq(areas_in_use(), 1, "it may write yet");

    other_worker_kill(first);
    instance_reap(count_lost, &lost);
    cr_assert_eq(lost, 1);
    second = other_worker(NULL);
    cr_assert_eq(instance_slots(), 2, "it has the slot of the first");

    ask(&later, second);
    cr_assert_eq(peer_take(&later, 0, clock_ns(CLOCK_MONOTONIC), &taken),
                 -ETIMEDOUT);
    cr_assert_eq(areas_in_use(), 0);
}


/* Of the worker that had the slot before. */
Test(peer_exchange, question_to_another_worker_is_not_answered)
{
    pid_t    first, second;
    unsigned lost = 0;

    first = two_workers(NULL);
    ask(&question, first);
    other_worker_kill(first);
    instance_reap(count_lost, &lost);
    second = other_worker(answers);

    ask(&later, second);
    cr_assert_eq(
        peer_take(&later, 0, clock_ns(CLOCK_MONOTONIC) + FAR_AWAY, &taken), 0);
    parcel_bytes_free(&taken);

    cr_assert_eq(
        peer_take(&question, 0, clock_ns(CLOCK_MONOTONIC) + FAR_AWAY, &taken),
        -ESRCH);
}
