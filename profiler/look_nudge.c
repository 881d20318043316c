
/*
 * The thread that makes late looks come; see look_nudge.h.
 */


#include <errno.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "look_nudge.h"
#include "nprof_clock.h"
#include "thread_context.h"


#define NUDGE_STACK_SIZE (64 * 1024)

/* After a point: when what is left of the other's slice is over, and well
   before a look is too late. */
#define NUDGE_DELAY_NS (THREAD_CONTEXT_SLICE_NS + 50000)


static void *
nudge_main(void *data)
{
    uint64_t           expired;
    struct look_nudge *nudge = data;

    thread_context_enter(LOOK_NUDGE_NAME, 0);
    thread_context_hurry();
    atomic_store(&nudge->tid, gettid());

    while (!atomic_load(&nudge->ended)) {
        /* to wake up is all there is to do; or it is a signal of ours */
        (void) !read(nudge->timer_fd, &expired, sizeof(expired));
    }

    atomic_store(&nudge->ended_cpu_ns, clock_ns(CLOCK_THREAD_CPUTIME_ID));
    thread_context_leave(nudge->nprof);

    return NULL;
}


int
look_nudge_start(struct look_nudge *nudge, struct nprof *nprof)
{
    int rc;

    nudge->nprof = nprof;
    nudge->bound = -1;
    atomic_init(&nudge->tid, 0);
    atomic_init(&nudge->ended_cpu_ns, 0);
    atomic_init(&nudge->ended, false);

    nudge->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (nudge->timer_fd < 0) {
        return -errno;
    }

    rc = thread_context_create(&nudge->thread, NUDGE_STACK_SIZE, nudge_main,
                               nudge);
    if (rc != 0) {
        close(nudge->timer_fd);
        nudge->timer_fd = -1;
    }

    return rc;
}


static void
timer_set(const struct look_nudge *nudge, int64_t then_ns)
{
    const struct itimerspec time = {.it_value = timespec_of_ns(then_ns)};

    (void) timerfd_settime(nudge->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}


void
look_nudge_set(const struct look_nudge *nudge, int64_t point_ns)
{
    if (nudge->timer_fd >= 0) {
        timer_set(nudge, point_ns + NUDGE_DELAY_NS);
    }
}


void
look_nudge_bind(struct look_nudge *nudge, int cpu)
{
    pid_t     tid;
    cpu_set_t set;

    tid = atomic_load(&nudge->tid);

    if (tid == 0 || cpu < 0 || cpu == nudge->bound) {
        return;
    }

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void) sched_setaffinity(tid, sizeof(set), &set);
    nudge->bound = cpu;
}


uint64_t
look_nudge_cpu_ns(const struct look_nudge *nudge)
{
    pid_t   tid;
    int64_t ns;

    tid = atomic_load(&nudge->tid);
    ns = tid == 0 ? 0 : thread_clock_ns(tid);

    return (uint64_t) (ns < 0 ? atomic_load(&nudge->ended_cpu_ns) : ns);
}


void
look_nudge_join(struct look_nudge *nudge)
{
    if (nudge->timer_fd < 0) {
        return;
    }

    atomic_store(&nudge->ended, true);
    /* a time that has passed */
    timer_set(nudge, 1);
    pthread_join(nudge->thread, NULL);
    close(nudge->timer_fd);
}
