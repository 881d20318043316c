
/*
 * The wall engine: where threads spend time, whether they run or not.
 *
 * It looks at all threads ten times a second, after random gaps, and each gap
 * goes to what the thread does at its end, so the sum of a thread is the time
 * that it was watched. While all of them stay where they are it looks twice a
 * second. A thread that is blocked is looked at from outside and never gets a
 * signal; while its CPU clock stands still it is where it was, and costs a look
 * at that clock. A thread that runs is asked for a sample by signal; if it runs
 * on and none comes until the next look the gap is "[lost]".
 *
 * Profiler thread only. That thread itself always runs when it looks, so it
 * shows where it was right before it began to wait.
 */


#ifndef NPROF_WALL_POLL_H
#define NPROF_WALL_POLL_H


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aggregate/stack_table.h"
#include "sample/blocked_stack.h"
#include "unwind/stack_unwind.h"


/* The gaps: evenly distributed between half and one and a half of this; the
   second, after as many looks at which nobody had moved. */
#define WALL_POLL_MEAN_NS 100000000
#define WALL_POLL_STILL_MEAN_NS 500000000
#define WALL_POLL_STILL_LOOKS 16


struct wall_counters {
    /* Looks at a thread, and those of them that found it where it was. */
    uint64_t looks;
    uint64_t unmoved;

    /* Looks that gave no stack. */
    uint64_t lost;
};


struct wall_thread {
    /* When it was looked at last (CLOCK_MONOTONIC), 0 if it never was. */
    int64_t since_ns;

    /* Where it is blocked, an index of the table or STACK_TABLE_NONE; and the
       span that it works for there, 0 if there is none. */
    uint32_t stack;
    uint64_t span;

    /* How often its name had been asked for then: it may have another now. */
    unsigned named;

    /* Its CPU clock there, or when a sample was requested. */
    int64_t cpu_ns;

    /* The stack that its last gap went to, or STACK_TABLE_NONE, and the span. */
    uint32_t last;
    uint64_t last_span;

    /* The gap that the sample which was requested stands for, or 0. */
    int64_t pending_ns;
};


struct wall_poll {
    struct stack_table    *table;
    struct stack_unwinder *unwinder;

    /* The profiler thread's, NULL while it was not looked at. */
    struct thread_slot *own;

    int64_t  due_ns;
    uint64_t random;

    /* Looks in a row at which nobody had moved. */
    unsigned still;

    struct wall_thread threads[THREAD_SLOTS];

    union blocked_sample sample;
    struct unwound_stack stack;

    struct wall_counters counters;
};


/* table and unwinder outlive the poll, which is all zero. Any thread. */
void wall_poll_init(struct wall_poll *wall, struct stack_table *table,
                    struct stack_unwinder *unwinder);

/* When to look next, CLOCK_MONOTONIC. */
int64_t wall_poll_due(const struct wall_poll *wall);

/* Looks at the threads of the first n_slots slots. */
void wall_poll_look(struct wall_poll *wall, size_t n_slots);

/*
 * Brings the table up to date where a window begins or ends, now (of
 * CLOCK_MONOTONIC, not before the last look): the gap so far
 * goes to where a thread was last seen. It takes no look: the event loop has
 * just asked for the window, and would always be seen doing so.
 */
void wall_poll_settle(struct wall_poll *wall, size_t n_slots, int64_t now);

/* Before the profiler thread waits: if it has not shown yet where, it takes a
   sample of itself. */
void wall_poll_before_wait(struct wall_poll *wall);

/* Takes the sample that a thread was asked for, and its stack. */
void wall_poll_sample(struct wall_poll *wall, const struct thread_slot *slot,
                      const struct sample_record *record,
                      const struct unwound_stack *stack);

/* No more samples come: the gaps of those that were asked for are lost. Brings
   the table up to date for the last time, as wall_poll_settle() does. */
void wall_poll_end(struct wall_poll *wall, size_t n_slots, int64_t now);

/* The slot's thread is gone. */
void wall_poll_forget(struct wall_poll *wall, const struct thread_slot *slot);


#endif /* NPROF_WALL_POLL_H */
