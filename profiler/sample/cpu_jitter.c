
/*
 * Looking at threads; see cpu_jitter.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../counter_add.h"
#include "../nprof_clock.h"
#include "cpu_jitter.h"
#include "run_delay.h"
#include "blocked_stack.h"
#include "loop_hook.h"
#include "sample_record.h"
#include "sample_request.h"


/*
 * A process in which nothing ran between as many looks is idle: it is looked at
 * less often, and each look stands for as much more. A wake-up alone costs 30
 * to 80 us on a virtual machine; two a second are a sixth of what an idle
 * process may cost at most.
 */
#define STILL_LOOKS 16
#define IDLE_GAP_NS 500000000

/* Points further back than this are not drawn one by one: the process was
   stopped, or the machine. */
#define PAUSE_NS 10000000000

/*
 * A thread that ran all the time since the last look, but for as long, ran at all
 * its points, and the look may be as late as it likes: it is one into the middle
 * of work that goes on, at a time that has nothing to do with that work.
 */
#define AWAY_NS 250000


/* What is common to the threads in one look. */
struct look {
    /*
     * The points that it is for, the oldest first, and the first of them that
     * it is not too late for. The oldest are left out where there is no room.
     */
    int64_t  points[LOOK_POINTS];
    uint32_t n;
    uint32_t fresh;

    /* So many more that have no room in it. */
    uint32_t missed;

    /* Periods that each stands for. */
    uint32_t weight;

    /* Since the last look. */
    int64_t elapsed_ns;
};


static bool thread_look(struct cpu_jitter *jitter, const struct look *look,
                        struct thread_slot *slot);


const char *
cpu_jitter_probe(void)
{
    int     fd;
    char    byte;
    ssize_t n;
    int64_t waited;

    fd = open("/proc/thread-self/syscall", O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : pread(fd, &byte, 1, 0);
    if (fd >= 0) {
        close(fd);
    }

    if (n != 1) {
        return "/proc/thread-self/syscall can't be read";
    }

    fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    waited = fd < 0 ? -1 : run_delay_ns(fd);
    if (fd >= 0) {
        close(fd);
    }

    return waited < 0 ? "/proc/thread-self/schedstat has no waiting times"
                      : NULL;
}


void
cpu_jitter_start(struct cpu_jitter *jitter, int64_t period_ns,
                 _Atomic uint32_t *wake)
{
    int64_t  now;
    uint64_t seed;

    memset(jitter, 0, sizeof(*jitter));
    jitter->tid = gettid();
    jitter->wake = wake;
    jitter->period_ns = period_ns;
    jitter->hits = 1;
    jitter->idle_hits = (uint32_t) fmax(1, (double) (IDLE_GAP_NS / period_ns));

    now = clock_ns(CLOCK_MONOTONIC);

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        seed = (uint64_t) now ^ (uint64_t) jitter->tid << 32;
    }

    gap_sampler_start(&jitter->gaps, seed, period_ns, now);
    jitter->looked_ns = now;
}


int64_t
cpu_jitter_due(const struct cpu_jitter *jitter)
{
    return jitter->gaps.next_ns;
}


/*
 * Points become rarer where nothing has run for a while, and where the event
 * loop, if there is one, wakes us as it begins to turn. The mean gap depends on
 * the past alone, so that a point is as likely as any other to fall into what
 * other threads do next, and stands for the gap that was in force when it was
 * drawn.
 */
static void
cpu_jitter_pace(struct cpu_jitter *jitter, bool moved, int64_t now)
{
    uint32_t hits;

    jitter->still = moved ? 0 : jitter->still + 1;
    hits = jitter->still < STILL_LOOKS ? 1 : jitter->idle_hits;

    /* not where it is past a cell's begin: its point would be drawn twice */
    if (hits == jitter->hits || jitter->gaps.cell_ns < now) {
        return;
    }

    if (hits == 1) {
        loop_watcher_rise(LOOP_WATCHER_LOOKER);

    } else if (!loop_watcher_sleep(LOOP_WATCHER_LOOKER, jitter->wake)) {
        return;
    }

    jitter->hits = hits;
    gap_sampler_set_mean(&jitter->gaps, jitter->period_ns * hits);
}


