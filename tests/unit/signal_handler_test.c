/*
 * The handler among signals that are not its own, and what it leaves for those
 * that are.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <sys/mman.h>

#include "nprof_clock.h"
#include "sample/handler_cost.h"
#include "sample/sample_request.h"
#include "sample/thread_label.h"
#include "sampled_thread.h"


/* What the handler and all that it calls may take of a stack. */
#ifdef __SANITIZE_ADDRESS__
#define HANDLER_STACK 4096
#else
#define HANDLER_STACK 512
#endif


TestSuite(signal_handler, .init = sampled_setup, .timeout = 30);


static struct thread_slot *
own_slot(void)
{
    struct thread_slot *slot = sampled_slot(getpid());

    cr_assert(slot->main_thread);

    return slot;
}


static uint32_t
own_index(void)
{
    return (uint32_t) (own_slot() - thread_slots);
}


/* Records that were left, all of them well formed. */
static unsigned
records_drain(struct thread_slot *slot)
{
    unsigned                    n = 0;
    const struct sample_record *record;

    while (
        (record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring)))
        != NULL) {
        cr_assert_leq(record->stack_size, SAMPLE_STACK_MAX);
        cr_assert_eq(record->stack_address % 8, 0);
        sample_ring_release(&slot->ring);
        n++;
    }

    return n;
}


Test(signal_handler, a_timers_signal_leaves_a_record)
{
    int64_t                     before = clock_ns(CLOCK_MONOTONIC);
    uint64_t                    sp;
    const struct sample_record *record;
    struct thread_slot         *slot = own_slot();

    errno = ENOTTY;
    cr_assert(sampled_signal(getpid(), signal_state.cookie, own_index(), 7));
    cr_expect_eq(errno, ENOTTY);

    record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
    cr_assert_not_null(record);
    cr_expect_eq(record->overrun, 7);
    cr_expect_eq(record->flags, 0);
    cr_expect_geq(record->time_ns, before);
    cr_expect_leq(record->time_ns, clock_ns(CLOCK_MONOTONIC));

    /* from the red zone to the stack's end: this frame is in it */
    sp = record->registers[SAMPLE_REG_RSP];
    cr_expect_eq(record->stack_address, (sp - SAMPLE_RED_ZONE) & ~7ull);
    cr_expect_gt((uint64_t) (uintptr_t) &record, sp);
    cr_expect_lt((uint64_t) (uintptr_t) &record,
                 record->stack_address + record->stack_size);
    cr_expect_eq(atomic_load(&handler_cost.runs), 1);
}


Test(signal_handler, a_record_has_the_threads_labels)
{
    unsigned                    i;
    const struct sample_record *record;
    struct thread_slot         *slot = own_slot();
    static const uint32_t       labels[] = {17, 0, 18};

    thread_label_start();

    for (i = 0; i < 3; i++) {
        thread_label_set_main(labels[i], 1000 + i);
        cr_assert(
            sampled_signal(getpid(), signal_state.cookie, own_index(), 0));
        thread_label_set_main(99, 0);

        record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
        cr_assert_not_null(record);
        cr_expect_eq(record->labels, labels[i]);
        cr_expect_eq(record->span, 1000 + i);
        sample_ring_release(&slot->ring);
    }
}


Test(signal_handler, the_copy_is_what_the_stack_holds)
{
    uint64_t                    marks[64], found = 0, word, at;
    unsigned                    i;
    const struct sample_record *record;
    struct thread_slot         *slot = own_slot();

    for (i = 0; i < 64; i++) {
        marks[i] = 0xfeedface00000000ull + i;
    }

    __asm__ volatile("" : : "r"(marks) : "memory");
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);

    record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
    cr_assert_not_null(record);

    for (i = 0; i < 64; i++) {
        at = (uint64_t) (uintptr_t) &marks[i] - record->stack_address;
        cr_assert_leq(at + 8, record->stack_size);
        memcpy(&word, record->stack + at, 8);
        found += word == marks[i];
    }

    cr_expect_eq(found, 64);
}


