
/*
 * The handler; see signal_handler.h for what it may do.
 */


#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../futex_wait.h"
#include "../nprof_clock.h"
#include "handler_cost.h"
#include "loop_hook.h"
#include "run_delay.h"
#include "signal_handler.h"
#include "sample_record.h"
#include "thread_label.h"
#include "thread_slot.h"


#define PAGE_SIZE 4096u

/* The event loop's wait that lasts so long sleeps: the call itself takes one or
   two microseconds. */
#define SLEEPS_NS 5000

/* The wake-up of a sleeping loop that comes so soon after a point belongs to
   it: the same interrupt can be for both. */
#define WAKE_NS 25000


/* Where there is no instance whose other workers may wake us. */
static _Atomic uint32_t own_wake;

struct signal_state signal_state = {.wake = &own_wake};
struct thread_slot  thread_slots[THREAD_SLOTS];
struct handler_cost handler_cost;


static struct thread_slot *slot_of(const siginfo_t *info);
static struct thread_slot *slot_of_asked(void);
static void                ours(struct thread_slot *slot, const siginfo_t *info,
                                const ucontext_t *context);
static uint32_t            hits_take(struct thread_slot *slot);
static void     sample_take(struct thread_slot *slot, uint32_t wanted,
                            uint32_t overrun, int64_t now,
                            const ucontext_t *context);
static uint64_t stack_range(const struct thread_slot *slot, uint64_t sp,
                            uint64_t tp, uint64_t *end, uint32_t *flags);
static void     chain(int signo, siginfo_t *info, void *context);


void
signal_handler(int signo, siginfo_t *info, void *context)
{
    int                 saved_errno;
    struct thread_slot *slot;

    saved_errno = errno;
    slot = slot_of(info);

    if (slot == NULL) {
        chain(signo, info, context);

    } else if (atomic_load_explicit(&signal_state.active,
                                    memory_order_acquire)) {
        ours(slot, info, context);
    }

    errno = saved_errno;
}


/* The slot of a signal that is ours, or NULL. */
static struct thread_slot *
slot_of(const siginfo_t *info)
{
    uint64_t value;

    if (info->si_code == SI_USER && info->si_pid == 0) {
        return slot_of_asked();
    }

    value = (uint64_t) (uintptr_t) info->si_value.sival_ptr;

    if ((info->si_code != SI_TIMER && info->si_code != SI_QUEUE)
        || (value >> 32) != signal_state.cookie
        || (uint32_t) value >= THREAD_SLOTS) {
        return NULL;
    }

    return &thread_slots[(uint32_t) value];
}


/*
 * Where RLIMIT_SIGPENDING is used up the kernel keeps nothing of a signal that
 * is sent but its number. It is ours if this thread was asked for a sample.
 */
static struct thread_slot *
slot_of_asked(void)
{
    pid_t               tid;
    size_t              i;
    struct thread_slot *slot;

    tid = (pid_t) syscall(SYS_gettid);

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (atomic_load_explicit(&slot->tid, memory_order_relaxed) == tid
            && atomic_load_explicit(&slot->wanted, memory_order_relaxed) != 0) {
            return slot;
        }
    }

    return NULL;
}


/*
 * A timer's signal takes a sample of CPU time; any of ours takes the one that
 * was requested, since the kernel keeps one pending signal of a kind.
 */
static void
ours(struct thread_slot *slot, const siginfo_t *info, const ucontext_t *context)
{
    int64_t  before;
    uint32_t wanted, hits, overrun;

    before = clock_ns(CLOCK_MONOTONIC);

    /* acquire: pairs with sample_request() */
    wanted = atomic_exchange_explicit(&slot->wanted, 0, memory_order_acquire);
    overrun = 0;

    if (info->si_code == SI_TIMER) {
        wanted |= SAMPLE_FOR_CPU;
        overrun = (uint32_t) info->si_overrun;

    } else if (wanted & SAMPLE_FOR_CPU) {
        hits = hits_take(slot);
        wanted &= hits == 0 ? ~SAMPLE_FOR_CPU : ~0u;
        overrun = hits - (hits != 0);
    }

    /* acquire: pairs with thread_list_add() */
    if (wanted != 0
        && atomic_load_explicit(&slot->ready, memory_order_acquire)) {
        sample_take(slot, wanted, overrun, before, context);
        handler_cost_add((uint64_t) (clock_ns(CLOCK_MONOTONIC) - before));
    }
}


