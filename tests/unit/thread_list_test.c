/*
 * Threads that come and go, their timers, stacks and slots.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "library_fixture.h"
#include "nprof_clock.h"
#include "sample/handler_cost.h"
#include "sampled_thread.h"


#define PERIOD_NS 10000000
#define CROWD (THREAD_SLOTS + 40)
#define CHURN 600


/* Threads that are there before a test: its own, and what Criterion has. */
static unsigned before;

static unsigned gone;
static pid_t    gone_tid;


static void
count_gone(void *data, struct thread_slot *slot)
{
    cr_assert_eq(data, &gone);
    cr_assert(slot->used);
    cr_assert_not_null(slot->ring.data, "what it holds can still be drained");
    gone++;
    gone_tid = slot->tid;
}


static void
scan(void)
{
    thread_list_scan(&sampled_list, count_gone, &gone);
}


/* Slots of threads that the test made, or less than 0: not even those of before
   have one. */
static int
slots_used(void)
{
    unsigned i, n = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        n += thread_slots[i].used;
    }

    return (int) n - (int) before;
}


static void
setup(void)
{
    sampled_setup();
    scan();
    before = (unsigned) slots_used();
}


TestSuite(thread_list, .init = setup, .timeout = 60);


static struct thread_slot *
slot_of(pid_t tid)
{
    unsigned i;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used && thread_slots[i].tid == tid) {
            return &thread_slots[i];
        }
    }

    return NULL;
}


/* A thread that waits until it is let go. */
struct waiting_thread {
    pthread_t     thread;
    _Atomic pid_t tid;
    const char   *name;
    int           fd;
};


/* What threads that are started run before they wait, CPU nanoseconds. */
static int64_t waiting_burns_ns;

static volatile uint64_t sink;


/* Burns CPU time of this thread. */
static void
burn(int64_t nanoseconds)
{
    int64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + nanoseconds;

    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
        sink += sink * 3;
    }
}


static void *
wait_for_byte(void *data)
{
    char                   byte;
    struct waiting_thread *waiting = data;

    if (waiting->name != NULL) {
        pthread_setname_np(pthread_self(), waiting->name);
    }

    burn(waiting_burns_ns);
    atomic_store(&waiting->tid, (pid_t) syscall(SYS_gettid));

    /* ends with an error where the other end is closed */
    return read(waiting->fd, &byte, 1) == 1 ? data : NULL;
}


