/*
 * The thread that wakes up after the time of a look: when it does, where, and
 * that it ends.
 */

#include <criterion/criterion.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "look_nudge.h"
#include "nprof_clock.h"


TestSuite(look_nudge, .timeout = 30);


/* Nothing stops: it has to end for itself. */
static struct nprof      nprof;
static struct look_nudge nudge;


static pid_t
nudge_start(void)
{
    cr_assert_eq(look_nudge_start(&nudge, &nprof), 0);

    while (nudge.tid == 0) {
        usleep(1000);
    }

    return nudge.tid;
}


/* How often it has gone to sleep. */
static long
sleeps(pid_t tid)
{
    long  n = -1;
    char  path[64], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int) tid);
    file = fopen(path, "r");
    cr_assert_not_null(file);

    while (fgets(line, sizeof(line), file) != NULL) {
        (void) sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    }

    fclose(file);

    return n;
}


Test(look_nudge, it_ends_while_the_profiler_goes_on)
{
    (void) nudge_start();
    look_nudge_join(&nudge);

    /* before it has run, too */
    cr_assert_eq(look_nudge_start(&nudge, &nprof), 0);
    look_nudge_join(&nudge);
}


Test(look_nudge, its_cpu_time_outlives_it)
{
    uint64_t before;

    (void) nudge_start();
    before = look_nudge_cpu_ns(&nudge);
    look_nudge_join(&nudge);

    cr_assert_gt(before, 0);
    cr_assert_geq(look_nudge_cpu_ns(&nudge), before);
    cr_assert_lt(look_nudge_cpu_ns(&nudge), before + 1000000000);
}


Test(look_nudge, it_wakes_up_after_its_point)
{
    long  before;
    pid_t tid = nudge_start();

    while ((before = sleeps(tid)) == 0) {
        usleep(1000);
    }

    look_nudge_set(&nudge, clock_ns(CLOCK_MONOTONIC) + 20000000);

    while (sleeps(tid) == before) {
        usleep(1000);
    }

    look_nudge_join(&nudge);
}


Test(look_nudge, it_is_bound_once_it_runs)
{
    int       cpu = sched_getcpu();
    cpu_set_t set;

    cr_assert_eq(look_nudge_start(&nudge, &nprof), 0);

    /* after each look, and the first ones may be before it runs */
    do {
        look_nudge_bind(&nudge, cpu);
    } while (nudge.bound != cpu);

    cr_assert_neq(nudge.tid, 0);
    cr_assert_eq(sched_getaffinity(nudge.tid, sizeof(set), &set), 0);
    cr_assert_eq(CPU_COUNT(&set), 1);
    cr_assert(CPU_ISSET(cpu, &set));
    look_nudge_join(&nudge);
}
