/*
 * Stalls and their stacks: what is counted, how a stall's time is divided, and
 * which samples belong to which. The loop's hook is played by the tests.
 */

#include <criterion/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nprof_clock.h"
#include "sample/loop_hook.h"
#include "sample/signal_handler.h"
#include "stall_watch.h"


#define MS 1000000


static struct module_identity identity;
static struct module_table    modules;
static struct stack_table    *table;
static struct stall_watch    *watch;


static void
setup(void)
{
    static const struct stack_table_shape shape
        = {1024, 16384, STACK_VALUES, {0}};

    modules.identities[0] = &identity;
    modules.n_identities = 1;
    table = stack_table_create(&modules, &shape);
    watch = calloc(1, sizeof(*watch));
    stall_watch_init(watch, table, NULL, 10 * MS);
}


TestSuite(stall_watch, .init = setup, .timeout = 30);


/* The hook's part: a turn that was too long is over. */
static void
stall_ends(int64_t start_ns, int64_t duration_ns)
{
    uint64_t n = loop_state.stalls_written;

    loop_state.stalls[n % LOOP_STALLS].start_ns = start_ns;
    loop_state.stalls[n % LOOP_STALLS].duration_ns = duration_ns;
    loop_state.stalls_written = n + 1;
}


/* Those of the samples that come, and how long after the one before it in the
   turn each is taken, or after its begin. */
static uint32_t labels;
static int64_t  gap_ns = 5 * MS;


/* A sample that came through the ring: its stack is the one frame. */
static void
sample_of(uint64_t span, uint32_t wanted, int64_t turn_start_ns,
          uint64_t address)
{
    struct sample_record        record;
    static struct unwound_stack stack;
    static int64_t              turn_ns, now_ns;

    if (turn_ns != turn_start_ns) {
        turn_ns = turn_start_ns;
        now_ns = turn_start_ns;
    }

    now_ns += gap_ns;
    memset(&record, 0, sizeof(record));
    record.time_ns = now_ns;
    record.wanted = wanted;
    record.turn_start_ns = turn_start_ns;
    record.span = span;
    record.labels = labels;
    stack.n_frames = 1;
    stack.frames[0].address = address;
    stack.frames[0].module = 0;
    stack.frames[0].kind = STACK_FRAME_CODE;
    stall_watch_sample(watch, &record, &stack);
}


static void
sample(uint32_t wanted, int64_t turn_start_ns, uint64_t address)
{
    sample_of(0, wanted, turn_start_ns, address);
}


static void
settle(void)
{
    stall_watch_settle(watch, loop_stalls_written());
}


/* Count and nanoseconds of the stack of that address; 0: of "[lost]". */
static void
expect(uint64_t address, int64_t count, int64_t ns)
{
    size_t                    i;
    int64_t                   values[STACK_VALUES] = {0, 0};
    struct stack_profile     *profile = stack_table_profile(table);
    const struct stack_frame *frame;

    for (i = 0; i < profile->n_samples; i++) {
        frame = profile->samples[i].frames;
        cr_assert_str_eq(profile->samples[i].thread, "main");

        if (frame->kind == STACK_FRAME_LOST ? address == 0
                                            : frame->address == address) {
            values[STACK_COUNT] += profile->samples[i].values[STACK_COUNT];
            values[STACK_NANOSECONDS]
                += profile->samples[i].values[STACK_NANOSECONDS];
        }
    }

    cr_assert_eq(values[STACK_COUNT], count, "%#lx: %ld", (long) address,
                 (long) values[STACK_COUNT]);
    cr_assert_eq(values[STACK_NANOSECONDS], ns, "%#lx: %ld", (long) address,
                 (long) values[STACK_NANOSECONDS]);
    stack_profile_free(profile);
}


