
/*
 * The "jitter" CPU engine: looks at all threads at random points in time, and
 * signals those that are on a processor.
 *
 * Each cell of wall time has one, at a random place (gap_sampler.h). A thread is
 * on a processor if its CPU clock moves, or if it waits for one and was put
 * off it after the point: the wake-up for the look itself may take the
 * processor away. Only such a thread gets the signal, so a blocked one never
 * sees EINTR; what is left is the microsecond between the look and the signal.
 *
 * Each point stands for the mean gap, so the sum over a thread's samples is
 * its CPU time without regard to its clock. Where nothing has run for a while
 * points are rarer, and stand for more: of that one stack is credited with a few
 * periods, and the rest is lost. (That threads' clocks stand still says
 * that nothing ran. The process' clock does not: the kernel brings the share of
 * a thread that is on another processor up to date at ticks only.)
 *
 * A point that a look comes too late for (the thread that looks had to wait
 * itself) is lost with a probability of the thread's share of CPU since the
 * last look. What was on a processor and has no stack is counted by the slot's
 * lost_expiries.
 *
 * The thread that looks (looker_thread.h) only, but for what says otherwise. It
 * can't look at itself: it keeps a timer (cpu_timers.h).
 */


#ifndef NPROF_CPU_JITTER_H
#define NPROF_CPU_JITTER_H


#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gap_sampler.h"
#include "thread_list.h"


struct cpu_jitter {
    struct gap_sampler gaps;

    /* Nanoseconds that a point stands for while something runs. */
    int64_t period_ns;

    /* CLOCK_MONOTONIC of the last look. */
    int64_t looked_ns;

    /* Periods that each point stands for now, and in an idle process. */
    uint32_t hits;
    uint32_t idle_hits;

    /* Looks in a row before which nothing had run. */
    unsigned still;

    /* What an idle process' event loop wakes us by. */
    _Atomic uint32_t *wake;

    /* The thread that looks. */
    pid_t tid;

    /* Points in time, those of them that a look came late for, and those that
       there was no room for in the next look; read by other threads, too. */
    _Atomic uint64_t looks;
    _Atomic uint64_t late;
    _Atomic uint64_t missed;
};


/* What is missing here to look at threads: a static text, or NULL. Any thread.
 */
const char *cpu_jitter_probe(void);

/*
 * Begins; on the thread that looks, whose sleeps become exact. Samples stand
 * for period_ns nanoseconds of CPU time each.
 */
void cpu_jitter_start(struct cpu_jitter *jitter, int64_t period_ns,
                      _Atomic uint32_t *wake);

/* The process was idle, and its event loop has begun to turn. */
void cpu_jitter_turned(struct cpu_jitter *jitter);

/* When the next look is due, CLOCK_MONOTONIC. */
int64_t cpu_jitter_due(const struct cpu_jitter *jitter);

/* Looks at all threads but the calling one if that is due; else returns at
   once. */
void cpu_jitter_look(struct cpu_jitter *jitter, struct thread_list *list);

/*
 * Takes a thread in: from now on it is looked at. Its CPU time before,
 * slot->cpu_ns, is not seen. Returns 0 or -ESRCH. The thread that gives out the slot.
 */
int cpu_jitter_attach(struct thread_slot *slot);

/* Of a thread that is gone: what it did not take is lost. Any thread. */
void cpu_jitter_detach(struct thread_slot *slot);


#endif /* NPROF_CPU_JITTER_H */
