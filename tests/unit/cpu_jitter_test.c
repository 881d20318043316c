/*
 * The "jitter" engine over real threads, looked at from this one: who gets a
 * signal, what becomes of signals that are not taken, and doubtful looks.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "nprof_clock.h"
#include "sample/cpu_jitter.h"
#include "sample/loop_hook.h"
#include "sample/run_delay.h"
#include "sample/sample_record.h"
#include "sample/sample_request.h"
#include "sample/signal_handler.h"
#include "sample/signal_setup.h"
#include "sample/thread_list.h"


#define PERIOD 1000000


static _Atomic bool done;
static _Atomic int  interrupted;

/* The thread that is looked at. */
static _Atomic pid_t started;

static struct thread_list list;
static struct cpu_jitter  jitter;
static _Atomic uint32_t   wake;


static void *
burn(void *data)
{
    (void) data;
    atomic_store(&started, gettid());

    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        /* void */
    }

    return NULL;
}


static void *
burn_masked(void *data)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);

    return burn(data);
}


static void *
block(void *data)
{
    int           rc;
    struct pollfd never;

    (void) data;
    never.fd = -1;
    atomic_store(&started, gettid());

    do {
        rc = poll(&never, 1, 100);
        if (rc < 0 && errno == EINTR) {
            atomic_fetch_add(&interrupted, 1);
        }
    } while (!atomic_load(&done));

    return NULL;
}


static void
nothing(void *data, struct thread_slot *slot)
{
    (void) data;
    (void) slot;
}


/* looker: the thread that looks, and is not looked at, or 0. */
static void
engine_start(pid_t looker)
{
    cr_assert_gt(signal_setup(), 0);
    cr_assert_eq(thread_list_open(&list, PERIOD), 0);
    list.jitter = true;
    list.looker = looker;
    cr_assert_null(cpu_jitter_probe());
    cpu_jitter_start(&jitter, PERIOD, &wake);
    thread_list_scan(&list, nothing, NULL);
    atomic_store(&signal_state.active, true);
}


static struct thread_slot *
slot_of(pid_t tid)
{
    size_t i;

    for (i = 0; i < list.n_slots; i++) {
        if (thread_slots[i].used && thread_slots[i].tid == tid) {
            return &thread_slots[i];
        }
    }

    cr_assert_fail("no slot of %d", (int) tid);

    return NULL;
}


/* Takes all records of a slot: the periods that they stand for. */
static uint64_t
records_take(struct thread_slot *slot)
{
    uint64_t                    end, periods;
    const struct sample_record *record;

    periods = 0;
    end = sample_ring_end(&slot->ring);

    while ((record = sample_ring_peek(&slot->ring, end)) != NULL) {
        periods += 1 + (uint64_t) record->overrun;
        sample_ring_release(&slot->ring);
    }

    return periods;
}


/* Looks for that long; returns the periods of the slot's samples. */
static uint64_t
look_for(int64_t ns, struct thread_slot *slot)
{
    int64_t         end;
    uint64_t        periods;
    struct timespec time;

    periods = 0;
    end = clock_ns(CLOCK_MONOTONIC) + ns;

    while (clock_ns(CLOCK_MONOTONIC) < end) {
        time.tv_sec = (time_t) (cpu_jitter_due(&jitter) / 1000000000);
        time.tv_nsec = (long) (cpu_jitter_due(&jitter) % 1000000000);
        (void) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        cpu_jitter_look(&jitter, &list);
        periods += records_take(slot);
    }

    return periods;
}


static pthread_t
thread_start(void *(*body)(void *) )
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, body, NULL), 0);

    while (atomic_load(&started) == 0) {
        usleep(1000);
    }

    return thread;
}


static void
thread_end(pthread_t thread)
{
    atomic_store(&done, true);
    pthread_join(thread, NULL);
}


/* Points that this thread came too late for, since it waited for a processor
   itself: each may be wrong by itself, many at once. */
static double
late_points(void)
{
    return (double) (atomic_load(&jitter.late) + atomic_load(&jitter.missed));
}


/*
 * The periods of a thread that burns, lost ones aside, are its CPU clock's:
 * five standard deviations, and what a machine that is busy makes late.
 */