Test(signal_handler, foreign_signals_leave_nothing_and_end_nobody)
{
    unsigned            i;
    siginfo_t           info;
    struct thread_slot *slot = own_slot();
    uint32_t            index = own_index();
    union sigval        value;
    static const int    codes[]
        = {SI_QUEUE, SI_USER, SI_MESGQ, SI_ASYNCIO, SI_SIGIO, SI_TKILL, -77};

    errno = ENOTTY;

    kill(getpid(), SIGPROF);
    raise(SIGPROF);

    for (i = 0; i < 1000; i++) {
        value.sival_ptr = (void *) (uintptr_t) (i * 0x123456789abcull);
        sigqueue(getpid(), SIGPROF, value);
    }

    /* our value, another code */
    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        memset(&info, 0, sizeof(info));
        info.si_code = codes[i];
        info.si_value.sival_ptr
            = (void *) (uintptr_t) ((uint64_t) signal_state.cookie << 32
                                    | index);
        syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGPROF, &info);
    }

    /* a timer of somebody else, one that names no slot, and an unused slot */
    sampled_signal(getpid(), signal_state.cookie + 1, index, 0);
    sampled_signal(getpid(), signal_state.cookie, THREAD_SLOTS, 0);
    sampled_signal(getpid(), signal_state.cookie, UINT32_MAX, 0);
    sampled_signal(getpid(), signal_state.cookie, THREAD_SLOTS - 1, 0);

    cr_expect_eq(records_drain(slot), 0);
    cr_expect_eq(atomic_load(&slot->dropped), 0);
    cr_expect_eq(errno, ENOTTY);
}


static int        chained_signo, chained_plain;
static siginfo_t *chained_info;


static void
chained(int signo, siginfo_t *info, void *context)
{
    chained_signo = context != NULL ? signo : -1;
    chained_info = info;
    errno = EPIPE;
}


static void
chained_plainly(int signo)
{
    chained_plain = signo;
}


Test(signal_handler, foreign_signals_go_to_the_handler_before)
{
    struct thread_slot *slot = own_slot();

    signal_state.previous.sa_flags = SA_SIGINFO;
    signal_state.previous.sa_sigaction = chained;
    errno = ENOTTY;
    raise(SIGPROF);
    cr_expect_eq(chained_signo, SIGPROF);
    cr_expect_not_null(chained_info);
    cr_expect_eq(errno, ENOTTY);

    signal_state.previous.sa_flags = 0;
    signal_state.previous.sa_handler = chained_plainly;
    raise(SIGPROF);
    cr_expect_eq(chained_plain, SIGPROF);

    /* ours do not */
    chained_plain = 0;
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
    cr_expect_eq(chained_plain, 0);
    cr_expect_eq(records_drain(slot), 1);
}


Test(signal_handler, what_finds_no_room_is_counted)
{
    unsigned            i, taken;
    struct thread_slot *slot = own_slot();
    uint32_t            index = own_index();

    atomic_store(signal_state.wake, 0);

    for (i = 0; atomic_load(&slot->dropped) == 0; i++) {
        cr_assert_lt(i, 100000);
        sampled_signal(getpid(), signal_state.cookie, index, 0);
        /* the profiler thread hears of a ring that is half full */
        cr_assert(atomic_load(signal_state.wake)
                  || sample_ring_used(&slot->ring) <= slot->ring.size / 2);
    }

    for (taken = i - 1; i < taken + 10; i++) {
        sampled_signal(getpid(), signal_state.cookie, index, 2);
    }

    cr_expect_eq(atomic_load(&slot->dropped), 10);
    cr_expect_eq(atomic_load(&slot->lost_expiries), 1 + 9 * 3);

    /* no CPU sample: this thread takes it before the call returns */
    cr_assert_eq(sample_request(slot, SAMPLE_FOR_WALL), 0);
    cr_assert_eq(atomic_load(&slot->wanted), 0);
    cr_expect_eq(atomic_load(&slot->dropped), 10);
    cr_expect_eq(atomic_load(&slot->lost_expiries), 1 + 9 * 3);
    cr_expect_eq(records_drain(slot), taken);
}


/* A ring of any size holds two records of what is copied for it. */
Test(signal_handler, a_deep_stack_is_cut_to_what_the_ring_holds)
{
    size_t                      i, size;
    unsigned                    n;
    const struct sample_record *record;
    struct thread_slot         *slot = own_slot();
    char                        deep[2 * SAMPLE_STACK_MAX];
    static const size_t         sizes[] = {THREAD_RING_MAIN, THREAD_RING_DEEP,
                                           THREAD_RING_LARGE, THREAD_RING_SMALL};

    /* the compiler has to keep it */
    __asm__ volatile("" : : "r"(deep) : "memory");

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        sample_ring_destroy(&slot->ring);
        cr_assert_eq(sample_ring_init(&slot->ring, sizes[i]), 0);
        size = sizes[i] / 2 - sizeof(*record) - 16;
        size = size < SAMPLE_STACK_MAX ? size : SAMPLE_STACK_MAX;

        /* wherever in the ring they begin */
        for (n = 0; n < 20; n++) {
            sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
            record
                = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
            cr_assert_not_null(record);
            cr_expect(record->flags & SAMPLE_CUT);
            cr_expect_eq(record->stack_size, size);
            sample_ring_release(&slot->ring);
        }

        cr_expect_eq(atomic_load(&slot->dropped), 0);
    }
}


