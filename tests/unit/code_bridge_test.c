/*
 * Leading over code without unwind data: the return address of its caller is
 * found among words on the stack that look like one.
 */

#include "sampled_thread.h"

#include <sys/mman.h>


/*
 * sub $0x48,%rsp; mov %rdi,8(%rsp); mov %rsi,16(%rsp); cmpb $0,(%rdx); je -5;
 * add $0x48,%rsp; ret: keeps two words on its stack until the flag is set.
 */
static const unsigned char code[]
    = {0x48, 0x83, 0xec, 0x48, 0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x89, 0x74,
       0x24, 0x10, 0x80, 0x3a, 0x00, 0x74, 0xfb, 0x48, 0x83, 0xc4, 0x48, 0xc3};

typedef void (*code_pt)(uint64_t word, uint64_t other,
                        const _Atomic bool *done);

static code_pt  generated;
static uint64_t stale_return;


static NOINLINE void
remember_return(volatile unsigned char *frame)
{
    frame[0] = 1;
    stale_return = (uint64_t) (uintptr_t) __builtin_return_address(0);
}


/* A function of a large frame: from an address in it there is no way to the
   root, if its frame is not there. */
static NOINLINE void
returned_long_ago(void)
{
    volatile unsigned char large[60 * 1024];

    remember_return(large);
    STAY();
}


static NOINLINE void
scenario_generated(void)
{
    atomic_store(&sampled_started, true);
    generated((uint64_t) (uintptr_t) remember_return + 1, stale_return,
              &sampled_stop);
    STAY();
}


static void
code_generate(void)
{
    void *page;

    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    memcpy(page, code, sizeof(code));
    cr_assert_eq(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
    generated = (code_pt) (uintptr_t) page;
}


TestSuite(code_bridge, .init = sampled_setup, .timeout = 60);


/* A word that follows no call, and a return address of a function that ended
   and has no way to the root from there, are no callers. */
Test(code_bridge, words_that_lead_nowhere_are_refused)
{
    int                         i, seen = 0;
    uint32_t                    flags;
    const struct unwound_stack *stack;
    struct sampled_thread       sampled;

#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("SKIPPED: with frame pointers any return address leads on");
#endif

    code_generate();
    returned_long_ago();
    cr_assert_neq(stale_return, 0);
    sampled_start(&sampled, scenario_generated);

    for (i = 0; i < SAMPLES; i++) {
        stack = sampled_take(&sampled, &flags);

        /* the first may be of its caller */
        if (stack->frames[0].kind != STACK_FRAME_JIT) {
            continue;
        }

        seen++;
        cr_assert(stack->bridged);
        cr_assert(stack->complete);
        cr_assert(frame_in(&stack->frames[1], scenario_generated));
    }

    sampled_end(&sampled);
    cr_assert_gt(seen, SAMPLES / 2);
}
