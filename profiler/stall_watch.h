
/*
 * The stall engine: what the event loop did in turns that were too long.
 *
 * Stalls are counted and timed by the loop's own hook (sample/loop_hook.h),
 * each exactly. While a turn is over the threshold this engine takes stacks of
 * the main thread: by a signal if it runs, from outside if it is blocked. When
 * the stall is over its time is divided by those stacks, each for the time since
 * the one before it, the first for that since the turn began; the stall itself
 * is counted once, where most of its time went (aggregate/heaviest_stack.h). A
 * stall in which none was taken has the stack of the turn's last CPU sample, or
 * is "[lost]".
 *
 * A profile that is made while a stall goes on has its time so far, divided by
 * the stacks so far, and counts it. What is left of it goes to later stacks,
 * and to later profiles, without a count.
 *
 * It looks at the loop as often as it must to see any turn that is over the
 * threshold. A look costs some 20 us, nearly all of which is to wake up, so a
 * calm loop, whose turns were all shorter than half of the threshold for
 * seconds, is looked at less often; and one that does not turn not at all,
 * until the hook wakes us. Profiler thread only, but for init and destroy.
 */


#ifndef NPROF_STALL_WATCH_H
#define NPROF_STALL_WATCH_H


#include <stdbool.h>
#include <stdint.h>

#include "aggregate/stack_table.h"
#include "sample/blocked_stack.h"
#include "unwind/stack_unwind.h"


/* Stacks that a stall's time is divided by; of any more, the last ones count as
   "[other]". */
#define STALL_STACKS 256


struct stall_counters {
    uint64_t stalls;
    uint64_t ns;

    /* Stacks taken, and stalls without any. */
    uint64_t samples;
    uint64_t lost;
};


struct stall_stack {
    uint32_t stack;

    /* That of the request, 0 if there is none. */
    uint64_t span;

    /* The time that it stands for, nanoseconds. */
    int64_t weight;
};


struct stall_watch {
    struct stack_table    *table;
    struct stack_unwinder *unwinder;
    int64_t                threshold_ns;

    /* When to look next (CLOCK_MONOTONIC); or that the hook will wake us. */
    int64_t due_ns;
    bool    asleep;

    /* The slow turns at the last look, and until when there is to be none for
       the loop to be calm; 0 before the first. */
    uint64_t slow_turns;
    int64_t  calm_ns;

    /* The turns at the last look, and the looks since there was one. */
    uint64_t turns;
    unsigned quiet;

    /*
     * The turn that stacks were taken of last, and those that its time is
     * divided by next, with their weights' sum: all since it was divided last,
     * or, if there is none, the last one before, which weighs nothing.
     */
    int64_t            start_ns;
    struct stall_stack stacks[STALL_STACKS];
    uint32_t           n_stacks;
    uint32_t           last;
    int64_t            weight;

    /* When the last of them was taken. */
    int64_t seen_ns;

    /* The stall that was added to the table last, and how much of it. */
    int64_t added_start_ns;
    int64_t added_ns;

    /* Where the turn's main thread was blocked at the last look, for which span,
       and its CPU clock then; STACK_TABLE_NONE if it was not. */
    uint32_t blocked_stack;
    uint64_t blocked_span;
    int64_t  blocked_cpu_ns;

    /* The last CPU sample that was taken in a turn: which turn, whose work, which
       stack. */
    int64_t              cpu_start_ns;
    uint32_t             cpu_labels;
    uint64_t             cpu_span;
    struct unwound_stack cpu_stack;

    /* How much of the hook's counters is in the table already. */
    uint64_t unlisted;
    uint64_t unlisted_ns;

    union blocked_sample sample;
    struct unwound_stack stack;

    struct stall_counters counters;
};


/* table and unwinder outlive the watch, which is all zero. */
void stall_watch_init(struct stall_watch *watch, struct stack_table *table,
                      struct stack_unwinder *unwinder, int64_t threshold_ns);

/* When to look next, CLOCK_MONOTONIC; INT64_MAX if the hook will wake us. */
int64_t stall_watch_due(const struct stall_watch *watch);

/*
 * Looks at the loop if that is due; else returns at once. drained: samples were
 * drained, and the table of modules brought up to date, right before. Returns
 * false if it can't until they are; then it is due still.
 */
bool stall_watch_look(struct stall_watch *watch, bool drained);

/*
 * Takes a sample of the main thread that came through its ring, and its
 * stack; in the order of the ring.
 */
void stall_watch_sample(struct stall_watch         *watch,
                        const struct sample_record *record,
                        const struct unwound_stack *stack);

/*
 * Adds to the table those stalls of the first `end` (loop_stalls_written())
 * that are not in it yet; their samples must have been drained.
 */
void stall_watch_settle(struct stall_watch *watch, uint64_t end);

/*
 * Adds to the table what it lacks of the stall that goes on, if there is one;
 * right after samples were drained and stalls settled. Returns false if another
 * one has ended since, and that is to be done first.
 */
bool stall_watch_settle_running(struct stall_watch *watch);


#endif /* NPROF_STALL_WATCH_H */
