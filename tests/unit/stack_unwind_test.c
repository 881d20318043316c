/*
 * Samples of code whose stack is known, from the signal to the frames.
 */

#include <criterion/criterion.h>

#include <alloca.h>
#include <dlfcn.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "burning_code.h"


#define FIBER_STACK (64 * 1024)


TestSuite(stack_unwind, .init = sampled_setup, .timeout = 60);


Test(stack_unwind, a_thread_is_seen_from_leaf_to_root)
{
    int                         i, outer;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario_nested);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        cr_assert_eq(flags, 0);
        outer = check_burn(stack);
        check_root(stack, STACK_FRAME_ROOT_THREAD);

        /* the scenario, the thread's body, and the C library's root */
        cr_assert(frame_in(&stack->frames[outer + 1], scenario_nested));
        cr_assert_eq(stack->n_frames, outer + 4);
    }

    sampled_end(&sampled);
}


static unsigned steps;


/* libunwind's, counted: this one comes before it. */
int
unw_step(unw_cursor_t *cursor)
{
    static int (*next)(unw_cursor_t * cursor);

    if (next == NULL) {
        *(void **) &next = dlsym(RTLD_NEXT, "_Ux86_64_step");
    }

    steps++;

    return next(cursor);
}


Test(stack_unwind, a_sample_like_one_before_is_not_walked)
{
    struct sampled_thread       sampled;
    struct unwound_stack        again;
    const struct sample_record *record;

    sampled_start(&sampled, scenario_nested);
    record = sampled_record(&sampled);
    stack_unwind(sampled_unwinder, record, false, &sampled_stack);
    check_root(&sampled_stack, STACK_FRAME_ROOT_THREAD);

    stack_unwinder_flush(sampled_unwinder);
    steps = 0;
    stack_unwind_repeated(sampled_unwinder, record, false, &again);
    /* out of each, of which the C library's root is not shown */
    cr_assert_eq(steps, again.n_frames);

    steps = 0;
    stack_unwind_repeated(sampled_unwinder, record, false, &again);
    cr_assert_eq(steps, 0);
    cr_assert_eq(again.n_frames, sampled_stack.n_frames);
    cr_assert_eq(memcmp(again.frames, sampled_stack.frames,
                        again.n_frames * sizeof(again.frames[0])),
                 0);

    stack_unwinder_flush(sampled_unwinder);
    stack_unwind_repeated(sampled_unwinder, record, false, &again);
    cr_assert_neq(steps, 0);

    sample_ring_release(&sampled.slot->ring);
    sampled_end(&sampled);
}


static void *
sample_main(void *data)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread      *sampled = data;

    sampled_wait_started();
    sampled->slot = sampled_slot(getpid());
    cr_assert(sampled->slot->main_thread);
    cr_assert_str_eq(sampled->slot->name, "main");

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(sampled, &flags);
        cr_assert_eq(flags, 0);
        check_burn(stack);
        check_root(stack, STACK_FRAME_ROOT_MAIN);
    }

    atomic_store(&sampled_stop, true);

    return NULL;
}


Test(stack_unwind, the_main_thread_is_seen_from_its_first_sample_on)
{
    struct sampled_thread sampled = {.tid = getpid()};

    cr_assert_eq(pthread_create(&sampled.thread, NULL, sample_main, &sampled),
                 0);
    scenario_nested();
    pthread_join(sampled.thread, NULL);
}


static uint32_t
frames_in_recursion(const struct unwound_stack *stack)
{
    uint32_t i, n = 0;

    for (i = 0; i < stack->n_frames; i++) {
        n += frame_in(&stack->frames[i], (void (*)(void)) recurse);
    }

    return n;
}


Test(stack_unwind, recursion_is_seen_whole)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    recursion_depth = 200;
    sampled_start(&sampled, scenario_recursion);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        check_burn(stack);
        check_root(stack, STACK_FRAME_ROOT_THREAD);
        cr_assert_eq(frames_in_recursion(stack), 201);
    }

    sampled_end(&sampled);
}


