/*
 * When the leader closes the first period.
 */

#include <criterion/criterion.h>

#include <sys/wait.h>
#include <unistd.h>

#include "instance/instance_leader.h"
#include "instance/instance_memory.h"


#define PERIOD INT64_C(60000000000)

#define INSTANCES 1000


Test(first_period, first_period_is_shorter_by_a_tenth_at_most)
{
    cr_assert_eq(leader_first_period_ns(0, PERIOD), PERIOD);
    cr_assert_gt(leader_first_period_ns(UINT64_MAX, PERIOD), PERIOD * 9 / 10);
    cr_assert_lt(leader_first_period_ns(UINT64_MAX, PERIOD),
                 PERIOD * 9 / 10 + PERIOD / 1000);
    cr_assert_eq(leader_first_period_ns(7, PERIOD),
                 leader_first_period_ns(7, PERIOD));

    /* the longest that there is: 49 days */
    cr_assert_gt(
        leader_first_period_ns(UINT64_MAX, UINT32_MAX * INT64_C(1000000)),
        UINT32_MAX * INT64_C(900000));
}


/* Of the id of an instance that was just made. */
static int64_t
first_period(void)
{
    int     to_us[2];
    pid_t   pid;
    int64_t ns = 0;

    cr_assert_eq(pipe(to_us), 0);
    pid = fork();

    if (pid == 0) {
        if (instance_prepare() == 0) {
            ns = leader_first_period_ns(instance.directory->id, PERIOD);
        }

        _exit(write(to_us[1], &ns, sizeof(ns)) != sizeof(ns));
    }

    close(to_us[1]);
    cr_assert_eq(read(to_us[0], &ns, sizeof(ns)), sizeof(ns));
    close(to_us[0]);
    waitpid(pid, NULL, 0);

    return ns;
}


/* Those of a thousand instances that are started together are all over that
   tenth: in each of ten parts of it some forty at least. */
Test(first_period, instances_do_not_go_in_step)
{
    int     i, parts[10] = {0};
    int64_t shorter;

    for (i = 0; i < INSTANCES; i++) {
        shorter = PERIOD - first_period();
        cr_assert_geq(shorter, 0);
        cr_assert_lt(shorter, PERIOD / 10);
        parts[shorter / (PERIOD / 100)]++;
    }

    for (i = 0; i < 10; i++) {
        cr_assert_gt(parts[i], INSTANCES / 25, "part %d has %d", i, parts[i]);
    }
}
