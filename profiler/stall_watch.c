
/*
 * Stacks of stalls; see stall_watch.h.
 */


#include <string.h>

#include "aggregate/heaviest_stack.h"
#include "nprof_clock.h"
#include "sample/loop_hook.h"
#include "sample/sample_request.h"
#include "sample/signal_handler.h"
#include "stall_watch.h"


/* Between two looks, at least. */
#define LOOK_MIN_NS 1000000

/* Between two looks at a calm loop, and how long one with a slow turn takes to
   become that again. */
#define CALM_LOOK_NS 50000000
#define CALM_AFTER_NS 10000000000

/* Between two stacks of a stall, at most, while it is young; later a hundredth
   of its age, so that a stall of any length has some hundreds. */
#define STACK_MAX_NS 10000000
#define STACK_AGE_SHARE 100

/* A stall that goes on and has no stack yet is added to the table without one
   when it is so much older than the threshold: none will come. */
#define STACK_BY_NS 1000000000

/* Looks without a turn after which we sleep. */
#define QUIET_LOOKS 2

#define MAIN_THREAD "main"


static bool stall_stack_take(struct stall_watch *watch, int64_t start,
                             int64_t now, bool drained);
static void stall_seen(struct stall_watch *watch, int64_t start, int64_t now,
                       uint32_t stack, uint64_t span);


static int64_t
at_least(int64_t ns)
{
    return ns < LOOK_MIN_NS ? LOOK_MIN_NS : ns;
}


/* The time to the next stack of a stall of that age. */
static int64_t
stack_interval(const struct stall_watch *watch, int64_t age)
{
    int64_t interval;

    interval = watch->threshold_ns / 2;

    if (interval > STACK_MAX_NS) {
        interval = STACK_MAX_NS;
    }

    if (interval < age / STACK_AGE_SHARE) {
        interval = age / STACK_AGE_SHARE;
    }

    return at_least(interval);
}


void
stall_watch_init(struct stall_watch *watch, struct stack_table *table,
                 struct stack_unwinder *unwinder, int64_t threshold_ns)
{
    watch->table = table;
    watch->unwinder = unwinder;
    watch->threshold_ns = threshold_ns;
    watch->blocked_stack = STACK_TABLE_NONE;
    watch->slow_turns = loop_slow_turns();

    /* the hook may have counted for a profiler that ran before */
    watch->unlisted = atomic_load(&loop_state.unlisted);
    watch->unlisted_ns = atomic_load(&loop_state.unlisted_ns);
}


int64_t
stall_watch_due(const struct stall_watch *watch)
{
    return watch->asleep ? INT64_MAX : watch->due_ns;
}


/* Whether no turn was slow for a while. */
static bool
loop_is_calm(struct stall_watch *watch, int64_t now)
{
    uint64_t slow_turns;

    slow_turns = loop_slow_turns();

    if (slow_turns != watch->slow_turns) {
        watch->slow_turns = slow_turns;
        watch->calm_ns = now + CALM_AFTER_NS;
    }

    return now >= watch->calm_ns;
}


/* The loop waits: looks on for a while, then sleeps until it turns. */
static void
look_at_waiting(struct stall_watch *watch)
{
    uint64_t turns;

    turns = loop_turns();
    watch->quiet = turns == watch->turns ? watch->quiet + 1 : 0;
    watch->turns = turns;

    if (watch->quiet > QUIET_LOOKS) {
        watch->quiet = 0;
        watch->asleep
            = loop_watcher_sleep(LOOP_WATCHER_PROFILER, signal_state.wake);
    }
}


bool
stall_watch_look(struct stall_watch *watch, bool drained)
{
    bool    calm;
    int64_t now, start, left, interval;

    if (watch->asleep && loop_watcher_sleeps(LOOP_WATCHER_PROFILER)) {
        return true;
    }

    now = clock_ns(CLOCK_MONOTONIC);

    if (!watch->asleep && now < watch->due_ns) {
        return true;
    }

    watch->asleep = false;
    calm = loop_is_calm(watch, now);
    interval = at_least(watch->threshold_ns);
    watch->due_ns
        = now + (calm && interval < CALM_LOOK_NS ? CALM_LOOK_NS : interval);
    start = loop_turn_start();

    if (start == 0) {
        look_at_waiting(watch);
        return true;
    }

    watch->quiet = 0;
    left = start + watch->threshold_ns - now;

    if (left > 0) {
        /* a young turn of a calm loop will be over long before */
        if (now + left < watch->due_ns
            && (!calm || left <= watch->threshold_ns / 2)) {
            watch->due_ns = now + left;
        }

        return true;
    }

    if (start != watch->start_ns
        && loop_stall_peek(loop_stalls_written()) != NULL) {
        watch->due_ns = now;
        return false;
    }

    if (!stall_stack_take(watch, start, now, drained)) {
        watch->due_ns = now;
        return false;
    }

    watch->due_ns = now + stack_interval(watch, now - start);

    return true;
}