Test(signal_handler, its_cost_is_counted_of_samples_taken_or_dropped)
{
    unsigned i, n, bucket;
    uint64_t ns, in_buckets = 0;

    n = 0;

    do {
        sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
        n++;
    } while (atomic_load(&own_slot()->dropped) < 3);

    atomic_store(&signal_state.active, false);
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);

    for (bucket = 0; bucket < HANDLER_COST_BUCKETS; bucket++) {
        in_buckets += atomic_load(&handler_cost.buckets[bucket]);
    }

    cr_expect_eq(atomic_load(&handler_cost.runs), n);
    cr_expect_eq(in_buckets, n);
    cr_expect_gt(atomic_load(&handler_cost.ns), n * 20);

    /* each bucket begins where the one before ends */
    for (i = 0; i < HANDLER_COST_BUCKETS - 1; i++) {
        ns = handler_cost_bound(i);
        cr_expect_eq(handler_cost_bucket(ns - 1), i);
        cr_expect_eq(handler_cost_bucket(ns), i + 1);
    }

    cr_expect_eq(handler_cost_bucket(0), 0);
    cr_expect_eq(handler_cost_bucket(UINT64_MAX), HANDLER_COST_BUCKETS - 1);
}


Test(signal_handler, nothing_is_taken_while_it_is_off)
{
    struct thread_slot *slot = own_slot();

    atomic_store(&signal_state.active, false);
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
    cr_expect_eq(records_drain(slot), 0);
    atomic_store(&signal_state.active, true);
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
    cr_expect_eq(records_drain(slot), 1);
}


static _Atomic bool read_done;


static void *
read_pipe(void *data)
{
    char byte;
    int *fd = data;

    if (read(*fd, &byte, 1) == 1) {
        atomic_store(&read_done, true);
    }

    return NULL;
}


/* SA_RESTART: a read that waits goes on to wait. */
Test(signal_handler, a_waiting_read_is_not_disturbed)
{
    int                   i, fds[2];
    struct sampled_thread sampled;
    const struct timespec pause = {0, 1000000};

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(pthread_create(&sampled.thread, NULL, read_pipe, &fds[0]), 0);

    for (i = 0; i < 50; i++) {
        nanosleep(&pause, NULL);
        pthread_kill(sampled.thread, SIGPROF);
    }

    cr_expect_not(atomic_load(&read_done));
    cr_assert_eq(write(fds[1], "", 1), 1);
    pthread_join(sampled.thread, NULL);
    cr_expect(atomic_load(&read_done));
}


