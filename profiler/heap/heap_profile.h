
/*
 * The heap profile: unwinds sampled allocations, and counts them where they
 * were made, for good (alloc) and until they are freed (inuse).
 *
 * Profiler thread, but for start and stop, which the main thread calls while
 * there is none.
 */


#ifndef NPROF_HEAP_PROFILE_H
#define NPROF_HEAP_PROFILE_H


#include <stdbool.h>
#include <stdint.h>

#include "../aggregate/stack_table.h"
#include "../unwind/stack_unwind.h"
#include "heap_values.h"


struct heap_profile {
    /* Whether there are samples at all: else all that follows does nothing. */
    bool sampling;

    struct stack_table    *table;
    struct stack_unwinder *unwinder;
    struct unwound_stack  *stack;

    /* Blocks that were freed before the last line, and those of before that
       whose sample is still on its way: lists of live_set.h. */
    uint32_t freed;
    uint32_t deferred;

    /* Up to where the ring is drained in this turn. */
    uint64_t end;

    /* The hooks' code in libnprof: frames there are cut off a stack's leaf. */
    uint32_t hook_module;
    uint64_t hook_start;
    uint64_t hook_end;

    /* Samples that were unwound, and those of them that reached the root. */
    uint64_t samples;
    uint64_t complete;

    /* How much of heap_counters is in the table already. */
    uint64_t dropped_seen;
    int64_t  dropped_objects_seen;
    int64_t  dropped_bytes_seen;
};


/*
 * Begins to sample, and installs the hooks; stack is room to unwind into.
 * Returns 0 or -errno. *missing says what can't work here, or is NULL.
 */
int heap_profile_start(struct heap_profile *heap, uint64_t interval,
                       struct stack_table    *table,
                       struct stack_unwinder *unwinder,
                       struct unwound_stack *stack, const char **missing);

/* Draws the line: what is in the ring now is drained next. */
void heap_profile_line(struct heap_profile *heap);

/* Takes the list of what was freed. Before the line is drawn: the samples of
   these blocks are before it. */
void heap_profile_before_line(struct heap_profile *heap);

/* Counts what is before the line. modules is the table that it was drawn
   with. */
void heap_profile_drain(struct heap_profile       *heap,
                        const struct module_table *modules);


#endif /* NPROF_HEAP_PROFILE_H */
