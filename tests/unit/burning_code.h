/*
 * Code whose stack is known, for threads that are sampled, and what a stack of
 * it must look like.
 */

#ifndef TESTS_BURNING_CODE_H
#define TESTS_BURNING_CODE_H

#include "sampled_thread.h"


#define UNUSED __attribute__((unused))


static volatile uint64_t sink;


static NOINLINE UNUSED void
burn_leaf(void)
{
    unsigned i;

    for (i = 0; i < 2000; i++) {
        sink += i * sink;
    }
}


static NOINLINE UNUSED void
burn_middle(void)
{
    burn_leaf();
    sink++;
    STAY();
}


static NOINLINE UNUSED void
burn_outer(void)
{
    atomic_store(&sampled_started, true);

    while (!atomic_load(&sampled_stop)) {
        burn_middle();
        sink++;
    }

    STAY();
}


static NOINLINE UNUSED void
scenario_nested(void)
{
    burn_outer();
    STAY();
}


/*
 * The frames up to burn_outer() are its callees', each called by the next one.
 * Returns the index of burn_outer().
 */
static inline int
check_burn(const struct unwound_stack *stack)
{
    int leaf = frame_find(stack, 0, burn_leaf);
    int middle = frame_find(stack, 0, burn_middle);
    int outer = frame_find(stack, 0, burn_outer);

    cr_assert_geq(outer, 0, "%u frames", stack->n_frames);
    cr_assert_eq(outer, (leaf >= 0) + (middle >= 0));

    if (leaf >= 0) {
        cr_assert_eq(leaf, 0);
        cr_assert_eq(middle, 1);
    }

    return outer;
}


static inline void
check_root(const struct unwound_stack *stack, enum stack_frame_kind kind)
{
    uint32_t i;

    cr_assert(stack->complete, "%u frames", stack->n_frames);
    cr_assert_eq(stack->frames[stack->n_frames - 1].kind, kind);

    for (i = 0; i + 1 < stack->n_frames; i++) {
        cr_assert_eq(stack->frames[i].kind, STACK_FRAME_CODE);
    }
}


static int recursion_depth;


static NOINLINE UNUSED int
recurse(int depth)
{
    if (depth == 0) {
        burn_outer();
    } else {
        sink += (uint64_t) recurse(depth - 1);
    }
    STAY();

    return depth;
}


static inline void
scenario_recursion(void)
{
    recurse(recursion_depth);
    STAY();
}


static inline void
check_truncated(const struct unwound_stack *stack)
{
    cr_assert_not(stack->complete);
    cr_assert_eq(stack->frames[stack->n_frames - 1].kind,
                 STACK_FRAME_TRUNCATED);
    cr_assert_eq(stack->frames[stack->n_frames - 1].module,
                 STACK_FRAME_NO_MODULE);
}


static NOINLINE UNUSED void
scenario_large_frame(void)
{
    volatile unsigned char large[40 * 1024];

    large[0] = 1;
    burn_outer();
    sink += large[0];
}


static inline void
interrupting(int signo)
{
    (void) signo;
    burn_outer();
    STAY();
}


static inline void
scenario_raise(void)
{
    signal(SIGUSR1, interrupting);
    raise(SIGUSR1);
    STAY();
}


#endif /* TESTS_BURNING_CODE_H */
