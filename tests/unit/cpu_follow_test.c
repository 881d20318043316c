/*
 * Following a thread from processor to processor.
 */

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sample/cpu_follow.h"


static struct cpu_follow follow;

/* The processor that the thread is to move to, and the one that it is on. */
static _Atomic int  wanted;
static _Atomic int  there;
static _Atomic bool done;


static void *
run(void *data)
{
    int       cpu;
    cpu_set_t set;

    cpu_follow_init(data);

    while (!atomic_load(&done)) {
        cpu = atomic_load(&wanted);
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void) sched_setaffinity(0, sizeof(set), &set);
        atomic_store(&there, cpu);
    }

    return NULL;
}


/* The last processor of those that this thread may run on, but for one. */
static int
processor_but(int other)
{
    int       cpu, last;
    cpu_set_t set;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    last = -1;

    for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set) && cpu != other) {
            last = cpu;
        }
    }

    return last;
}


static void
follow_to(int cpu)
{
    atomic_store(&wanted, cpu);

    while (atomic_load(&there) != cpu) {
        sched_yield();
    }

    cpu_follow_move(&follow);
    cr_assert_eq(sched_getcpu(), cpu);
    cr_assert(cpu_follow_there(&follow));
}


Test(cpu_follow, goes_where_the_other_thread_goes)
{
    int       first, second;
    cpu_set_t elsewhere;
    pthread_t thread;

    first = processor_but(-1);
    second = processor_but(first);
    if (second < 0) {
        cr_skip_test("there is one processor");
    }

    atomic_store(&wanted, first);
    atomic_store(&there, -1);
    cr_assert_eq(pthread_create(&thread, NULL, run, &follow), 0);

    follow_to(first);
    follow_to(second);
    follow_to(first);

    /* others may move this thread, too */
    CPU_ZERO(&elsewhere);
    CPU_SET(second, &elsewhere);
    cr_assert_eq(sched_setaffinity(0, sizeof(elsewhere), &elsewhere), 0);
    cr_assert_not(cpu_follow_there(&follow));
    follow_to(first);

    atomic_store(&wanted, second);
    while (atomic_load(&there) != second) {
        sched_yield();
    }
    cr_assert_not(cpu_follow_there(&follow));

    atomic_store(&done, true);
    pthread_join(thread, NULL);
}


Test(cpu_follow, without_a_thread_to_follow_stays)
{
    cpu_set_t before, after;

    cr_assert_eq(sched_getaffinity(0, sizeof(before), &before), 0);
    follow.cpu = NULL;
    follow.bound = -1;
    cpu_follow_move(&follow);
    cr_assert_eq(sched_getaffinity(0, sizeof(after), &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
    cr_assert_not(cpu_follow_there(&follow));
}