Test(stall_watch, time_is_divided_and_sums_are_exact)
{
    sample(SAMPLE_FOR_STALL, 100, 1);
    sample(SAMPLE_FOR_STALL, 100, 2);
    sample(SAMPLE_FOR_STALL, 100, 1);
    stall_ends(100, 20 * MS + 2);
    settle();

    expect(1, 1, (20 * MS + 2) * 2 / 3);
    expect(2, 0, 20 * MS + 2 - (20 * MS + 2) * 2 / 3);
    cr_assert_eq(watch->counters.stalls, 1);
    cr_assert_eq(watch->counters.samples, 3);
    cr_assert_eq(watch->counters.ns, 20 * MS + 2);
    cr_assert_eq(watch->counters.lost, 0);
}


/* The time of that span, of all stacks. */
static int64_t
span_ns(uint64_t span)
{
    size_t                i;
    int64_t               ns;
    uint32_t              s;
    struct stack_profile *profile = stack_table_profile(table);

    ns = 0;

    for (i = 0; i < profile->n_samples; i++) {
        for (s = 0; s < profile->samples[i].n_spans; s++) {
            if (profile->samples[i].spans[s].span == span) {
                ns += profile->samples[i].spans[s].ns;
            }
        }
    }

    stack_profile_free(profile);

    return ns;
}


/* Two requests of one stack block the loop in one turn; the last CPU sample is
   of a third. */
Test(stall_watch, spans_get_the_time_of_their_stacks)
{
    cr_assert_eq(stack_table_keep_spans(table), 0);
    sample_of(111, SAMPLE_FOR_STALL, 100, 1);
    sample_of(222, SAMPLE_FOR_STALL, 100, 1);
    sample_of(222, SAMPLE_FOR_STALL, 100, 1);
    sample(SAMPLE_FOR_STALL, 100, 2);
    stall_ends(100, 40 * MS);
    settle();
    sample_of(333, SAMPLE_FOR_CPU, 50 * MS, 3);
    stall_ends(50 * MS, 30 * MS);
    settle();

    expect(1, 1, 30 * MS);
    expect(2, 0, 10 * MS);
    expect(3, 1, 30 * MS);
    cr_assert_eq(span_ns(111), 10 * MS);
    cr_assert_eq(span_ns(222), 20 * MS);
    cr_assert_eq(span_ns(333), 30 * MS);
}


Test(stall_watch, a_stack_stands_for_the_time_since_the_last)
{
    const int64_t day = 86400000ll * MS;

    gap_ns = 10 * MS;
    sample(SAMPLE_FOR_STALL, 100, 1);
    sample(SAMPLE_FOR_STALL, 100, 1);
    gap_ns = 80 * MS;
    sample(SAMPLE_FOR_STALL, 100, 2);
    /* of before a look that it came after */
    gap_ns = -50 * MS;
    sample(SAMPLE_FOR_STALL, 100, 3);
    stall_ends(100, 100 * day);
    settle();
    expect(3, 0, 0);
    expect(1, 0, 20 * day);
    expect(2, 1, 80 * day);
}


/* One request is seen at two places, another one longer at one of them. */
Test(stall_watch, a_stall_is_counted_at_the_labels_that_held_it_longest)
{
    labels = 7;
    gap_ns = 30 * MS;
    sample(SAMPLE_FOR_STALL, 100, 1);
    labels = 8;
    gap_ns = 20 * MS;
    sample(SAMPLE_FOR_STALL, 100, 2);
    sample(SAMPLE_FOR_STALL, 100, 3);
    stall_ends(100, 70 * MS);
    settle();
    expect(1, 0, 30 * MS);
    expect(2, 1, 20 * MS);
    expect(3, 0, 20 * MS);
    cr_assert_eq(watch->counters.stalls, 1);
}


Test(stall_watch, looks_are_rarer_in_a_long_stall)
{
    int64_t now = clock_ns(CLOCK_MONOTONIC);

    watch->due_ns = 0;
    loop_state.turn_start_ns = now - 20 * MS;
    cr_assert(stall_watch_look(watch, false));
    cr_assert_lt(stall_watch_due(watch), clock_ns(CLOCK_MONOTONIC) + 100 * MS);

    watch->due_ns = 0;
    loop_state.turn_start_ns = now - 60000ll * MS;
    cr_assert(stall_watch_look(watch, false));
    cr_assert_geq(stall_watch_due(watch), now + 600 * MS);
}


