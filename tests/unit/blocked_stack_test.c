/*
 * Blocked threads: they are seen from outside, whole, and sleep on.
 */

#include <criterion/criterion.h>

#include <alloca.h>
#include <errno.h>
#include <stdlib.h>

#include "burning_code.h"
#include "sample/blocked_stack.h"
#include "sample/sample_request.h"


TestSuite(blocked_stack, .init = sampled_setup, .timeout = 60);


/* A sanitizer's read() has frames of its own, found by the frame pointer. */
#ifdef __SANITIZE_ADDRESS__
#define WRAPPED true
#else
#define WRAPPED false
#endif


static union blocked_sample sample;
static int                  pipe_fds[2];
static _Atomic int          interrupted;


/* Waits until the pipe is closed, and counts what woke it before. */
static NOINLINE void
wait_leaf(void)
{
    char byte;

    while (read(pipe_fds[0], &byte, 1) < 0) {
        interrupted++;
    }

    STAY();
}


static NOINLINE void
wait_outer(void)
{
    wait_leaf();
    STAY();
}


/*
 * The frame's size is unknown, so it is found by the frame pointer, which
 * read() leaves where it is: in a register.
 */
static NOINLINE void
wait_framed_inner(void)
{
    char *room = alloca((size_t) atoi("300"));

    while (read(pipe_fds[0], room, 1) < 0) {
        interrupted++;
    }

    STAY();
}


static NOINLINE void
wait_framed(void)
{
    char *room = alloca((size_t) atoi("200"));

    __asm__ volatile("" ::"r"(room) : "memory");
    wait_framed_inner();
    STAY();
}


/* As sampled_start(), of a scenario that blocks. */
static void
blocked_start(struct sampled_thread *sampled, void (*scenario)(void))
{
    int64_t               cpu_ns;
    const struct timespec pause = {0, 1000000};

    memset(sampled, 0, sizeof(*sampled));
    sampled->scenario = scenario;
    cr_assert_eq(pipe(pipe_fds), 0);
    cr_assert_eq(pthread_create(&sampled->thread, NULL, sampled_body, sampled),
                 0);

    while (atomic_load(&sampled->tid) == 0) {
        nanosleep(&pause, NULL);
    }

    sampled->slot = sampled_slot(sampled->tid);

    while (blocked_stack_take(sampled->slot, &sample, &cpu_ns)
           != THREAD_BLOCKED) {
        nanosleep(&pause, NULL);
    }
}


static void
blocked_end(struct sampled_thread *sampled)
{
    close(pipe_fds[1]);
    pthread_join(sampled->thread, NULL);
    close(pipe_fds[0]);
}


static void
unwind_sample(void)
{
    stack_unwind(sampled_unwinder, &sample.record, false, &sampled_stack);
}


Test(blocked_stack, nothing_is_missing_here)
{
    cr_assert_null(blocked_stack_missing());
}


Test(blocked_stack, the_whole_stack_is_seen)
{
    int                   at, i;
    int64_t               cpu_ns, first_ns;
    struct sampled_thread sampled;

    blocked_start(&sampled, wait_outer);

    cr_assert_eq(blocked_stack_take(sampled.slot, &sample, &first_ns),
                 THREAD_BLOCKED);
    cr_assert_eq(sample.record.flags, SAMPLE_BLOCKED);
    unwind_sample();
    cr_assert(sampled_stack.complete);
    cr_assert(WRAPPED || !sampled_stack.bridged);
    at = frame_find(&sampled_stack, 0, wait_leaf);
    cr_assert_geq(at, 1, "the system call's wrapper is the leaf");
    cr_assert(frame_in(&sampled_stack.frames[at + 1], wait_outer));

    /* however often it is looked at, it has not run */
    for (i = 0; i < 1000; i++) {
        cr_assert_eq(blocked_stack_take(sampled.slot, &sample, &cpu_ns),
                     THREAD_BLOCKED);
        cr_assert_eq(cpu_ns, first_ns);
    }

    cr_assert_eq(thread_cpu_ns(sampled.slot), first_ns);
    blocked_end(&sampled);
    cr_assert_eq(interrupted, 0);
}


