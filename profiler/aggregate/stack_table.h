
/*
 * A cumulative table of a worker: how often each stack was seen, and what it
 * cost, from the worker's start on. Each type of profile has a table of its
 * own, with bounds of its own: one can't take the other's room. No stack is ever
 * taken out, and no value set back (those of memory in use go down as they went
 * up), so a profile over a window is the difference of two profiles, and any
 * number of readers have windows of their own.
 *
 * Profiler thread only. Bounds: a number of stacks, and of their frames in all,
 * 8 bytes each; a stack beyond them is counted under its thread's "[other]".
 */


#ifndef NPROF_STACK_TABLE_H
#define NPROF_STACK_TABLE_H


#include <stddef.h>
#include <stdint.h>

#include "../unwind/module_table.h"
#include "stack_profile.h"


/* Bounds and values of a table; stacks_max is a power of two. */
struct stack_table_shape {
    uint32_t stacks_max;
    uint32_t frames_max;

    /* Values of a stack, at most STACK_PROFILE_MAX_VALUES. */
    uint32_t n_values;

    /*
     * Bits of each value that are behind the binary point while it is summed
     * up, in the table and its profiles, and over workers: a weight is no whole
     * number. See profile_type_round().
     */
    unsigned char fraction_bits[STACK_PROFILE_MAX_VALUES];
};

/* Names of threads that are told apart; more share the last one. Each has an
   "[other]", whose place is kept within the bounds. */
#define STACK_TABLE_THREADS 256


/* The values of a stack, in all tables but the heap's. */
enum {
    STACK_COUNT = 0,
    STACK_NANOSECONDS,
    STACK_VALUES
};


/* No stack's index. */
#define STACK_TABLE_NONE UINT32_MAX

/* A stack has no call there. */
#define STACK_TABLE_NO_CALL UINT64_MAX


struct stack_table;


/* NULL if there is no memory. modules outlives the table. */
struct stack_table *stack_table_create(const struct module_table      *modules,
                                       const struct stack_table_shape *shape);

void stack_table_destroy(struct stack_table *table);

/*
 * The index of the stack of n_frames frames, leaf first, of the thread of that
 * name under a label set (label_set.h); that of the thread's "[other]", without
 * labels, if the table is full. It stays valid as long as the table. A stack
 * that nothing is added to is in no profile.
 */
uint32_t stack_table_find(struct stack_table *table, const char *thread,
                          uint32_t labels, const struct stack_frame *frames,
                          uint32_t n_frames);

/* That of the thread's mark, which is a frame without a module, and has no
   labels. */
uint32_t stack_table_find_mark(struct stack_table *table, const char *thread,
                               enum stack_frame_kind mark);

/* Adds to all values of a stack that was found. */
void stack_table_change(struct stack_table *table, uint32_t index,
                        const int64_t *values);

/* The same in a table of two. */
void stack_table_count(struct stack_table *table, uint32_t index, int64_t count,
                       int64_t nanoseconds);

/* Keeps spans from now on. Returns 0 or -ENOMEM. */
int stack_table_keep_spans(struct stack_table *table);

/* The same, and the time is that span's, unless that is 0 or spans are not
   kept. */
void stack_table_count_span(struct stack_table *table, uint32_t index,
                            int64_t count, int64_t nanoseconds, uint64_t span);

/* The label set of a stack that was found; LABEL_SET_NONE of STACK_TABLE_NONE. */
uint32_t stack_table_labels(const struct stack_table *table, uint32_t index);

/* Its frame, counted from the root, as a number that equal frames share;
   STACK_TABLE_NO_CALL beyond its leaf, and of STACK_TABLE_NONE. */
uint64_t stack_table_call(const struct stack_table *table, uint32_t index,
                          uint32_t depth);

/* Stacks in the table and the most there can be, and what was counted under
   "[other]". */
uint32_t stack_table_used(const struct stack_table *table);
uint32_t stack_table_limit(const struct stack_table *table);
uint64_t stack_table_overflows(const struct stack_table *table);

/* Bytes that were used once, those of spans included. */
size_t stack_table_memory(const struct stack_table *table);

/*
 * Makes the profile of what was added ever. The caller sets types, period, time
 * and duration. NULL if there is no memory; freed by stack_profile_free(). The
 * profile is independent of the table, but for the modules' identities, which
 * are as old as the process.
 */
struct stack_profile *stack_table_profile(const struct stack_table *table);

/* Any thread: the profile's owner. */
void stack_profile_free(struct stack_profile *profile);


#endif /* NPROF_STACK_TABLE_H */