Test(stall_watch, a_stall_that_goes_on_is_not_counted_yet)
{
    sample(SAMPLE_FOR_STALL, 100, 1);
    settle();
    expect(1, 0, 0);
    sample(SAMPLE_FOR_STALL, 100, 1);
    stall_ends(100, 11 * MS);
    settle();
    expect(1, 1, 11 * MS);
}


/* A turn runs, and has for so long; returns when it began. */
static int64_t
turn_runs(int64_t age_ns)
{
    int64_t start = clock_ns(CLOCK_MONOTONIC) - age_ns;

    loop_state.turn_start_ns = start;

    return start;
}


/* What a profile that is made now has of all stalls. */
static int64_t
so_far(void)
{
    cr_assert(stall_watch_settle_running(watch));

    return (int64_t) watch->counters.ns;
}


Test(stall_watch, a_running_stall_has_its_time_so_far)
{
    int64_t first, second, start = turn_runs(30 * MS);

    sample(SAMPLE_FOR_STALL, start, 1);
    first = so_far();
    cr_assert_geq(first, 30 * MS);
    expect(1, 1, first);

    /* no later stack yet: it is where it was */
    second = so_far();
    cr_assert_gt(second, first);
    expect(1, 1, second);

    sample(SAMPLE_FOR_STALL, start, 2);
    sample(SAMPLE_FOR_STALL, start, 1);
    loop_state.turn_start_ns = 0;
    cr_assert_eq(so_far(), second);
    stall_ends(start, second + 40 * MS);
    settle();
    expect(1, 1, second + 20 * MS);
    expect(2, 0, 20 * MS);
    cr_assert_eq(watch->counters.stalls, 1);
    cr_assert_eq(watch->counters.ns, second + 40 * MS);
    cr_assert_eq(so_far(), second + 40 * MS);
}


Test(stall_watch, what_is_left_of_a_stall_is_where_it_was_last)
{
    int64_t ns, start = turn_runs(30 * MS);

    sample(SAMPLE_FOR_STALL, start, 1);
    sample(SAMPLE_FOR_STALL, start, 2);
    ns = so_far();
    stall_ends(start, ns + 7 * MS);
    settle();
    expect(1, 1, ns / 2);
    expect(2, 0, ns - ns / 2 + 7 * MS);

    /* the next one has nothing of it */
    sample(SAMPLE_FOR_STALL, start + 1, 3);
    stall_ends(start + 1, 20 * MS);
    settle();
    expect(2, 0, ns - ns / 2 + 7 * MS);
    expect(3, 1, 20 * MS);
}


/* Its end was on its way when it was looked at. */
Test(stall_watch, a_stall_is_never_taken_back)
{
    int64_t ns, start = turn_runs(30 * MS);

    sample(SAMPLE_FOR_STALL, start, 1);
    ns = so_far();
    stall_ends(start, ns - 1);
    settle();
    expect(1, 1, ns);
    cr_assert_eq(watch->counters.stalls, 1);
    cr_assert_eq(watch->counters.ns, ns);
}


Test(stall_watch, a_running_stall_waits_for_its_first_stack)
{
    int64_t ns, start = turn_runs(30 * MS);

    cr_assert_eq(so_far(), 0);
    sample(SAMPLE_FOR_CPU, start, 1);
    ns = so_far();
    cr_assert_geq(ns, 30 * MS);
    expect(1, 1, ns);

    /* but not for ever */
    start = turn_runs(2000 * MS);
    ns = so_far() - ns;
    cr_assert_geq(ns, 2000 * MS);
    expect(0, 1, ns);
    cr_assert_eq(watch->counters.lost, 1);
    stall_ends(start, ns + MS);
    settle();
    expect(0, 1, ns + MS);
    cr_assert_eq(watch->counters.lost, 1);
    cr_assert_eq(watch->counters.stalls, 2);
}


Test(stall_watch, a_turn_below_the_threshold_is_no_running_stall)
{
    /* one of now, however slow this test is */
    watch->threshold_ns = 60000ll * MS;
    sample(SAMPLE_FOR_CPU, turn_runs(0), 1);
    cr_assert_eq(so_far(), 0);
}


