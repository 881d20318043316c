/*
 * Samples of known code: a thread that burns CPU, and one that sends it the
 * signal that a timer would send, far oftener, takes what the handler left,
 * and unwinds it.
 */

#ifndef TESTS_SAMPLED_THREAD_H
#define TESTS_SAMPLED_THREAD_H

#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sample/sample_record.h"
#include "sample/signal_handler.h"
#include "sample/signal_setup.h"
#include "sample/thread_list.h"
#include "unwind/eh_frame.h"
#include "unwind/module_table.h"
#include "unwind/stack_unwind.h"


#define SAMPLES 300

/* Timers are armed, and never expire: the tests send the signals. */
#define PERIOD_NEVER (1000000ull * 1000000000)

#define NOINLINE __attribute__((noinline, noclone))

/* Called by the scenarios' callers, so that no call is a tail call. */
#define STAY() __asm__ volatile("" ::: "memory")


struct sampled_thread {
    /* Burns until sampled_stop is set. */
    void (*scenario)(void);

    _Atomic pid_t       tid;
    struct thread_slot *slot;
    pthread_t           thread;
};


static struct module_table    sampled_modules;
static struct thread_list     sampled_list;
static struct stack_unwinder *sampled_unwinder;
static struct unwound_stack   sampled_stack;
static _Atomic bool           sampled_started;
static _Atomic bool           sampled_stop;


static void
sampled_slot_gone(void *data, struct thread_slot *slot)
{
    (void) data;
    (void) slot;
}


static inline void
sampled_setup(void)
{
    cr_assert_eq(signal_setup(), SIGPROF);
    atomic_store(&signal_state.active, true);
    module_table_update(&sampled_modules);
    cr_assert_eq(stack_unwinder_create(&sampled_modules, &sampled_unwinder), 0);
    cr_assert_eq(thread_list_open(&sampled_list, PERIOD_NEVER), 0);
}


/* Signals like a timer's. Returns false if the thread is gone. */
static inline bool
sampled_signal(pid_t tid, uint32_t cookie, uint32_t index, int overrun)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = SI_TIMER;
    info.si_overrun = overrun;
    info.si_value.sival_ptr
        = (void *) (uintptr_t) ((uint64_t) cookie << 32 | index);

    return syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGPROF, &info) == 0;
}


static inline struct thread_slot *
sampled_slot(pid_t tid)
{
    size_t i;

    thread_list_scan(&sampled_list, sampled_slot_gone, NULL);

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used && thread_slots[i].tid == tid) {
            return &thread_slots[i];
        }
    }

    cr_assert_fail("no slot for thread %d", (int) tid);

    return NULL;
}


/* Signals until the thread left a record, which is not released yet. */
static inline const struct sample_record *
sampled_record(struct sampled_thread *sampled)
{
    int                   i;
    const void           *record = NULL;
    struct thread_slot   *slot = sampled->slot;
    const struct timespec pause = {0, 100000};

    cr_assert(sampled_signal(sampled->tid, signal_state.cookie,
                             (uint32_t) (slot - thread_slots), 0));

    for (i = 0; record == NULL && i < 20000; i++) {
        nanosleep(&pause, NULL);
        record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
    }

    cr_assert_not_null(record, "the thread left no sample");

    return record;
}


/* The stack is the same when it is looked for among those that are known, and
   when it is known. */
static inline void
expect_repeated(const struct sample_record *record, bool main_thread,
                const struct unwound_stack *stack)
{
    int                         i;
    static struct unwound_stack again;

    for (i = 0; i < 2; i++) {
        stack_unwind_repeated(sampled_unwinder, record, main_thread, &again);
        cr_assert_eq(again.n_frames, stack->n_frames);
        cr_assert_eq(again.complete, stack->complete);
        cr_assert_eq(again.bridged, stack->bridged);
        cr_assert_eq(memcmp(again.frames, stack->frames,
                            stack->n_frames * sizeof(again.frames[0])),
                     0);
    }
}


/* Takes a sample of the thread and unwinds it, as the profiler thread does. */
static inline const struct unwound_stack *
sampled_take(struct sampled_thread *sampled, uint32_t *flags)
{
    const struct sample_record *record = sampled_record(sampled);

    *flags = record->flags;

    if (record->flags & SAMPLE_NO_BOUNDS) {
        thread_list_no_bounds(sampled->slot, record->thread_pointer);
    }

    stack_unwind(sampled_unwinder, record, sampled->slot->main_thread,
                 &sampled_stack);
    expect_repeated(record, sampled->slot->main_thread, &sampled_stack);
    sample_ring_release(&sampled->slot->ring);

    return &sampled_stack;
}


static void *
sampled_body(void *data)
{
    struct sampled_thread *sampled = data;

    /* like a thread of ours, which has a deep ring */
    pthread_setname_np(pthread_self(), "nprof-sampled");
    atomic_store(&sampled->tid, (pid_t) syscall(SYS_gettid));
    sampled->scenario();

    return NULL;
}


static inline void
sampled_wait_started(void)
{
    const struct timespec pause = {0, 100000};

    while (!atomic_load(&sampled_started)) {
        nanosleep(&pause, NULL);
    }
}


/* Starts a thread and waits until it is in its scenario. */
static inline void
sampled_start(struct sampled_thread *sampled, void (*scenario)(void))
{
    uint32_t flags;

    memset(sampled, 0, sizeof(*sampled));
    sampled->scenario = scenario;
    cr_assert_eq(pthread_create(&sampled->thread, NULL, sampled_body, sampled),
                 0);
    sampled_wait_started();
    sampled->slot = sampled_slot(sampled->tid);

    /* the first may be needed to learn where its stack is */
    (void) sampled_take(sampled, &flags);
}


static inline void
sampled_end(struct sampled_thread *sampled)
{
    atomic_store(&sampled_stop, true);
    pthread_join(sampled->thread, NULL);
}


/* Whether the frame lies in the function that begins at function. */
static inline bool
frame_in(const struct stack_frame *frame, void (*function)(void))
{
    uint64_t                    start = (uint64_t) (uintptr_t) function;
    struct eh_frame_row         row;
    const struct loaded_module *module;

    module = module_table_find(&sampled_modules, start);

    return module != NULL && eh_frame_find(module, start, &row)
           && frame->module == module->identity
           && frame->address + module->bias >= row.start
           && frame->address + module->bias < row.end;
}


/* The first frame from at on that lies in the function, or -1. */
static inline int
frame_find(const struct unwound_stack *stack, int at, void (*function)(void))
{
    for (/* void */; at < (int) stack->n_frames; at++) {
        if (frame_in(&stack->frames[at], function)) {
            return at;
        }
    }

    return -1;
}


#endif /* TESTS_SAMPLED_THREAD_H */