void
cpu_jitter_turned(struct cpu_jitter *jitter)
{
    if (jitter->hits != 1) {
        jitter->still = 0;
        jitter->hits = 1;
        gap_sampler_restart(&jitter->gaps, jitter->period_ns,
                            clock_ns(CLOCK_MONOTONIC));
    }
}


/* Takes the points up to now. Returns false where none has passed. */
static bool
look_begin(struct cpu_jitter *jitter, struct look *look, int64_t now)
{
    uint32_t passed;

    passed = gap_sampler_skip(&jitter->gaps, now - PAUSE_NS);
    look->n = 0;
    look->fresh = 0;

    while (jitter->gaps.next_ns <= now) {
        if (look->n == LOOK_POINTS) {
            look->n--;
            memmove(look->points, look->points + 1,
                    look->n * sizeof(look->points[0]));
        }

        passed += gap_sampler_pass(&jitter->gaps, jitter->gaps.next_ns,
                                   &look->points[look->n]);
        look->n++;
    }

    while (look->fresh < look->n
           && look->points[look->fresh] < now - SAMPLE_LATE_NS) {
        look->fresh++;
    }

    if (look->n == 0) {
        return false;
    }

    look->missed = passed - look->n;
    look->weight = jitter->hits;
    look->elapsed_ns = now - jitter->looked_ns;

    jitter->looked_ns = now;
    counter_add(&jitter->looks, passed);
    counter_add(&jitter->late, look->fresh);
    counter_add(&jitter->missed, look->missed);

    return true;
}


void
cpu_jitter_look(struct cpu_jitter *jitter, struct thread_list *list)
{
    bool                moved;
    size_t              i;
    int64_t             now;
    struct look         look;
    struct thread_slot *slot;

    now = clock_ns(CLOCK_MONOTONIC);

    if (!look_begin(jitter, &look, now)) {
        return;
    }

    moved = false;
    pthread_mutex_lock(&list->lock);

    for (i = 0; i < list->n_slots; i++) {
        slot = &thread_slots[i];

        if (slot->used && slot->tid != jitter->tid
            && thread_look(jitter, &look, slot)
            && !atomic_load_explicit(&slot->own_work, memory_order_relaxed)) {
            moved = true;
        }
    }

    pthread_mutex_unlock(&list->lock);
    cpu_jitter_pace(jitter, moved, now);
}


static void
thread_lose(struct thread_slot *slot, uint64_t hits)
{
    atomic_fetch_add_explicit(&slot->lost_expiries, hits, memory_order_relaxed);
}


/*
 * Of these points nothing is known but the thread's share of CPU since the last
 * look. What is expected is lost; of the part of a period one, with that
 * probability.
 */
static void
thread_lose_share(struct cpu_jitter *jitter, const struct look *look,
                  struct thread_slot *slot, uint32_t points, double share)
{
    double   expected;
    uint64_t lost;

    expected = points * share;
    lost = (uint64_t) expected;
    lost += gap_sampler_chance(&jitter->gaps, expected - (double) lost);

    if (lost != 0) {
        thread_lose(slot, lost * look->weight);
    }
}


/*
 * The thread is on a processor now. Each point is credited with what one stack
 * may be; the rest is lost, and so is all that a thread does not take its signals
 * for (it is in the kernel for long, or blocks them).
 */
static void
thread_hit(const struct look *look, struct thread_slot *slot, uint32_t points)
{
    uint32_t periods, credit;

    periods = points * look->weight;
    credit = points * sample_credit(look->weight);

    if (periods == 0) {
        return;
    }

    if (atomic_load_explicit(&slot->hits, memory_order_relaxed)
        > SAMPLE_OVERRUN_MAX) {
        credit = 0;
    }

    if (credit != 0) {
        atomic_fetch_add_explicit(&slot->hits, credit, memory_order_relaxed);
    }

    if (periods != credit) {
        thread_lose(slot, periods - credit);
    }

    /* even where an earlier signal is on its way: a foreign one may have taken
       its place */
    (void) sample_request(slot, SAMPLE_FOR_CPU);
}


