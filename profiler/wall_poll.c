
/*
 * Wall time; see wall_poll.h.
 */


#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "nprof_clock.h"
#include "sample/sample_request.h"
#include "wall_poll.h"


void
wall_poll_init(struct wall_poll *wall, struct stack_table *table,
               struct stack_unwinder *unwinder)
{
    wall->table = table;
    wall->unwinder = unwinder;

    if (getrandom(&wall->random, sizeof(wall->random), GRND_NONBLOCK)
        != sizeof(wall->random)) {
        wall->random = (uint64_t) clock_ns(CLOCK_MONOTONIC);
    }

    wall->random |= 1;
}


int64_t
wall_poll_due(const struct wall_poll *wall)
{
    return wall->due_ns;
}


/*
 * Random, so that what happens at regular times is not met, or missed, each
 * time. How long it is on average depends on the past alone, so that a look is
 * as likely as any other to meet what comes.
 */
static int64_t
gap(struct wall_poll *wall)
{
    int64_t mean;

    mean = wall->still < WALL_POLL_STILL_LOOKS ? WALL_POLL_MEAN_NS
                                               : WALL_POLL_STILL_MEAN_NS;

    wall->random ^= wall->random << 13;
    wall->random ^= wall->random >> 7;
    wall->random ^= wall->random << 17;

    return mean / 2 + (int64_t) (wall->random % (uint64_t) mean);
}


/* The gap goes to the stack, and to the span. */
static void
gap_add(struct wall_poll *wall, struct wall_thread *thread, uint32_t stack,
        uint64_t span, int64_t ns)
{
    thread->last = stack;
    thread->last_span = span;
    stack_table_count_span(wall->table, stack, 1, ns, span);
}


static void
gap_lost(struct wall_poll *wall, const struct thread_slot *slot,
         struct wall_thread *thread, int64_t ns)
{
    wall->counters.lost++;
    gap_add(wall, thread,
            stack_table_find_mark(wall->table, slot->name, STACK_FRAME_LOST), 0,
            ns);
}


/* The thread is not where it was: where it is now is found, or asked for. */
static void
look_anew(struct wall_poll *wall, struct thread_slot *slot,
          struct wall_thread *thread, int64_t ns)
{
    thread->stack = STACK_TABLE_NONE;

    switch (blocked_stack_take(slot, &wall->sample, &thread->cpu_ns)) {
    case THREAD_RUNNING:
        if (sample_request(slot, SAMPLE_FOR_WALL) == 0) {
            thread->pending_ns = ns;
            return;
        }
        break;

    case THREAD_BLOCKED:
        stack_unwind(wall->unwinder, &wall->sample.record, slot->main_thread,
                     &wall->stack);
        thread->stack = stack_table_find(
            wall->table, slot->name, wall->sample.record.labels,
            wall->stack.frames, wall->stack.n_frames);
        thread->span = wall->sample.record.span;
        thread->named = slot->named;
        gap_add(wall, thread, thread->stack, thread->span, ns);
        return;

    default: /* THREAD_UNKNOWN */
        break;
    }

    gap_lost(wall, slot, thread, ns);
}


/* A gap has passed; this is what the thread does at its end. Returns whether
   it has moved. */
static bool
look_at(struct wall_poll *wall, struct thread_slot *slot,
        struct wall_thread *thread, int64_t ns)
{
    int64_t cpu_ns;

    cpu_ns = thread_cpu_ns(slot);

    if (cpu_ns < 0) {
        /* it is gone, who knows since when */
        return true;
    }

    if (cpu_ns == thread->cpu_ns && thread->pending_ns != 0) {
        /* it waits for a processor, and has not seen the signal yet */
        thread->pending_ns += ns;
        return true;
    }

    if (cpu_ns == thread->cpu_ns && thread->stack != STACK_TABLE_NONE
        && thread->named == slot->named) {
        wall->counters.unmoved++;
        gap_add(wall, thread, thread->stack, thread->span, ns);
        return false;
    }

    if (thread->pending_ns != 0) {
        gap_lost(wall, slot, thread, thread->pending_ns);
        thread->pending_ns = 0;
    }

    thread->cpu_ns = cpu_ns;
    look_anew(wall, slot, thread, ns);