Test(cpu_jitter, a_running_thread_is_sampled_by_its_clock)
{
    double              expected, periods, lost, late;
    int64_t             cpu;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(burn);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid));
    periods = (double) look_for(2000000000, slot);
    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid)) - cpu;

    lost = (double) atomic_load(&slot->lost_expiries);
    expected = (double) cpu / PERIOD;
    late = late_points();
    thread_end(thread);

    cr_assert_lt(fabs(periods + lost - expected),
                 5 * sqrt(expected) + 0.05 * expected + late,
                 "%.0f and %.0f lost of %.0f, %.0f late", periods, lost,
                 expected, late);
    cr_assert_gt(periods, 0.5 * expected - late);
    cr_assert_eq(atomic_load(&slot->dropped), 0);
}


Test(cpu_jitter, a_blocked_thread_gets_no_signal)
{
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(block);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    (void) look_for(1000000000, slot);
    thread_end(thread);

    /* it runs for some microseconds ten times a second; where it comes to that
       less often, the process is still, and looked at less often, too */
    cr_assert_leq(atomic_load(&slot->taken), 2);
    cr_assert_leq(atomic_load(&interrupted), 1);
    cr_assert_gt(jitter.looks, 10);
}


/* A thread that takes no signals is no silence: what it runs is lost. */
Test(cpu_jitter, a_thread_that_blocks_the_signal_is_lost)
{
    int64_t             cpu;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(burn_masked);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid));
    cr_assert_eq(look_for(1000000000, slot), 0);
    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid)) - cpu;
    thread_end(thread);

    /* the kernel takes a moment to remove a thread that was joined */
    while (slot->used) {
        thread_list_scan(&list, nothing, NULL);
    }

    cr_assert_gt((double) atomic_load(&slot->lost_expiries),
                 0.5 * (double) cpu / PERIOD - late_points());
    cr_assert_eq(atomic_load(&slot->hits), 0);
}


/* Two such threads on the processor of the one that looks: each waits at every
   look, and runs half of the time. */
Test(cpu_jitter, waiting_threads_lose_their_share)
{
    double              expected, lost;
    int64_t             cpu;
    cpu_set_t           one;
    pthread_t           threads[2];
    struct thread_slot *slot;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);

    threads[0] = thread_start(burn_masked);
    threads[1] = thread_start(burn_masked);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    /* longer than a time slice: both have run between two looks */
    cpu_jitter_start(&jitter, 10 * PERIOD, &wake);
    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid));
    cr_assert_eq(look_for(3000000000, slot), 0);
    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid)) - cpu;
    thread_end(threads[0]);
    thread_end(threads[1]);

    lost = (double) atomic_load(&slot->lost_expiries);
    expected = (double) cpu / (10 * PERIOD);

    cr_assert_lt(fabs(lost - expected),
                 4 * sqrt(expected) + LOOK_POINTS + 0.05 * expected,
                 "%.0f of %.0f", lost, expected);
}


/*
 * A look that comes so late that most points have no room in it: what ran at
 * them is lost, not forgotten.
 */
Test(cpu_jitter, points_without_room_are_lost)
{
    double              expected, seen;
    int64_t             cpu;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(burn_masked);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid));
    usleep(400000);
    cpu_jitter_look(&jitter, &list);
    cpu = clock_ns(THREAD_CPU_CLOCK(slot->tid)) - cpu;
    thread_end(thread);

    seen
        = (double) (atomic_load(&slot->lost_expiries) + atomic_load(&slot->hits)
                    + atomic_load(&slot->doubtful_points));
    expected = (double) cpu / PERIOD;

    cr_assert_gt(jitter.missed, 200);
    cr_assert_lt(fabs(seen - expected),
                 5 * sqrt(expected) + LOOK_POINTS + 0.05 * expected,
                 "%.0f of %.0f", seen, expected);
}


/* An idle process is looked at less often, and none of it is late. */
Test(cpu_jitter, an_idle_process_is_looked_at_less_often)
{
    uint64_t            looks;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(block);
    engine_start(gettid());
    slot = slot_of(getpid());

    /* only this thread runs, which is not looked at */
    (void) look_for(100000000, slot);
    looks = jitter.looks;
    (void) look_for(2000000000, slot);
    looks = jitter.looks - looks;
    thread_end(thread);

    /* two a second, and 16 more each time that it has run, not 2,000 */
    cr_assert_lt(looks, 1000);
    cr_assert_gt(looks, 15);
}