Test(stall_watch, ended_stalls_are_settled_before_the_running_one)
{
    int64_t start = turn_runs(30 * MS);

    sample(SAMPLE_FOR_STALL, start, 1);
    stall_ends(start, 31 * MS);
    cr_assert_not(stall_watch_settle_running(watch));
    expect(1, 0, 0);
    settle();
    expect(1, 1, 31 * MS);
}


Test(stall_watch, a_loop_that_is_left_ends_its_turn)
{
    loop_state.threshold_ns = 10 * MS;
    (void) turn_runs(30 * MS);
    loop_hook_stop();
    cr_assert_eq(loop_turn_start(), 0);
    settle();
    cr_assert_eq(watch->counters.stalls, 1);
    cr_assert_geq(watch->counters.ns, 30 * MS);

    loop_hook_stop();
    settle();
    cr_assert_eq(watch->counters.stalls, 1);
}


Test(stall_watch, samples_go_to_their_own_stall)
{
    sample(SAMPLE_FOR_STALL, 100, 1);
    stall_ends(100, 10 * MS);
    /* of the next stall, drained together with the first one's */
    sample(SAMPLE_FOR_STALL, 200, 2);
    sample(SAMPLE_FOR_STALL, 200, 3);
    stall_ends(200, 30 * MS);
    settle();
    expect(1, 1, 10 * MS);
    expect(2, 1, 15 * MS);
    expect(3, 0, 15 * MS);
}


/* A stall ends, and the next turn is sampled, after the settling has said up to
   where it goes. */
Test(stall_watch, what_a_sample_settles_may_lie_beyond_the_line)
{
    uint64_t line;

    stall_ends(100, 20 * MS);
    line = loop_stalls_written();
    stall_ends(200, 30 * MS);
    sample(SAMPLE_FOR_STALL, 300, 1);
    stall_watch_settle(watch, line);

    cr_assert_eq(watch->counters.stalls, 2);
    cr_assert_eq(watch->counters.ns, 50 * MS);
    expect(0, 2, 50 * MS);

    stall_ends(300, 10 * MS);
    settle();
    cr_assert_eq(watch->counters.stalls, 3);
    expect(1, 1, 10 * MS);
}


Test(stall_watch, a_sample_between_turns_is_of_none)
{
    sample(SAMPLE_FOR_STALL, 0, 1);
    stall_ends(100, 10 * MS);
    settle();
    expect(1, 0, 0);
    expect(0, 1, 10 * MS);
    cr_assert_eq(watch->counters.lost, 1);
}


Test(stall_watch, cpu_samples_stand_in_where_there_are_no_others)
{
    sample(SAMPLE_FOR_CPU, 100, 1);
    sample(SAMPLE_FOR_CPU, 100, 2);
    stall_ends(100, 12 * MS);
    sample(SAMPLE_FOR_CPU, 300, 3);
    stall_ends(500, 14 * MS);
    /* they do not where there are: both would count the same time */
    sample(SAMPLE_FOR_CPU, 700, 4);
    sample(SAMPLE_FOR_STALL, 700, 5);
    sample(SAMPLE_FOR_CPU, 700, 4);
    stall_ends(700, 16 * MS);
    settle();
    expect(1, 0, 0);
    expect(2, 1, 12 * MS);
    expect(3, 0, 0);
    expect(0, 1, 14 * MS);
    expect(4, 0, 0);
    expect(5, 1, 16 * MS);
}


Test(stall_watch, more_stacks_than_there_is_room_for)
{
    unsigned              i;
    int64_t               ns = 0;
    struct stack_profile *profile;

    for (i = 1; i <= 2 * STALL_STACKS; i++) {
        sample(SAMPLE_FOR_STALL, 100, i);
    }

    stall_ends(100, 12345678);
    settle();
    profile = stack_table_profile(table);

    for (i = 0; i < profile->n_samples; i++) {
        ns += profile->samples[i].values[STACK_NANOSECONDS];
    }

    cr_assert_eq(ns, 12345678);
    stack_profile_free(profile);
}


