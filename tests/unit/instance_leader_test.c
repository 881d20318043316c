/*
 * When the leader ends periods, and steps of the history: at their end, not a
 * turn later.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "instance/instance_leader.h"
#include "instance/peer_exchange.h"
#include "instance/stack_parcel.h"
#include "nprof_clock.h"


/* No number of turns. */
#define LENGTH_NS INT64_C(1200000000)
#define WINDOWS 2


static struct module_registry registry;
static struct module_identity nginx = {.path = "/nginx", .fd = -1};

static struct nprof_config config = {
    .rate = 99,
    .types = NPROF_TYPE(NPROF_JOB_CPU),
    .period_ms = LENGTH_NS / 1000000,
};

static struct instance_leader leader = {
    .config = &config,
    .main = &nginx,
    .registry = &registry,
};

static unsigned     n_periods;
static _Atomic bool ended;


/* A worker that has counted nothing. */
static int
nothing_write(void *data, uint32_t types, struct parcel_file *file)
{
    int                  rc;
    struct parcel_writer writer;

    (void) data;
    (void) types;
    parcel_begin(&writer, instance_own_slot()->id, 0, parcel_file_sink, file);
    rc = parcel_end(&writer);

    return rc != 0 ? rc : file->error;
}


static void *
profiler_run(void *data)
{
    (void) data;

    while (!atomic_load(&ended)) {
        peer_accept_all(instance.slot);
        peer_answer_all(instance.slot, nothing_write, NULL);
        usleep(1000);
    }

    return NULL;
}


static void
period_count(void *data, const struct period *period)
{
    (void) data;
    n_periods++;
    cr_assert_lt(period->start_ns, period->end_ns);
}


static int64_t
base_ns(enum instance_base_role role)
{
    return atomic_load(&instance.directory->bases[role].monotonic_ns);
}


/* Turns whenever it is time to, until so many windows ended: each at a turn that
   was set for its end, or before, where this process was late. */
static void
windows_end(enum instance_base_role role)
{
    int64_t   planned, begin;
    unsigned  n = 0;
    pthread_t profiler;

    cr_assert_eq(instance_join(), 0);
    peer_begin();
    cr_assert_eq(pthread_create(&profiler, NULL, profiler_run, NULL), 0);

    while (n < WINDOWS) {
        planned = leader.next_ns;

        while (clock_ns(CLOCK_MONOTONIC) < planned) {
            usleep(1000);
        }

        begin = base_ns(role);
        instance_leader_turn(&leader);

        if (begin != 0 && base_ns(role) != begin) {
            n++;
            cr_assert_leq(planned, begin + LENGTH_NS, "%ld ns late",
                          (long) (planned - begin - LENGTH_NS));
            /* the first period is shorter */
            cr_assert_geq(base_ns(role), begin + LENGTH_NS * 9 / 10);
        }
    }

    atomic_store(&ended, true);
    pthread_join(profiler, NULL);
}


Test(instance_leader, periods_end_in_time)
{
    cr_assert_eq(period_subscribe(&leader.handlers, period_count, NULL), 0);
    windows_end(INSTANCE_BASE_PERIOD);
    cr_assert_eq(n_periods, WINDOWS);
}


Test(instance_leader, steps_of_the_history_end_in_time)
{
    config.history_size = 1 << 20;
    windows_end(INSTANCE_BASE_STEP);
}