/* Looks until the process is idle, for five seconds at most. */
static bool
becomes_idle(void)
{
    int i;

    for (i = 0; i < 250 && jitter.hits == 1; i++) {
        (void) look_for(20000000, slot_of(getpid()));
    }

    return jitter.hits != 1;
}


/* An idle process' event loop ends that as it begins to turn. */
Test(cpu_jitter, a_turn_ends_idleness)
{
    pthread_t thread;

    thread = thread_start(block);
    engine_start(gettid());
    cr_assert(becomes_idle());
    cr_assert(loop_watcher_sleeps(LOOP_WATCHER_LOOKER));

    cpu_jitter_turned(&jitter);
    cr_assert_eq(jitter.hits, 1);
    cr_assert_leq(cpu_jitter_due(&jitter), clock_ns(CLOCK_MONOTONIC) + PERIOD);
    cr_assert(becomes_idle());

    /* but not while the loop turns */
    cpu_jitter_turned(&jitter);
    loop_state.turn_start_ns = 1;
    (void) look_for(200000000, slot_of(getpid()));
    cr_assert_eq(jitter.hits, 1);
    loop_state.turn_start_ns = 0;
    thread_end(thread);
}


/* Where no thread can be made to look all threads get timers after all. */
Test(cpu_jitter, timers_take_its_place)
{
    uint64_t            periods;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(burn);
    engine_start(0);
    slot = slot_of(atomic_load(&started));
    cr_assert_not(slot->has_timer);
    thread_list_use_timers(&list);
    cr_assert(slot->has_timer);
    cr_assert(slot_of(getpid())->has_timer);

    usleep(300000);
    periods = records_take(slot);
    thread_list_disarm(&list);
    thread_end(thread);

    cr_assert_gt(periods, 10);
    cr_assert_eq(list.last_error, 0);
}


static void
ask(struct thread_slot *slot)
{
    cr_assert_eq(sample_request(slot, SAMPLE_FOR_CPU), 0);
}


/* This thread's slot; nobody looks. */
static struct thread_slot *
own_slot(void)
{
    struct thread_slot *slot;

    engine_start(0);
    slot = slot_of(gettid());
    slot->doubt_waited_ns = run_delay_ns(slot->schedstat_fd);
    slot->doubt_used_ns = INT64_C(2000000000);
    slot->doubt_late_ns = SAMPLE_LATE_NS;
    slot->doubt_weight = 1;

    return slot;
}


/* This thread did not wait since the look: it ran at a point before now, and
   not at one that is yet to come. */
Test(cpu_jitter, doubtful_looks_are_decided_by_the_wait)
{
    struct thread_slot *slot;

    slot = own_slot();

    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC);
    atomic_store(&slot->doubtful_points, 1);
    ask(slot);
    cr_assert_eq(records_take(slot), 1);
    cr_assert_eq(atomic_load(&slot->doubtful_points), 0);

    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC) + 1000000000;
    atomic_store(&slot->doubtful_points, 1);
    ask(slot);
    cr_assert_eq(records_take(slot), 0);
    cr_assert_eq(atomic_load(&slot->doubtful_points), 0);

    /* ten seconds of waiting since the look: it began before the point */
    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC) - 1000000000;
    slot->doubt_waited_ns
        = run_delay_ns(slot->schedstat_fd) - INT64_C(10000000000);
    atomic_store(&slot->doubtful_points, 1);
    ask(slot);
    cr_assert_eq(records_take(slot), 0);
}


/* Of a look that comes late each point is settled by itself. */
Test(cpu_jitter, points_of_another_time_are_lost)
{
    int64_t             now;
    struct thread_slot *slot;

    slot = own_slot();
    slot->doubt_weight = 3;
    now = clock_ns(CLOCK_MONOTONIC);

    /* before all that it ran since the last look; before this stack; this one;
       and when it ran no more */
    slot->doubt_points_ns[0] = now - 2 * slot->doubt_used_ns;
    slot->doubt_points_ns[1] = now - slot->doubt_used_ns / 2;
    slot->doubt_points_ns[2] = now;
    slot->doubt_points_ns[3] = now + 1000000000;
    atomic_store(&slot->doubtful_points, 4);
    ask(slot);

    cr_assert_eq(records_take(slot), 3);
    cr_assert_eq(atomic_load(&slot->lost_expiries), 3);
}


