
/*
 * The stack that stands for several; see heaviest_stack.h.
 */


#include <stdbool.h>

#include "heaviest_stack.h"


static bool
keys_differ(const struct stack_weight *stacks, uint32_t n)
{
    uint32_t i;

    for (i = 1; i < n; i++) {
        if (stacks[i].key != stacks[0].key) {
            return true;
        }
    }

    return false;
}


static int64_t
weight_of(const struct stack_weight *stacks, uint32_t n, uint64_t key)
{
    uint32_t i;
    int64_t  weight;

    weight = 0;

    for (i = 0; i < n; i++) {
        weight += stacks[i].key == key ? stacks[i].weight : 0;
    }

    return weight;
}


/* Keeps those of the key that weighs most, in their order; returns how many. */
static uint32_t
heaviest_keep(struct stack_weight *stacks, uint32_t n)
{
    uint32_t i, kept;
    uint64_t key;
    int64_t  weight, most;

    /* the usual case, as the stacks of a thread begin alike */
    if (!keys_differ(stacks, n)) {
        return n;
    }

    key = stacks[0].key;
    most = weight_of(stacks, n, key);

    for (i = 1; i < n; i++) {
        weight = weight_of(stacks, n, stacks[i].key);

        if (weight > most) {
            most = weight;
            key = stacks[i].key;
        }
    }

    kept = 0;

    for (i = 0; i < n; i++) {
        if (stacks[i].key == key) {
            stacks[kept++] = stacks[i];
        }
    }

    return kept;
}


uint32_t
heaviest_stack(const struct stack_table *table, struct stack_weight *stacks,
               uint32_t n)
{
    uint32_t i, depth;

    for (i = 0; i < n; i++) {
        stacks[i].key = stack_table_labels(table, stacks[i].stack);
    }

    n = heaviest_keep(stacks, n);

    /* the same stack may be there twice: so up to its end */
    for (depth = 0; n > 1 && stacks[0].key != STACK_TABLE_NO_CALL; depth++) {
        for (i = 0; i < n; i++) {
            stacks[i].key = stack_table_call(table, stacks[i].stack, depth);
        }

        n = heaviest_keep(stacks, n);
    }

    return stacks[0].stack;
}