/*
 * The thread waits for a processor. The handler tells, once it has one, since
 * when it waited, and so at which of the points it ran. Returns false if that
 * can't be asked: the thread has run, but has not taken the signal for an
 * earlier look, or the file can't be read.
 */
static bool
thread_hit_waiting(const struct look *look, struct thread_slot *slot,
                   int64_t used_ns)
{
    int64_t waited;

    /*
     * acquire: pairs with the handler's store, which ends its use of the rest,
     * the file included: to read it meanwhile would make the handler wait until
     * this thread has a processor again.
     */
    if (atomic_load_explicit(&slot->doubtful_points, memory_order_acquire)
        != 0) {
        return false;
    }

    waited = run_delay_ns(slot->schedstat_fd);

    if (waited < 0) {
        return false;
    }

    slot->doubt_waited_ns = waited;
    slot->doubt_used_ns = used_ns;
    slot->doubt_late_ns
        = used_ns >= look->elapsed_ns - AWAY_NS ? INT64_MAX : SAMPLE_LATE_NS;
    slot->doubt_weight = look->weight;
    memcpy(slot->doubt_points_ns, look->points,
           look->n * sizeof(look->points[0]));
    /* release: pairs with the handler's load */
    atomic_store_explicit(&slot->doubtful_points, look->n,
                          memory_order_release);

    (void) sample_request(slot, SAMPLE_FOR_CPU);

    return true;
}


/*
 * The same of points that the look is too late for; and of the event loop it is
 * known whether it was asleep.
 */
static void
thread_lose_old(struct cpu_jitter *jitter, const struct look *look,
                struct thread_slot *slot, double share)
{
    uint32_t i;

    for (i = 0; i < look->fresh; i++) {
        if (!(slot->main_thread && loop_waits_since(look->points[i], 0))
            && gap_sampler_chance(&jitter->gaps, share)) {
            thread_lose(slot, look->weight);
        }
    }
}


/* Returns whether the thread has run, or ended, since the last look. */
static bool
thread_look(struct cpu_jitter *jitter, const struct look *look,
            struct thread_slot *slot)
{
    bool     running;
    double   share;
    int64_t  cpu, used;
    uint64_t sp, pc;

    cpu = thread_cpu_ns(slot);
    used = cpu - slot->cpu_ns;

    /* one that is gone, or another that has its id, is the list's to find */
    if (cpu < 0 || used < 0) {
        return true;
    }

    if (used == 0) {
        return false;
    }

    slot->cpu_ns = cpu;
    running = thread_cpu_ns(slot) != cpu;
    share = fmin(1, (double) used / (double) look->elapsed_ns);
    thread_lose_share(jitter, look, slot, look->missed, share);

    if (!running && thread_place(slot, &sp, &pc) == THREAD_RUNNING) {
        if (!thread_hit_waiting(look, slot, used)) {
            thread_lose_share(jitter, look, slot, look->n, share);
        }

        return true;
    }

    if (running && used >= look->elapsed_ns - AWAY_NS) {
        thread_hit(look, slot, look->n);
        return true;
    }

    thread_lose_old(jitter, look, slot, share);

    if (running) {
        thread_hit(look, slot, look->n - look->fresh);
    }

    return true;
}


int
cpu_jitter_attach(struct thread_slot *slot)
{
    slot->cpu_ns = thread_cpu_ns(slot);

    return slot->cpu_ns < 0 ? -ESRCH : 0;
}


void
cpu_jitter_detach(struct thread_slot *slot)
{
    thread_lose(slot, atomic_exchange(&slot->hits, 0));
}