/* Without the time that it waited nobody knows at which it ran. */
Test(cpu_jitter, points_of_a_wait_that_is_not_known_are_lost)
{
    int                 fd;
    struct thread_slot *slot;

    slot = own_slot();
    slot->doubt_weight = 3;
    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC);
    slot->doubt_points_ns[1] = slot->doubt_points_ns[0] + 1000000000;
    fd = slot->schedstat_fd;
    slot->schedstat_fd = -1;
    atomic_store(&slot->doubtful_points, 2);
    ask(slot);
    slot->schedstat_fd = fd;

    cr_assert_eq(records_take(slot), 0);
    cr_assert_eq(atomic_load(&slot->lost_expiries), 2 * 3);
    cr_assert_eq(atomic_load(&slot->doubtful_points), 0);
}


/* A point that stands for much is no hot stack. */
Test(cpu_jitter, one_stack_is_credited_with_a_few_periods)
{
    struct thread_slot *slot;

    slot = own_slot();
    slot->doubt_weight = 50;
    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC);
    atomic_store(&slot->doubtful_points, 1);
    ask(slot);

    cr_assert_eq(records_take(slot), 1 + SAMPLE_OVERRUN_MAX);
    cr_assert_eq(atomic_load(&slot->lost_expiries),
                 50 - 1 - SAMPLE_OVERRUN_MAX);
}


/* The same of a thread that is on its processor. */
Test(cpu_jitter, a_look_of_an_idle_process_is_no_hot_stack)
{
    int                 i;
    uint64_t            points;
    pthread_t           thread;
    struct thread_slot *slot;

    thread = thread_start(burn_masked);
    engine_start(gettid());
    slot = slot_of(atomic_load(&started));

    /* until the thread does not wait for a processor */
    for (i = 0; i < 10000 && atomic_load(&slot->hits) == 0; i++) {
        atomic_store(&slot->lost_expiries, 0);
        usleep(1000);
        jitter.hits = 50;
        gap_sampler_restart(&jitter.gaps, 50 * PERIOD,
                            clock_ns(CLOCK_MONOTONIC));
        jitter.gaps.next_ns = jitter.gaps.cell_ns;
        cpu_jitter_look(&jitter, &list);
    }

    thread_end(thread);

    /* of one point; of more, where the machine was so slow */
    points = atomic_load(&slot->hits) / (1 + SAMPLE_OVERRUN_MAX);
    cr_assert_gt(points, 0);
    cr_assert_eq(atomic_load(&slot->hits), points * (1 + SAMPLE_OVERRUN_MAX));
    cr_assert_geq(atomic_load(&slot->lost_expiries),
                  points * (50 - 1 - SAMPLE_OVERRUN_MAX));
}


/* An event loop that sleeps and is woken after the point did not run then. */
Test(cpu_jitter, a_loop_that_sleeps_does_not_run)
{
    struct thread_slot *slot;

    slot = own_slot();
    cr_assert(slot->main_thread);
    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC) - 100000;
    atomic_store(&slot->doubtful_points, 1);
    atomic_store(&loop_state.wait_start_ns, slot->doubt_points_ns[0] - 1000000);
    ask(slot);
    cr_assert_eq(records_take(slot), 0);

    /* this wait began after it */
    slot->doubt_points_ns[0] = clock_ns(CLOCK_MONOTONIC);
    atomic_store(&slot->doubtful_points, 1);
    atomic_store(&loop_state.wait_start_ns, slot->doubt_points_ns[0] + 1);
    ask(slot);
    cr_assert_eq(records_take(slot), 1);
    cr_assert_eq(atomic_load(&slot->lost_expiries), 0);
}


Test(cpu_jitter, a_signal_without_a_look_is_no_sample)
{
    struct thread_slot *slot;

    slot = own_slot();

    ask(slot);
    cr_assert_eq(records_take(slot), 0);

    atomic_store(&slot->hits, 3);
    ask(slot);
    cr_assert_eq(records_take(slot), 3);
    cr_assert_eq(atomic_load(&slot->hits), 0);
}