Test(blocked_stack, unknown_frame_pointers_are_bridged)
{
    int                   inner;
    int64_t               cpu_ns;
    struct sampled_thread sampled;

    blocked_start(&sampled, wait_framed);
    cr_assert_eq(blocked_stack_take(sampled.slot, &sample, &cpu_ns),
                 THREAD_BLOCKED);
    unwind_sample();
    cr_assert(sampled_stack.complete);
    cr_assert(sampled_stack.bridged);
    inner = frame_find(&sampled_stack, 0, wait_framed_inner);
    cr_assert_geq(inner, 1);
    cr_assert(frame_in(&sampled_stack.frames[inner + 1], wait_framed));
    blocked_end(&sampled);
}


Test(blocked_stack, a_running_thread_is_asked_for_a_sample)
{
    int                         i;
    int64_t                     cpu_ns;
    uint64_t                    end;
    struct sampled_thread       sampled;
    const struct timespec       pause = {0, 1000000};
    const struct sample_record *record = NULL;

    sampled_start(&sampled, burn_outer);

    for (i = 0; i < 1000; i++) {
        if (blocked_stack_take(sampled.slot, &sample, &cpu_ns)
            == THREAD_RUNNING) {
            break;
        }
    }

    cr_assert_lt(i, 1000);
    cr_assert_eq(sample_request(sampled.slot, SAMPLE_FOR_WALL), 0);
    cr_assert_eq(sample_request(sampled.slot, SAMPLE_FOR_STALL), 0);

    /* one sample or two, which depends on when the thread saw the signals */
    for (i = 0, end = 0; i < 5000 && end < 3; i++) {
        nanosleep(&pause, NULL);

        while ((record = sample_ring_peek(&sampled.slot->ring,
                                          sample_ring_end(&sampled.slot->ring)))
               != NULL) {
            end |= record->wanted >> 1;
            cr_assert_eq(record->wanted & SAMPLE_FOR_CPU, 0);
            cr_assert_eq(record->overrun, 0);
            cr_assert_eq(record->turn_start_ns, 0);
            sample_ring_release(&sampled.slot->ring);
        }
    }

    cr_assert_eq(end, 3, "both were answered");
    cr_assert_eq(atomic_load(&sampled.slot->lost_expiries), 0);
    sampled_end(&sampled);
}


Test(blocked_stack, a_thread_that_is_gone_is_nowhere)
{
    int64_t               cpu_ns = -5;
    struct sampled_thread sampled;

    blocked_start(&sampled, wait_outer);
    blocked_end(&sampled);

    while (thread_cpu_ns(sampled.slot) >= 0) {
        sched_yield();
    }

    cr_assert_eq(blocked_stack_take(sampled.slot, &sample, &cpu_ns),
                 THREAD_UNKNOWN);
    cr_assert_eq(sample_request(sampled.slot, SAMPLE_FOR_WALL), -ESRCH);
}


/*
 * Wakes up and sleeps again as fast as it can, now in a shallow stack, then in
 * one whose data lies where the shallow one had its return addresses.
 */
static NOINLINE void
restless_one(void)
{
    usleep(20);
    STAY();
}


static NOINLINE void
restless_two(void)
{
    unsigned char data[1024];

    memset(data, 0x5a, sizeof(data));
    __asm__ volatile("" ::"r"(data) : "memory");
    usleep(20);
    STAY();
}


static NOINLINE void
restless(void)
{
    while (!atomic_load(&sampled_stop)) {
        restless_one();
        restless_two();
    }

    STAY();
}


Test(blocked_stack, no_copy_is_torn)
{
    int                   i, one, two, seen = 0;
    int64_t               cpu_ns;
    struct sampled_thread sampled;

    blocked_start(&sampled, restless);

    /* however rarely it is met between two moves */
    for (i = 0; i < 20000 || seen <= 1000; i++) {
        if (blocked_stack_take(sampled.slot, &sample, &cpu_ns)
            != THREAD_BLOCKED) {
            continue;
        }

        seen++;
        unwind_sample();
        cr_assert(sampled_stack.complete);
        cr_assert(WRAPPED || !sampled_stack.bridged);
        one = frame_find(&sampled_stack, 0, restless_one);
        two = frame_find(&sampled_stack, 0, restless_two);
        cr_assert((one < 0) != (two < 0));
        cr_assert_geq(frame_find(&sampled_stack, 0, restless), 0);
    }

    sampled_end(&sampled);
}
