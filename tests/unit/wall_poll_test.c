/*
 * Wall time at its end. What it says of threads is tested with those of nginx.
 */

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "wall_poll.h"


#define MS INT64_C(1000000)


static struct module_identity identity;
static struct module_table    modules;
static struct stack_table    *table;
static struct wall_poll      *wall;


static void
setup(void)
{
    unsigned                              i;
    static const struct stack_table_shape shape
        = {1024, 16384, STACK_VALUES, {0}};

    modules.identities[0] = &identity;
    modules.n_identities = 1;
    table = stack_table_create(&modules, &shape);
    wall = calloc(1, sizeof(*wall));
    wall_poll_init(wall, table, NULL);

    for (i = 0; i < 2; i++) {
        thread_slots[i].used = true;
        strcpy(thread_slots[i].name, i == 0 ? "main" : "pool");
        wall->threads[i].since_ns = 1000 * MS;
        wall->threads[i].stack = STACK_TABLE_NONE;
        wall->threads[i].last = STACK_TABLE_NONE;
    }
}


TestSuite(wall_poll, .init = setup, .timeout = 30);


/* Count and nanoseconds of a thread's stack: that of the address; 0: "[lost]". */
static void
expect(const char *thread, uint64_t address, int64_t count, int64_t ns)
{
    size_t                    i;
    int64_t                   values[STACK_VALUES] = {0, 0};
    struct stack_profile     *profile = stack_table_profile(table);
    const struct stack_frame *frame;

    for (i = 0; i < profile->n_samples; i++) {
        frame = profile->samples[i].frames;

        if (strcmp(profile->samples[i].thread, thread) == 0
            && (frame->kind == STACK_FRAME_LOST ? address == 0
                                                : frame->address == address)) {
            values[0] += profile->samples[i].values[0];
            values[1] += profile->samples[i].values[1];
        }
    }

    cr_assert_eq(values[STACK_COUNT], count);
    cr_assert_eq(values[STACK_NANOSECONDS], ns);
    stack_profile_free(profile);
}


Test(wall_poll, a_sample_that_never_comes_is_lost_at_the_end)
{
    const struct stack_frame frame = {.address = 1, .kind = STACK_FRAME_CODE};

    /* one was asked for a sample, the other was seen where it sleeps */
    wall->threads[0].pending_ns = 100 * MS;
    wall->threads[1].last
        = stack_table_find(table, "pool", LABEL_SET_NONE, &frame, 1);
    stack_table_count(table, wall->threads[1].last, 1, 200 * MS);

    wall_poll_end(wall, 2, 1030 * MS);
    expect("main", 0, 1, 130 * MS);
    expect("pool", 1, 1, 230 * MS);
    cr_assert_eq(wall->counters.lost, 1);

    /* what is left behind is brought up to date once more */
    wall_poll_settle(wall, 2, 1031 * MS);
    expect("main", 0, 1, 131 * MS);
    expect("pool", 1, 1, 231 * MS);
}