    return true;
}


/* The same of this very thread, which runs now and waited before. */
static void
look_at_own(struct wall_poll *wall, struct thread_slot *slot,
            struct wall_thread *thread, int64_t ns)
{
    wall->own = slot;

    if (thread->stack == STACK_TABLE_NONE) {
        thread->pending_ns += ns;
        return;
    }

    wall->counters.unmoved++;
    gap_add(wall, thread, thread->stack, thread->span, ns);
}


void
wall_poll_look(struct wall_poll *wall, size_t n_slots)
{
    bool                moved;
    size_t              i;
    pid_t               own_tid;
    int64_t             now, since;
    struct wall_thread *thread;

    now = clock_ns(CLOCK_MONOTONIC);
    moved = false;
    own_tid = gettid();

    for (i = 0; i < n_slots; i++) {
        if (!thread_slots[i].used) {
            continue;
        }

        thread = &wall->threads[i];
        since = thread->since_ns;
        thread->since_ns = now;

        if (since == 0) {
            thread->stack = STACK_TABLE_NONE;
            thread->last = STACK_TABLE_NONE;
            continue;
        }

        wall->counters.looks++;

        if (thread_slots[i].tid == own_tid) {
            look_at_own(wall, &thread_slots[i], thread, now - since);
        } else if (look_at(wall, &thread_slots[i], thread, now - since)
                   && !atomic_load_explicit(&thread_slots[i].own_work,
                                            memory_order_relaxed)) {
            moved = true;
        }
    }

    wall->still = moved ? 0 : wall->still + 1;
    wall->due_ns = now + gap(wall);
}


void
wall_poll_settle(struct wall_poll *wall, size_t n_slots, int64_t now)
{
    size_t              i;
    int64_t             ns;
    struct wall_thread *thread;

    for (i = 0; i < n_slots; i++) {
        thread = &wall->threads[i];

        if (!thread_slots[i].used || thread->since_ns == 0) {
            continue;
        }

        ns = now - thread->since_ns;
        thread->since_ns = now;

        if (thread->pending_ns != 0) {
            thread->pending_ns += ns;
        } else {
            /* nowhere, if it was looked at once only: that was its start */
            stack_table_count_span(wall->table, thread->last, 0, ns,
                                   thread->last_span);
        }
    }
}


void
wall_poll_before_wait(struct wall_poll *wall)
{
    if (wall->own != NULL
        && wall->threads[wall->own - thread_slots].stack == STACK_TABLE_NONE) {
        (void) sample_request(wall->own, SAMPLE_FOR_WALL);
    }
}


void
wall_poll_sample(struct wall_poll *wall, const struct thread_slot *slot,
                 const struct sample_record *record,
                 const struct unwound_stack *stack)
{
    uint32_t            index;
    struct wall_thread *thread;

    thread = &wall->threads[slot - thread_slots];

    if (thread->pending_ns == 0) {
        /* it came too late: the gap is lost already */
        return;
    }

    index = stack_table_find(wall->table, slot->name, record->labels,
                             stack->frames, stack->n_frames);
    gap_add(wall, thread, index, record->span, thread->pending_ns);
    thread->pending_ns = 0;

    /* the first may be cut, while it is not known where the stack ends */
    if (slot == wall->own && stack->complete) {
        thread->stack = index;
        thread->span = record->span;
    }
}


void
wall_poll_end(struct wall_poll *wall, size_t n_slots, int64_t now)
{
    size_t              i;
    struct wall_thread *thread;

    wall_poll_settle(wall, n_slots, now);

    for (i = 0; i < n_slots; i++) {
        thread = &wall->threads[i];

        if (thread->pending_ns != 0) {
            gap_lost(wall, &thread_slots[i], thread, thread->pending_ns);
            thread->pending_ns = 0;
        }
    }
}


void
wall_poll_forget(struct wall_poll *wall, const struct thread_slot *slot)
{
    struct wall_thread *thread;

    thread = &wall->threads[slot - thread_slots];

    if (thread->pending_ns != 0) {
        gap_lost(wall, slot, thread, thread->pending_ns);
    }

    memset(thread, 0, sizeof(*thread));
}
