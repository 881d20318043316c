
/*
 * Which of several stacks stands for all of them, where something is counted
 * once that was seen in each: at the labels that weigh most, and of the stacks
 * under those at the end of the path that from the root on weighs most at each
 * call. So a function that was seen at a hundred places weighs what all of them
 * do, against another one that was seen at one.
 *
 * Profiler thread only; no memory of its own.
 */


#ifndef NPROF_HEAVIEST_STACK_H
#define NPROF_HEAVIEST_STACK_H


#include <stdint.h>

#include "stack_table.h"


struct stack_weight {
    /* An index of the table, and what it weighs. */
    uint32_t stack;
    int64_t  weight;

    /* What they are told apart by: heaviest_stack()'s own. */
    uint64_t key;
};


/* An index of the table: one of n stacks, 1 at least, of equal ones the first.
   The array is used up. */
uint32_t heaviest_stack(const struct stack_table *table,
                        struct stack_weight *stacks, uint32_t n);


#endif /* NPROF_HEAVIEST_STACK_H */