/* MINSIGSTKSZ knows nothing of AVX-512; what the kernel says it needs does. */
Test(signal_handler, a_small_alternate_stack_has_room_for_it)
{
    stack_t             alternate = {0};
    struct sigaction    action;
    struct thread_slot *slot = own_slot();

    /* the library is bound when it is loaded; this program at its first call */
    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
    cr_expect_eq(records_drain(slot), 1);

    alternate.ss_size = (size_t) sysconf(_SC_MINSIGSTKSZ) + HANDLER_STACK;
    alternate.ss_sp = (char *) mmap(NULL, 65536, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      + 32768;
    cr_assert_eq(mprotect(alternate.ss_sp, 16384, PROT_READ | PROT_WRITE), 0);
    cr_assert_eq(sigaltstack(&alternate, NULL), 0);

    sigaction(SIGPROF, NULL, &action);
    cr_expect(action.sa_flags & SA_ONSTACK);
    cr_expect(action.sa_flags & SA_RESTART);

    sampled_signal(getpid(), signal_state.cookie, own_index(), 0);
    cr_expect_eq(records_drain(slot), 1);
}


/* Sends this thread the signal, from where SP is sp. */
static void
signal_at(uint64_t sp, siginfo_t *info)
{
    long                result = SYS_rt_tgsigqueueinfo;
    const long          pid = getpid(), tid = gettid();
    register siginfo_t *data __asm__("r10") = info;

    __asm__ volatile("mov %%rsp, %%r12\n\t"
                     "mov %[sp], %%rsp\n\t"
                     "syscall\n\t"
                     "mov %%r12, %%rsp"
                     : "+a"(result)
                     : [sp] "r"(sp), "D"(pid), "S"(tid), "d"((long) SIGPROF),
                       "r"(data)
                     : "rcx", "r11", "r12", "memory");
    cr_assert_eq(result, 0);
}


/*
 * A stack that nobody knows, with nothing mapped above: of its last words what
 * there is is taken, and nothing where SP is at its very end.
 */
Test(signal_handler, nothing_is_read_above_an_unknown_stack)
{
    char                       *room;
    uint64_t                    top, sp;
    siginfo_t                   info;
    const struct sample_record *record;
    struct thread_slot         *slot = own_slot();

    memset(&info, 0, sizeof(info));
    info.si_code = SI_TIMER;
    info.si_value.sival_ptr = signal_cookie_of(slot);

    room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(room, MAP_FAILED);
    cr_assert_eq(mprotect(room, 1 << 19, PROT_READ | PROT_WRITE), 0);
    top = (uint64_t) (uintptr_t) room + (1 << 19);

    for (sp = top - 24; sp <= top; sp += 8) {
        signal_at(sp, &info);
        record = sample_ring_peek(&slot->ring, sample_ring_end(&slot->ring));
        cr_assert_not_null(record);
        cr_expect(record->flags & SAMPLE_NO_BOUNDS);
        cr_expect_eq(record->registers[SAMPLE_REG_RSP], sp);
        cr_expect_eq(record->stack_size,
                     sp == top ? 0 : top - sp + SAMPLE_RED_ZONE);

        /* and such a one can be unwound */
        stack_unwind(sampled_unwinder, record, true, &sampled_stack);
        cr_expect_geq(sampled_stack.n_frames, 1);
        cr_expect_not(sampled_stack.complete);
        sample_ring_release(&slot->ring);
    }
}


TestSuite(signal_choice, .timeout = 10);


Test(signal_choice, another_signal_is_taken_where_the_first_has_a_handler)
{
    struct sigaction action;

    signal(SIGPROF, chained_plainly);
    cr_expect_eq(signal_setup(), SIGVTALRM);
    cr_expect_eq(signal_number(), SIGVTALRM);
    cr_expect_eq(signal_setup(), SIGVTALRM);
    sigaction(SIGPROF, NULL, &action);
    cr_expect_eq((uintptr_t) action.sa_handler, (uintptr_t) chained_plainly);
}


Test(signal_choice, one_that_other_code_took_is_left_to_it)
{
    struct sigaction action;

    cr_assert_eq(signal_setup(), SIGPROF);
    signal(SIGPROF, chained_plainly);
    atomic_store(&signal_state.lost, true);
    cr_expect_eq(signal_setup(), SIGVTALRM);
    cr_expect_eq(signal_number(), SIGVTALRM);
    cr_expect(signal_is_ours());
    cr_expect_not(atomic_load(&signal_state.lost));
    sigaction(SIGPROF, NULL, &action);
    cr_expect_eq((uintptr_t) action.sa_handler, (uintptr_t) chained_plainly);

    /* and is taken again once it is nobody's */
    signal(SIGPROF, SIG_DFL);
    cr_expect_eq(signal_setup(), SIGVTALRM);
    signal(SIGVTALRM, SIG_DFL);
    cr_expect_eq(signal_setup(), SIGPROF);
    cr_expect(signal_is_ours());
}


Test(signal_choice, where_all_are_taken_nothing_is_touched)
{
    size_t           i;
    struct sigaction action;
    const int all[] = {SIGPROF, SIGVTALRM, SIGSTKFLT, SIGPWR, SIGRTMAX - 2};

    for (i = 0; i < 5; i++) {
        signal(all[i], chained_plainly);
    }

    cr_expect_eq(signal_setup(), -EBUSY);
    cr_expect_eq(signal_number(), 0);

    for (i = 0; i < 5; i++) {
        sigaction(all[i], NULL, &action);
        cr_expect_eq((uintptr_t) action.sa_handler,
                     (uintptr_t) chained_plainly);
    }
}


Test(signal_choice, an_ignored_signal_is_free)
{
    signal(SIGPROF, SIG_IGN);
    cr_expect_eq(signal_setup(), SIGPROF);
    raise(SIGPROF);
}