Test(stall_watch, what_the_hook_could_not_list_is_lost)
{
    loop_state.unlisted = 3;
    loop_state.unlisted_ns = 33 * MS;
    settle();
    settle();
    expect(0, 3, 33 * MS);
    loop_state.unlisted = 4;
    loop_state.unlisted_ns = 50 * MS;
    settle();
    expect(0, 4, 50 * MS);
    cr_assert_eq(watch->counters.stalls, 4);
}


Test(stall_watch, sleeps_while_the_loop_does)
{
    int i;

    for (i = 0; stall_watch_due(watch) != INT64_MAX; i++) {
        cr_assert_lt(i, 10);
        watch->due_ns = 0;
        cr_assert(stall_watch_look(watch, false));
    }

    cr_assert(loop_watcher_sleeps(LOOP_WATCHER_PROFILER));

    /* the hook wakes it */
    loop_state.turn_start_ns = INT64_MAX / 2;
    loop_state.sleepers = 0;
    cr_assert(stall_watch_look(watch, false));
    cr_assert_neq(stall_watch_due(watch), INT64_MAX);

    /* no sleep while a turn runs */
    cr_assert_not(loop_watcher_sleep(LOOP_WATCHER_PROFILER, signal_state.wake));
    cr_assert_not(loop_watcher_sleeps(LOOP_WATCHER_PROFILER));
}


/* Looks at a turn of that age; returns the time to the next look. */
static int64_t
look_at_turn(int64_t age_ns)
{
    int64_t now = clock_ns(CLOCK_MONOTONIC);

    loop_state.turn_start_ns = now - age_ns;
    watch->due_ns = 0;
    cr_assert(stall_watch_look(watch, false));

    return stall_watch_due(watch) - now;
}


Test(stall_watch, a_calm_loop_is_looked_at_less_often)
{
    /* so it is until there was a slow turn */
    cr_assert_geq(look_at_turn(0), 50 * MS);
    cr_assert_geq(look_at_turn(2 * MS), 50 * MS);

    /* a turn that is slow already is followed in any case */
    cr_assert_leq(look_at_turn(6 * MS), 4 * MS);

    loop_state.slow_turns++;
    cr_assert_leq(look_at_turn(0), 10 * MS);
    cr_assert_leq(look_at_turn(2 * MS), 8 * MS);
    cr_assert_gt(watch->calm_ns,
                 clock_ns(CLOCK_MONOTONIC) + INT64_C(5000) * MS);

    watch->calm_ns = clock_ns(CLOCK_MONOTONIC);
    cr_assert_geq(look_at_turn(0), 50 * MS);
}


Test(stall_watch, earlier_stalls_are_drained_before_a_look)
{
    stall_ends(100, 10 * MS);
    loop_state.turn_start_ns = 200;
    watch->due_ns = 0;
    cr_assert_not(stall_watch_look(watch, false));
    settle();
    cr_assert(stall_watch_look(watch, true));
}


static void *
sleeps(void *data)
{
    atomic_store((_Atomic pid_t *) data, gettid());

    for (;;) {
        pause();
    }

    return NULL;
}


/* Which module each of its frames is in is not known before: there is no
   unwinder here that could be asked. */
Test(stall_watch, samples_are_drained_before_a_blocked_stack_is_unwound)
{
    char                 path[64];
    uint64_t             sp, pc;
    pthread_t            thread;
    static _Atomic pid_t tid;
    struct thread_slot  *slot = &thread_slots[0];

    cr_assert_eq(pthread_create(&thread, NULL, sleeps, &tid), 0);

    while (atomic_load(&tid) == 0) {
        usleep(1000);
    }

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall",
             (int) atomic_load(&tid));
    slot->proc_fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(slot->proc_fd, 0);
    slot->tid = atomic_load(&tid);
    slot->main_thread = true;
    slot->used = true;

    while (thread_place(slot, &sp, &pc) != THREAD_BLOCKED) {
        usleep(1000);
    }

    turn_runs(20 * MS);
    watch->due_ns = 0;
    cr_assert_not(stall_watch_look(watch, false));
    cr_assert_leq(stall_watch_due(watch), clock_ns(CLOCK_MONOTONIC));
    cr_assert_eq(watch->counters.samples, 0);
}
