/*
 * Which stack stands for several.
 */

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "aggregate/heaviest_stack.h"


#define DEEP 100

static struct module_identity identity;
static struct module_table    modules;
static struct stack_table    *table;

static struct stack_weight seen[300];
static uint32_t            n_seen;


static void
setup(void)
{
    static const struct stack_table_shape shape
        = {1024, 64 * 1024, STACK_VALUES, {0}};

    modules.identities[0] = &identity;
    modules.n_identities = 1;
    table = stack_table_create(&modules, &shape);
}


TestSuite(heaviest_stack, .init = setup, .timeout = 30);


/* A stack by the letters of its calls, the root first; returns its index. */
static uint32_t
stack(uint32_t labels, const char *calls)
{
    uint32_t           i, n = (uint32_t) strlen(calls);
    struct stack_frame frames[DEEP];

    for (i = 0; i < n; i++) {
        frames[i] = (struct stack_frame){
            .address = (unsigned char) calls[n - 1 - i],
            .module = 0,
            .kind = STACK_FRAME_CODE,
        };
    }

    return stack_table_find(table, "main", labels, frames, n);
}


/* It was seen for so long. */
static void
see(uint32_t labels, const char *calls, int64_t weight)
{
    seen[n_seen++] = (struct stack_weight){stack(labels, calls), weight, 0};
}


static void
expect(uint32_t labels, const char *calls)
{
    cr_assert_eq(heaviest_stack(table, seen, n_seen), stack(labels, calls));
    n_seen = 0;
}


Test(heaviest_stack, one_stands_for_itself)
{
    see(3, "abc", 1);
    expect(3, "abc");
}


Test(heaviest_stack, of_equal_ones_it_is_the_first)
{
    see(0, "ab", 5);
    see(0, "ac", 5);
    expect(0, "ab");
}


Test(heaviest_stack, places_of_one_function_weigh_together)
{
    see(0, "mcw", 30);
    see(0, "mbx", 10);
    see(0, "mby", 20);
    see(0, "mbz", 15);
    expect(0, "mby");
}


Test(heaviest_stack, labels_come_first)
{
    see(1, "ab", 40);
    see(2, "ab", 25);
    see(2, "ac", 20);
    expect(2, "ab");
}


Test(heaviest_stack, a_stack_may_end_where_others_go_on)
{
    see(0, "ab", 10);
    see(0, "abc", 8);
    see(0, "abd", 3);
    expect(0, "ab");

    see(0, "ab", 7);
    see(0, "abc", 8);
    expect(0, "abc");
}


Test(heaviest_stack, the_same_stack_may_be_there_twice)
{
    see(0, "ab", 10);
    see(0, "ac", 8);
    see(0, "ac", 8);
    expect(0, "ac");

    see(0, "ac", 8);
    see(0, "ac", 8);
    expect(0, "ac");
}


Test(heaviest_stack, one_that_found_no_room_has_no_calls)
{
    seen[n_seen++] = (struct stack_weight){STACK_TABLE_NONE, 9, 0};
    cr_assert_eq(heaviest_stack(table, seen, n_seen), STACK_TABLE_NONE);
    see(0, "ab", 10);
    expect(0, "ab");
}