static void
waiting_start(struct waiting_thread *waiting, int fd, const char *name)
{
    const struct timespec pause = {0, 100000};
    pthread_attr_t        attr;

    waiting->fd = fd;
    waiting->name = name;
    atomic_store(&waiting->tid, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    cr_assert_eq(
        pthread_create(&waiting->thread, &attr, wait_for_byte, waiting), 0);
    pthread_attr_destroy(&attr);

    while (atomic_load(&waiting->tid) == 0) {
        nanosleep(&pause, NULL);
    }
}


/* The kernel shows an ended thread a little longer than join() waits. */
static void
wait_until_gone(pid_t tid)
{
    char                  path[64];
    const struct timespec pause = {0, 100000};

    snprintf(path, sizeof(path), "/proc/self/task/%d", (int) tid);

    while (access(path, F_OK) == 0) {
        nanosleep(&pause, NULL);
    }
}


static void
waiting_end(struct waiting_thread *waiting, int fd)
{
    cr_assert_eq(write(fd, "", 1), 1);
    pthread_join(waiting->thread, NULL);
    wait_until_gone(waiting->tid);
}


Test(thread_list, threads_have_a_slot_while_they_live)
{
    int                   fds[2];
    struct waiting_thread one;

    cr_assert_eq(pipe(fds), 0);
    cr_expect(slot_of(getpid())->main_thread);
    cr_expect_str_eq(slot_of(getpid())->name, "main");

    waiting_start(&one, fds[0], "fifteen letters");
    scan();
    cr_assert_eq(slots_used(), 1);
    cr_expect_str_eq(slot_of(one.tid)->name, "fifteen letters");
    cr_expect_not(slot_of(one.tid)->main_thread);
    scan();
    cr_expect_eq(slots_used(), 1);
    cr_expect_eq(gone, 0);

    waiting_end(&one, fds[1]);
    scan();
    cr_expect_eq(gone, 1);
    cr_expect_eq(gone_tid, one.tid);
    cr_expect_eq(slots_used(), 0);
    cr_expect_eq(sampled_list.unsampled, 0);
}


/* A thread that waits for something is seen whole from its first sample on. */
Test(thread_list, the_stack_of_a_waiting_thread_is_known)
{
    int                         fds[2], i;
    uint64_t                    lo, hi, sp;
    char                        permissions[8];
    struct waiting_thread       one;
    struct sampled_thread       sampled;
    const struct sample_record *record;

    cr_assert_eq(pipe(fds), 0);
    waiting_start(&one, fds[0], NULL);

    for (i = 0; i < 1000 && (i == 0 || slot_of(one.tid)->stack_hi == 0); i++) {
        scan();
    }

    memset(&sampled, 0, sizeof(sampled));
    sampled.tid = one.tid;
    sampled.slot = slot_of(one.tid);
    record = sampled_record(&sampled);
    sp = record->registers[SAMPLE_REG_RSP];
    cr_expect_eq(record->flags, 0);

    cr_assert(mapping_of(sp, &lo, &hi, permissions));
    cr_expect_eq(sampled.slot->stack_lo, lo);
    cr_expect_eq(sampled.slot->stack_hi, hi);

    /* no further than the control block, above which others' memory may be */
    cr_expect_leq(record->stack_address + record->stack_size,
                  record->thread_pointer);
    cr_expect_geq(record->stack_address + record->stack_size,
                  record->thread_pointer - 8);
    sample_ring_release(&sampled.slot->ring);
    waiting_end(&one, fds[1]);
}


Test(thread_list, a_crowd_is_sampled_as_far_as_slots_go)
{
    int                   fds[2];
    unsigned              i;
    struct waiting_thread crowd[CROWD];

    cr_assert_eq(pipe(fds), 0);

    for (i = 0; i < CROWD; i++) {
        waiting_start(&crowd[i], fds[0], NULL);
    }

    scan();
    cr_expect_eq(slots_used(), (int) (THREAD_SLOTS - before));
    cr_expect_eq(sampled_list.unsampled, CROWD + before - THREAD_SLOTS);
    cr_expect_eq(sampled_list.last_error, ENOSPC);

    for (i = 0; i < CROWD; i++) {
        cr_assert_eq(write(fds[1], "", 1), 1);
    }

    for (i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        wait_until_gone(crowd[i].tid);
    }

    scan();
    cr_expect_eq(slots_used(), 0);
    cr_expect_eq(gone, THREAD_SLOTS - before);
    cr_expect_eq(sampled_list.unsampled, 0);
}


static unsigned
mappings_count(void)
{
    char     line[1024];
    unsigned n = 0;
    FILE    *maps = fopen("/proc/self/maps", "re");

    while (fgets(line, sizeof(line), maps) != NULL) {
        n++;
    }

    fclose(maps);

    return n;
}


Test(thread_list, threads_that_come_and_go_leave_nothing)
{
    int                   fds[2];
    unsigned              i, files = 0, maps = 0;
    struct waiting_thread one;

    cr_assert_eq(pipe(fds), 0);

    for (i = 0; i < CHURN; i++) {
        waiting_start(&one, fds[0], NULL);
        scan();
        cr_assert_not_null(slot_of(one.tid));
        waiting_end(&one, fds[1]);

        /* sometimes two ends before one look */
        if (i % 3 != 0) {
            scan();
        }

        if (i == 10) {
            scan();
            files = open_files();
            maps = mappings_count();
        }
    }

    scan();
    cr_expect_eq(slots_used(), 0);
    cr_expect_eq(gone, CHURN);
    cr_expect_eq(open_files(), files);
    cr_expect_leq(mappings_count(), maps + 2);
}


static void *
burn_blocked(void *data)
{
    sigset_t all;

    /* as a pool thread would, were there no hook: no signal arrives */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    burn(*(int64_t *) data);

    return NULL;
}


static uint64_t
expiries_drain(struct thread_slot *slot)
{
    uint64_t                    n = atomic_load(&slot->lost_expiries);
    const struct sample_record *record;

    while (
        (record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring)))
        != NULL) {
        n += 1 + record->overrun;
        sample_ring_release(&slot->ring);
    }

    return n;
}