static struct thread_slot *
main_slot(void)
{
    size_t i;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used && thread_slots[i].main_thread) {
            return &thread_slots[i];
        }
    }

    return NULL;
}


/*
 * Finds where the main thread is blocked, if it is. Returns false if it is
 * somewhere new, and samples are to be drained first: of those are the ones that
 * were taken before it blocked, and the drain learns of the modules that it may
 * be blocked in.
 */
static bool
blocked_stack_find(struct stall_watch *watch, struct thread_slot *slot,
                   int64_t start, bool drained)
{
    if (watch->blocked_stack != STACK_TABLE_NONE && watch->start_ns == start
        && thread_cpu_ns(slot) == watch->blocked_cpu_ns) {
        return true;
    }

    watch->blocked_stack = STACK_TABLE_NONE;

    switch (blocked_stack_take(slot, &watch->sample, &watch->blocked_cpu_ns)) {
    case THREAD_RUNNING:
        /* at the last moment: the loop's wait would end with EINTR */
        if (loop_turn_start() == start) {
            (void) sample_request(slot, SAMPLE_FOR_STALL);
        }
        return true;

    case THREAD_BLOCKED:
        break;

    default: /* THREAD_UNKNOWN */
        return true;
    }

    if (loop_turn_start() != start) {
        /* it is in the loop's wait: the stall is over */
        return true;
    }

    if (!drained) {
        return false;
    }

    stack_unwind(watch->unwinder, &watch->sample.record, true, &watch->stack);
    watch->blocked_span = watch->sample.record.span;
    watch->blocked_stack = stack_table_find(
        watch->table, slot->name, watch->sample.record.labels,
        watch->stack.frames, watch->stack.n_frames);

    return true;
}


/*
 * Takes a stack of the main thread, which is in a stall that began at start.
 * Returns false if samples are to be drained first.
 */
static bool
stall_stack_take(struct stall_watch *watch, int64_t start, int64_t now,
                 bool drained)
{
    struct thread_slot *slot;

    slot = main_slot();
    if (slot == NULL) {
        return true;
    }

    if (!blocked_stack_find(watch, slot, start, drained)) {
        return false;
    }

    if (watch->blocked_stack != STACK_TABLE_NONE) {
        stall_seen(watch, start, now, watch->blocked_stack,
                   watch->blocked_span);
    }

    return true;
}


/*
 * The stack was seen now in the stall that began at start, at work for the span.
 * It stands for all the time since one was seen: looks that come late, as they
 * do while the loop has the only processor, weigh as much as others.
 */
static void
stall_seen(struct stall_watch *watch, int64_t start, int64_t now,
           uint32_t stack, uint64_t span)
{
    uint32_t i;
    int64_t  weight;

    if (watch->start_ns != start) {
        watch->start_ns = start;
        watch->n_stacks = 0;
        watch->last = 0;
        watch->weight = 0;
        watch->seen_ns = start;
    }

    for (i = 0; i < watch->n_stacks; i++) {
        if (watch->stacks[i].stack == stack && watch->stacks[i].span == span) {
            break;
        }
    }

    if (i == STALL_STACKS) {
        i = STALL_STACKS - 1;
        watch->stacks[i].stack = stack_table_find_mark(
            watch->table, MAIN_THREAD, STACK_FRAME_OTHER);
        watch->stacks[i].span = 0;

    } else if (i == watch->n_stacks) {
        watch->stacks[i].stack = stack;
        watch->stacks[i].span = span;
        watch->stacks[i].weight = 0;
        watch->n_stacks++;
    }

    /* a signal that came late can bring one from before a look */
    weight = now > watch->seen_ns ? now - watch->seen_ns : 0;
    watch->stacks[i].weight += weight;
    watch->weight += weight;
    watch->seen_ns += weight;
    watch->last = i;
    watch->counters.samples++;
}


/* Where most of the stall's time went, of the stacks that were seen. */
static uint32_t
stall_holder(const struct stall_watch *watch)
{
    uint32_t            i;
    struct stack_weight stacks[STALL_STACKS];

    for (i = 0; i < watch->n_stacks; i++) {
        stacks[i].stack = watch->stacks[i].stack;
        stacks[i].weight = watch->stacks[i].weight;
    }

    return heaviest_stack(watch->table, stacks, watch->n_stacks);
}


/*
 * Divides time of the stall by the weights of the stacks that were seen, and
 * begins anew. Each gets what brings the sum so far to its share, so the sum is
 * exact.
 */