Test(stack_unwind, the_deepest_stacks_keep_their_leaves)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    recursion_depth = 600;
    sampled_start(&sampled, scenario_recursion);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        check_burn(stack);
        check_truncated(stack);
        cr_assert_eq(stack->n_frames, STACK_UNWIND_MAX + 1);
    }

    sampled_end(&sampled);
}


static NOINLINE void
scenario_larger_frame(void)
{
    volatile unsigned char larger[60 * 1024];

    larger[0] = 1;
    burn_outer();
    sink += larger[0];
}


static NOINLINE void
scenario_alloca(void)
{
    volatile unsigned char *room = alloca(1000 + (sink & 0xfff));

    room[0] = 1;
    burn_outer();
    sink += room[0];
}


static void
give_back(int *one)
{
    sink += (unsigned) *one;
}


/*
 * As C++ has it, and what of the C library can be cancelled: the unwind data
 * names a personality routine, and where the exception's table is. The compiler
 * must not know that nothing is thrown.
 */
static NOINLINE void
scenario_cleanup(void)
{
    int one __attribute__((cleanup(give_back))) = 1;
    void (*volatile burn)(void) = burn_outer;

    burn();
    sink += (unsigned) one;
}


static void
expect_whole(void (*scenario)(void))
{
    int                         i, outer;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        cr_assert_eq(flags, 0);
        outer = check_burn(stack);
        cr_assert(frame_in(&stack->frames[outer + 1], scenario));
        check_root(stack, STACK_FRAME_ROOT_THREAD);
    }

    sampled_end(&sampled);
}


Test(stack_unwind, a_frame_of_40_kilobytes_is_crossed)
{
    expect_whole(scenario_large_frame);
}


Test(stack_unwind, a_frame_of_varying_size_is_crossed)
{
    expect_whole(scenario_alloca);
}


Test(stack_unwind, a_frame_that_cleans_up_is_crossed)
{
    expect_whole(scenario_cleanup);
}


Test(stack_unwind, a_frame_beyond_the_copy_is_the_last_one)
{
    int                         i, outer;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario_larger_frame);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        cr_assert_eq(flags, SAMPLE_CUT);
        outer = check_burn(stack);
        check_truncated(stack);
        cr_assert(frame_in(&stack->frames[outer + 1], scenario_larger_frame));
        cr_assert_eq(stack->n_frames, outer + 3);
    }

    sampled_end(&sampled);
}


/* Can't be written to until the handler of the fault is done. */
static volatile int *protected_page;


/* A fault is at an instruction, and not behind a call. */
static NOINLINE void
interrupted(void)
{
    *protected_page = 1;
    STAY();
}


static void
end_of_fault(int signo)
{
    interrupting(signo);
    mprotect((void *) protected_page, 4096, PROT_READ | PROT_WRITE);
}


static void
scenario_fault(void)
{
    protected_page
        = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, end_of_fault);
    interrupted();
    STAY();
}


Test(stack_unwind, signal_frames_are_crossed)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario_raise);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        check_burn(stack);
        check_root(stack, STACK_FRAME_ROOT_THREAD);
        cr_assert_geq(frame_find(stack, 0, scenario_raise), 0);
    }

    sampled_end(&sampled);
}


Test(stack_unwind, an_interrupted_instruction_is_exact)
{
    int                         i, at, found = 0;
    uint32_t                    flags;
    uint64_t                    address;
    unsigned char               code[2];
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario_fault);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        check_root(stack, STACK_FRAME_ROOT_THREAD);
        at = frame_find(stack, 0, interrupted);

        if (at < 0) {
            continue;
        }

        found++;
        address = stack->frames[at].address
                  + module_table_find(&sampled_modules, (uintptr_t) interrupted)
                        ->bias;
        memcpy(code, (void *) (uintptr_t) address, sizeof(code));
        /* movl $1, (%rax): C7 /0 */
        cr_assert_eq(code[0], 0xc7, "%02x", code[0]);
    }

    cr_expect_eq(found, SAMPLES);
    sampled_end(&sampled);
}