Test(thread_list, timers_count_the_cpu_time_of_their_thread)
{
    int64_t             other = 200000000;
    uint64_t            expiries;
    pthread_t           thread;
    struct thread_slot *slot;

    thread_list_close(&sampled_list);
    cr_assert_eq(thread_list_open(&sampled_list, PERIOD_NS), 0);
    scan();
    slot = slot_of(getpid());
    cr_expect(slot->has_timer);
    (void) expiries_drain(slot);

    /* what another thread burns is none of ours */
    cr_assert_eq(pthread_create(&thread, NULL, burn_blocked, &other), 0);
    burn(500000000);
    pthread_join(thread, NULL);

    expiries = expiries_drain(slot);
    cr_expect_geq(expiries, 45, "%lu", expiries);
    cr_expect_leq(expiries, 56, "%lu", expiries);

    /* a closed list is silent */
    thread_list_close(&sampled_list);
    burn(50000000);
    cr_expect_gt(atomic_load(&handler_cost.runs), 0);
    cr_expect_eq(slots_used(), -(int) before);
    expiries = atomic_load(&handler_cost.runs);
    burn(50000000);
    cr_expect_eq(atomic_load(&handler_cost.runs), expiries);
}


Test(thread_list, without_timers_nothing_is_sampled_and_the_reason_is_kept)
{
    int           files;
    struct rlimit none = {0, 0};

    thread_list_close(&sampled_list);
    cr_assert_eq(thread_list_open(&sampled_list, PERIOD_NS), 0);
    cr_assert_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    files = (int) open_files();
    scan();
    cr_expect_eq(slots_used(), -(int) before);
    cr_expect_eq(sampled_list.unsampled, before);
    cr_expect_eq(sampled_list.last_error, EAGAIN);
    scan();
    cr_expect_eq(sampled_list.unsampled, before);
    cr_expect_eq(open_files(), files);
}


/* The stack's bounds are found from what the sample says, once. */
Test(thread_list, a_sample_without_bounds_tells_where_the_stack_is)
{
    int                         fds[2];
    uint64_t                    lo, hi;
    struct waiting_thread       one;
    struct thread_slot         *slot;
    struct sampled_thread       sampled;
    const struct sample_record *record;

    cr_assert_eq(pipe(fds), 0);
    waiting_start(&one, fds[0], NULL);
    scan();
    slot = slot_of(one.tid);
    atomic_store(&slot->stack_hi, 0);

    memset(&sampled, 0, sizeof(sampled));
    sampled.tid = one.tid;
    sampled.slot = slot;
    record = sampled_record(&sampled);
    cr_expect_eq(record->flags, SAMPLE_NO_BOUNDS);
    cr_expect_leq(record->stack_size, 4096 + SAMPLE_RED_ZONE);
    thread_list_no_bounds(slot, record->thread_pointer);
    lo = slot->stack_lo;
    hi = slot->stack_hi;
    cr_expect_lt(lo, record->registers[SAMPLE_REG_RSP]);
    cr_expect_gt(hi, record->registers[SAMPLE_REG_RSP]);
    sample_ring_release(&slot->ring);

    record = sampled_record(&sampled);
    cr_expect_eq(record->flags, 0);
    /* known bounds stay: SP was elsewhere, on a fiber or alternate stack */
    thread_list_no_bounds(slot, record->thread_pointer);
    cr_expect_eq(slot->stack_lo, lo);
    cr_expect_eq(slot->stack_hi, hi);
    sample_ring_release(&slot->ring);
    waiting_end(&one, fds[1]);
}