static void
stall_divide(struct stall_watch *watch, int64_t count, int64_t ns)
{
    uint32_t i;
    int64_t  weight, given, sum;

    if (watch->weight == 0) {
        /* none since the last time: it is still that one's */
        watch->stacks[0].weight = 1;
        watch->weight = 1;
    }

    stack_table_count(watch->table, stall_holder(watch), count, 0);
    weight = 0;
    given = 0;

    for (i = 0; i < watch->n_stacks; i++) {
        weight += watch->stacks[i].weight;
        /* the product has up to 110 bits */
        sum = (int64_t) ((__int128) ns * weight / watch->weight);
        stack_table_count_span(watch->table, watch->stacks[i].stack, 0,
                               sum - given, watch->stacks[i].span);
        given = sum;
    }

    watch->stacks[0] = watch->stacks[watch->last];
    watch->stacks[0].weight = 0;
    watch->n_stacks = 1;
    watch->last = 0;
    watch->weight = 0;
}


/*
 * Adds what the table lacks of the stall that began at start and has lasted for
 * duration. What is in it stays: a turn that was on its way to its end when it
 * was looked at can have been a moment shorter.
 */
static void
stall_add(struct stall_watch *watch, int64_t start, int64_t duration)
{
    int64_t count, ns;

    count = watch->added_start_ns != start;
    ns = count != 0 ? duration : duration - watch->added_ns;

    if (ns <= 0) {
        return;
    }

    watch->added_start_ns = start;
    watch->added_ns = duration;
    watch->counters.stalls += (uint64_t) count;
    watch->counters.ns += (uint64_t) ns;

    if (watch->start_ns == start) {
        stall_divide(watch, count, ns);

    } else if (watch->cpu_start_ns == start) {
        stack_table_count_span(watch->table,
                               stack_table_find(watch->table, MAIN_THREAD,
                                                watch->cpu_labels,
                                                watch->cpu_stack.frames,
                                                watch->cpu_stack.n_frames),
                               count, ns, watch->cpu_span);

    } else {
        watch->counters.lost += (uint64_t) count;
        stack_table_count(
            watch->table,
            stack_table_find_mark(watch->table, MAIN_THREAD, STACK_FRAME_LOST),
            count, ns);
    }
}


static void
stall_settle(struct stall_watch *watch, const struct loop_stall *stall)
{
    stall_add(watch, stall->start_ns, stall->duration_ns);
    loop_stall_release();
}


void
stall_watch_sample(struct stall_watch         *watch,
                   const struct sample_record *record,
                   const struct unwound_stack *stack)
{
    const struct loop_stall *stall;

    if (record->turn_start_ns == 0) {
        return;
    }

    /* no more samples of the turns before come */
    while ((stall = loop_stall_peek(loop_stalls_written())) != NULL
           && stall->start_ns < record->turn_start_ns) {
        stall_settle(watch, stall);
    }

    if (record->wanted & SAMPLE_FOR_STALL) {
        stall_seen(watch, record->turn_start_ns, record->time_ns,
                   stack_table_find(watch->table, MAIN_THREAD, record->labels,
                                    stack->frames, stack->n_frames),
                   record->span);
        return;
    }

    watch->cpu_start_ns = record->turn_start_ns;
    watch->cpu_labels = record->labels;
    watch->cpu_span = record->span;
    watch->cpu_stack.n_frames = stack->n_frames;
    memcpy(watch->cpu_stack.frames, stack->frames,
           stack->n_frames * sizeof(stack->frames[0]));
}


/* The stalls that the hook counted and did not list are "[lost]". */
static void
unlisted_settle(struct stall_watch *watch)
{
    uint64_t count, ns;

    count = atomic_load(&loop_state.unlisted) - watch->unlisted;
    ns = atomic_load(&loop_state.unlisted_ns) - watch->unlisted_ns;

    if (count == 0 && ns == 0) {
        return;
    }

    watch->unlisted += count;
    watch->unlisted_ns += ns;
    watch->counters.stalls += count;
    watch->counters.lost += count;
    watch->counters.ns += ns;

    stack_table_count(
        watch->table,
        stack_table_find_mark(watch->table, MAIN_THREAD, STACK_FRAME_LOST),
        (int64_t) count, (int64_t) ns);
}


void
stall_watch_settle(struct stall_watch *watch, uint64_t end)
{
    const struct loop_stall *stall;

    while ((stall = loop_stall_peek(end)) != NULL) {
        stall_settle(watch, stall);
    }

    unlisted_settle(watch);
}


bool
stall_watch_settle_running(struct stall_watch *watch)
{
    int64_t start, age;

    start = loop_turn_start();
    age = clock_ns(CLOCK_MONOTONIC) - start;

    /* after the turn was read: it may be this one */
    if (loop_stall_peek(loop_stalls_written()) != NULL) {
        return false;
    }

    if (start != 0 && age >= watch->threshold_ns
        && (watch->start_ns == start || watch->cpu_start_ns == start
            || age >= watch->threshold_ns + STACK_BY_NS)) {
        stall_add(watch, start, age);
    }

    return true;
}