static void
scenario_alternate_stack(void)
{
    stack_t          alternate;
    struct sigaction action;

    memset(&alternate, 0, sizeof(alternate));
    alternate.ss_size = FIBER_STACK;
    alternate.ss_sp = mmap(NULL, FIBER_STACK, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&alternate, NULL);

    memset(&action, 0, sizeof(action));
    action.sa_handler = interrupting;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    STAY();
}


Test(stack_unwind, a_handler_on_its_own_stack_keeps_its_leaves)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    sampled_start(&sampled, scenario_alternate_stack);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        cr_assert_eq(flags, SAMPLE_NO_BOUNDS);
        check_burn(stack);
        check_truncated(stack);
    }

    sampled_end(&sampled);
}


static ucontext_t fiber_main, fiber;
static void      *fiber_stack;
static size_t     fiber_stack_size;


static NOINLINE void
fiber_entry(void)
{
    burn_outer();
    STAY();
}


static void
scenario_fiber(void)
{
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = fiber_stack;
    fiber.uc_stack.ss_size = fiber_stack_size;
    fiber.uc_link = &fiber_main;
    makecontext(&fiber, fiber_entry, 0);
    swapcontext(&fiber_main, &fiber);
    STAY();
}


/* A stack that ends where its mapping does; nothing is mapped around it. */
static void
fiber_stack_make(size_t size)
{
    unsigned char *room;

    room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fiber_stack = room + (1 << 19);
    fiber_stack_size = size;
    mprotect(fiber_stack, size, PROT_READ | PROT_WRITE);
}


Test(stack_unwind, a_fiber_ends_at_its_own_entry)
{
    int                         i, entry;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    fiber_stack_make(FIBER_STACK);
    sampled_start(&sampled, scenario_fiber);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        cr_assert_eq(flags, SAMPLE_NO_BOUNDS);
        check_burn(stack);
        entry = frame_find(stack, 0, fiber_entry);
        cr_assert_geq(entry, 0);
        /* shown under its own name, not as the thread's start */
        cr_assert_eq(stack->frames[entry].kind, STACK_FRAME_CODE);
        cr_assert_leq(stack->n_frames, entry + 3);
    }

    sampled_end(&sampled);
}


/* A fiber's stack shrinks under the sampler: nothing of it is taken for sure. */
Test(stack_unwind, a_stack_whose_mapping_shrinks_ends_nobody)
{
    int                         i;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

    /* larger at first, as the last one that lay here may have been */
    fiber_stack_make(FIBER_STACK);
    mprotect(fiber_stack, 4 * FIBER_STACK, PROT_READ | PROT_WRITE);
    sampled_start(&sampled, scenario_fiber);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);
        check_burn(stack);

        if (i == SAMPLES / 2) {
            munmap((unsigned char *) fiber_stack + FIBER_STACK,
                   3 * FIBER_STACK);
        }
    }

    sampled_end(&sampled);
}


/* A module that is gone lies over the unwind data of a living one. */
Test(stack_unwind, unwind_data_is_that_of_the_frames_module)
{
    uint32_t              flags, n;
    struct loaded_module  ghost, *program;
    struct sampled_thread sampled;

    sampled_start(&sampled, scenario_nested);

    program = (struct loaded_module *) module_table_find(
        &sampled_modules, (uintptr_t) scenario_nested);
    memset(&ghost, 0, sizeof(ghost));
    ghost = *program;
    ghost.start = ghost.end = 4096;
    ghost.gone = true;
    ghost.eh_frame.copy = calloc(1, ghost.eh_frame.size);

    n = sampled_modules.n_modules++;
    memmove(&sampled_modules.modules[1], &sampled_modules.modules[0],
            n * sizeof(ghost));
    sampled_modules.modules[0] = ghost;
    stack_unwinder_flush(sampled_unwinder);

    check_root(sampled_take(&sampled, &flags), STACK_FRAME_ROOT_THREAD);
    sampled_end(&sampled);
}