/*
 * Of the points of a doubtful look those that the thread was on a processor at.
 * It has one again, and so it is known since when it waited for it. A point
 * after that: it did not run. Shortly before: this is the stack. Long before,
 * but no longer than what it had run: lost, unless it had run all the time.
 *
 * One that is woken waits for a processor, too, and did not run at points long
 * before; of the event loop, which is woken all the time, it is known how long
 * it has been in its wait.
 */
static uint32_t
points_settle(struct thread_slot *slot, uint32_t n)
{
    int64_t  now, waited, before;
    uint32_t i, hits, lost, credit;

    now = clock_ns(CLOCK_MONOTONIC);
    waited = run_delay_ns(slot->schedstat_fd);

    if (waited < 0) {
        /* the file can't be read any more */
        atomic_fetch_add_explicit(&slot->lost_expiries,
                                  (uint64_t) n * slot->doubt_weight,
                                  memory_order_relaxed);
        return 0;
    }

    waited -= slot->doubt_waited_ns;
    hits = 0;
    lost = 0;

    for (i = 0; i < n; i++) {
        before = now - waited - slot->doubt_points_ns[i];

        if (before < 0
            || (before > WAKE_NS && slot->main_thread
                && loop_waits_since(slot->doubt_points_ns[i], SLEEPS_NS))) {
            continue;
        }

        if (before <= slot->doubt_late_ns) {
            credit = sample_credit(slot->doubt_weight);
            hits += credit;
            lost += slot->doubt_weight - credit;
        } else if (before <= slot->doubt_used_ns) {
            lost += slot->doubt_weight;
        }
    }

    if (lost != 0) {
        atomic_fetch_add_explicit(&slot->lost_expiries, lost,
                                  memory_order_relaxed);
    }

    return hits;
}


/* The looks that the thread was on a processor for. */
static uint32_t
hits_take(struct thread_slot *slot)
{
    uint32_t hits, doubtful;

    hits = atomic_exchange_explicit(&slot->hits, 0, memory_order_relaxed);

    /* acquire: pairs with thread_hit_waiting() */
    doubtful
        = atomic_load_explicit(&slot->doubtful_points, memory_order_acquire);

    if (doubtful != 0) {
        hits += points_settle(slot, doubtful);
        /* release: pairs with thread_hit_waiting(), which may go on */
        atomic_store_explicit(&slot->doubtful_points, 0, memory_order_release);
    }

    return hits;
}


void
signal_wake_profiler(void)
{
    futex_flag_wake(signal_state.wake);
}


void
signal_wake_reset(void)
{
    signal_state.wake = &own_wake;
}


/*
 * Not memcpy(): a sanitizer's would report the red zones of the stack that we
 * read, and this one is a single instruction.
 */
static inline void
copy_words(void *to, const void *from, uint64_t bytes)
{
    uint64_t words;

    words = bytes / 8;
    __asm__ volatile("rep movsq"
                     : "+D"(to), "+S"(from), "+c"(words)
                     :
                     : "memory");
}


/* The registers in DWARF's order. */
static inline void
copy_registers(uint64_t *to, const ucontext_t *context)
{
    static const unsigned char order[SAMPLE_REGISTERS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
        REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
        REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
    };
    unsigned i;

    for (i = 0; i < SAMPLE_REGISTERS; i++) {
        to[i] = (uint64_t) context->uc_mcontext.gregs[order[i]];
    }
}


