
/*
 * Following a thread; see cpu_follow.h.
 */


#include <sched.h>
#include <stddef.h>
#include <sys/rseq.h>

#include "cpu_follow.h"


void
cpu_follow_init(struct cpu_follow *follow)
{
    const struct rseq *area;

    follow->cpu = NULL;
    follow->bound = -1;

    if (__rseq_size == 0) {
        return;
    }

    area = (const struct rseq *) ((const char *) __builtin_thread_pointer()
                                  + __rseq_offset);

    /* negative values say that it is not registered */
    if ((int) area->cpu_id >= 0) {
        follow->cpu = &area->cpu_id;
    }
}


void
cpu_follow_move(struct cpu_follow *follow)
{
    int       cpu;
    cpu_set_t set;

    if (follow->cpu == NULL) {
        return;
    }

    cpu = (int) *follow->cpu;

    /* a container's processors may change, which ends what it was bound to */
    if ((cpu == follow->bound && cpu == sched_getcpu()) || cpu >= CPU_SETSIZE) {
        return;
    }

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);

    if (sched_setaffinity(0, sizeof(set), &set) == 0) {
        follow->bound = cpu;
    }
}


bool
cpu_follow_there(const struct cpu_follow *follow)
{
    return follow->cpu != NULL && (int) *follow->cpu == sched_getcpu();
}