/* What the slot's thread, which waits now, ran before it was found. */
static void
expect_past_lost(struct thread_slot *slot)
{
    uint64_t lost, ran;

    ran = (uint64_t) clock_ns(THREAD_CPU_CLOCK(slot->tid)) / PERIOD_NS;
    lost = atomic_load(&slot->lost_expiries);
    cr_expect_geq(lost, ran);
    cr_expect_leq(lost, ran + 1);
}


static void
list_reopen(bool jitter)
{
    thread_list_close(&sampled_list);
    cr_assert_eq(thread_list_open(&sampled_list, PERIOD_NS), 0);
    sampled_list.jitter = jitter;
    /* the timers' expiries are not what this is about */
    atomic_store(&signal_state.active, false);
}


/* What a thread ran before a scan found it is lost, not forgotten; but for
   what was there before the first scan. */
Test(thread_list, the_past_of_a_thread_that_came_is_lost)
{
    int                   fds[2], never[2], jitter;
    struct waiting_thread first, later;

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(pipe(never), 0);
    waiting_burns_ns = 3 * PERIOD_NS + PERIOD_NS / 2;
    waiting_start(&first, never[0], NULL);

    for (jitter = 0; jitter < 2; jitter++) {
        list_reopen(jitter);
        scan();
        cr_expect_eq(atomic_load(&slot_of(first.tid)->lost_expiries), 0);

        waiting_start(&later, fds[0], NULL);
        scan();
        expect_past_lost(slot_of(later.tid));
        scan();
        expect_past_lost(slot_of(later.tid));
        waiting_end(&later, fds[1]);
    }
}


/* Threads that run less than a period are as much in sum as they ran. */
Test(thread_list, parts_of_a_period_are_lost_with_their_probability)
{
    int                   fds[2];
    double                periods = 0, lost = 0;
    unsigned              i;
    struct thread_slot   *slot;
    struct waiting_thread crowd[CROWD];

    cr_assert_eq(pipe(fds), 0);
    list_reopen(true);
    scan();
    sampled_list.period_ns = PERIOD_NS / 20;
    waiting_burns_ns = PERIOD_NS / 40;

    for (i = 0; i < THREAD_SLOTS - before; i++) {
        waiting_start(&crowd[i], fds[0], NULL);
    }

    scan();

    for (i = 0; i < THREAD_SLOTS - before; i++) {
        slot = slot_of(crowd[i].tid);
        periods += (double) clock_ns(THREAD_CPU_CLOCK(slot->tid))
                   / (double) sampled_list.period_ns;
        lost += (double) atomic_load(&slot->lost_expiries);
    }

    /* each is off by a half at most; six standard deviations of that */
    cr_expect_lt(fabs(lost - periods), 6 * 0.5 * sqrt(CROWD), "%.1f of %.1f",
                 lost, periods);
    cr_expect_gt(periods, (THREAD_SLOTS - before) / 2);
}


/* One that found no slot was there before: nobody knows when it ran. */
Test(thread_list, what_has_waited_for_a_slot_has_no_past)
{
    int                   fds[2];
    struct rlimit         limits, none = {0, 0};
    struct waiting_thread one;

    cr_assert_eq(pipe(fds), 0);
    list_reopen(false);
    scan();
    cr_assert_eq(getrlimit(RLIMIT_SIGPENDING, &limits), 0);
    none.rlim_max = limits.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);

    waiting_burns_ns = 3 * PERIOD_NS;
    waiting_start(&one, fds[0], NULL);
    scan();
    cr_assert_eq(sampled_list.unsampled, 1);

    cr_assert_eq(setrlimit(RLIMIT_SIGPENDING, &limits), 0);
    scan();
    cr_assert_not_null(slot_of(one.tid));
    cr_expect_eq(atomic_load(&slot_of(one.tid)->lost_expiries), 0);
}