static void
sample_take(struct thread_slot *slot, uint32_t wanted, uint32_t overrun,
            int64_t now, const ucontext_t *context)
{
    uint64_t              start, end, size, tp;
    uint32_t              flags;
    const uint32_t        cpu = (wanted & SAMPLE_FOR_CPU) != 0;
    struct sample_record *record;

    flags = 0;
    tp = (uint64_t) (uintptr_t) __builtin_thread_pointer();
    start = stack_range(slot, (uint64_t) context->uc_mcontext.gregs[REG_RSP],
                        tp, &end, &flags);
    size = end - start;

    record = sample_ring_reserve(&slot->ring, sizeof(*record) + size);
    if (record == NULL) {
        /* who asked for another type counts what did not come */
        atomic_fetch_add_explicit(&slot->lost_expiries,
                                  cpu * (1 + (uint64_t) overrun),
                                  memory_order_relaxed);

        /* release: as below */
        atomic_fetch_add_explicit(&slot->dropped, cpu, memory_order_release);

        signal_wake_profiler();
        return;
    }

    record->overrun = overrun;
    record->flags = flags;
    record->wanted = wanted;
    record->labels = thread_label_of(slot->tid, slot->main_thread);
    record->span = thread_label_span_of(slot->tid, slot->main_thread);
    record->time_ns = now;
    record->turn_start_ns = slot->main_thread ? loop_turn_start() : 0;
    record->thread_pointer = tp;
    record->stack_address = start;
    record->stack_size = size;
    copy_registers(record->registers, context);
    copy_words(record->stack, (const void *) (uintptr_t) start, size);

    sample_ring_commit(&slot->ring);

    if (sample_ring_used(&slot->ring) > slot->ring.size / 2) {
        signal_wake_profiler();
    }

    /* release: pairs with thread_list_remove(), after which others have the
       slot */
    atomic_fetch_add_explicit(&slot->taken, 1, memory_order_release);
}


/* The largest copy that a record of the ring has room for. */
static inline uint64_t
stack_max(const struct sample_ring *ring)
{
    uint64_t max;

    max = sample_ring_longest(ring) - sizeof(struct sample_record);

    return max < SAMPLE_STACK_MAX ? max : SAMPLE_STACK_MAX;
}


/*
 * What of the stack is to be copied: from the red zone below SP to the end of
 * the thread's stack, whole words, at most stack_max() bytes.
 *
 * The main thread's stack ends where the kernel made it end. That of another
 * thread ends at its control block, which the thread pointer tp points to: the
 * C library keeps it at the top of the stack, and what the mapping has above
 * belongs to others, who may unmap it. Where SP is on none of the two (a new
 * thread, an alternate stack, a fiber), its neighbours may be unmapped at any
 * time, and nothing is certain to be there but the page that SP is in; where
 * that begins at SP, the stack may end there, and the page be another's.
 */
static uint64_t
stack_range(const struct thread_slot *slot, uint64_t sp, uint64_t tp,
            uint64_t *end, uint32_t *flags)
{
    uint64_t lo, hi, top, start, max;

    /*
     * acquire: pairs with thread_slot_set_stack(), which clears hi before it
     * changes lo; an unchanged hi around lo means that the two match
     */
    hi = atomic_load_explicit(&slot->stack_hi, memory_order_acquire);
    lo = atomic_load_explicit(&slot->stack_lo, memory_order_acquire);

    top = slot->main_thread ? hi : tp;

    if (sp >= lo && sp < top && top <= hi
        && atomic_load_explicit(&slot->stack_hi, memory_order_acquire) == hi) {
        hi = top;

    } else {
        lo = sp & ~(uint64_t) (PAGE_SIZE - 1);
        hi = sp == lo ? sp : lo + PAGE_SIZE;
        *flags |= SAMPLE_NO_BOUNDS;
    }

    start = (sp - SAMPLE_RED_ZONE) & ~(uint64_t) 7;
    if (start < lo) {
        start = lo;
    }

    max = stack_max(&slot->ring);

    if (hi - start > max) {
        hi = start + max;
        *flags |= SAMPLE_CUT;
    }

    *end = hi & ~(uint64_t) 7;

    return start;
}


/*
 * A signal that is not ours goes to the handler that was there before. The
 * default action, which ends the process, is not taken: a timer that somebody
 * deleted can still deliver.
 */
static void
chain(int signo, siginfo_t *info, void *context)
{
    const struct sigaction *previous;

    previous = &signal_state.previous;

    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signo, info, context);

    } else if (previous->sa_handler != SIG_DFL
               && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(signo);
    }
}
