/*
 * Records that no thread could have left: unwinding them ends, in bounded
 * time, with a root or a mark, and reads nothing but the record.
 */

#include <criterion/criterion.h>

#include <stdlib.h>

#include "burning_code.h"
#include "nprof_clock.h"
#include "symbol_fixture.h"


#define FUZZ_RECORDS 64


/* What threads did leave. */
static struct sample_record *records[FUZZ_RECORDS];


TestSuite(damaged_record, .init = sampled_setup, .timeout = 60);


static struct sample_record *
record_clone(const struct sample_record *record)
{
    size_t                size = sizeof(*record) + record->stack_size;
    struct sample_record *clone = malloc(size);

    memcpy(clone, record, size);

    return clone;
}


/*
 * libunwind keeps the rules of an instruction by its address alone, but those of
 * a return address are the call's. Where the two differ, which is behind calls
 * that don't return, the rules are those of whichever came first: stray words
 * are return addresses only where no sample was taken, and odd, and stray
 * instructions are even.
 */
static uint64_t
not_both(uint64_t word, bool instruction)
{
    size_t i;

    if (instruction) {
        return word & ~UINT64_C(1);
    }

    word |= 1;

    for (i = 0; i < FUZZ_RECORDS; i++) {
        if (records[i]->registers[SAMPLE_REG_RIP] == word) {
            return word + 2;
        }
    }

    return word;
}


/* Words that lead an unwinder astray: addresses of stack and code, and any. */
static uint64_t
stray_word(const struct sample_record *record, bool instruction,
           uint64_t *state)
{
    uint64_t word;

    switch (fixture_random(state) % 5) {
    case 0:
        return record->stack_address
               + fixture_random(state) % (record->stack_size + 64);
    case 1:
        word = (uintptr_t) burn_outer + fixture_random(state) % 256;
        return not_both(word, instruction);
    case 2:
        word = (uintptr_t) malloc + fixture_random(state) % 65536;
        return not_both(word, instruction);
    case 3:
        return fixture_random(state) % 4096;
    default:
        return fixture_random(state);
    }
}


static void
record_damage(struct sample_record *record, uint64_t *state)
{
    unsigned n, number;
    uint64_t word, at;

    for (n = fixture_random(state) % 3; n > 0; n--) {
        number = (unsigned) (fixture_random(state) % SAMPLE_REGISTERS);
        record->registers[number]
            = stray_word(record, number == SAMPLE_REG_RIP, state);
    }

    for (n = 1 + fixture_random(state) % 8; n > 0; n--) {
        at = fixture_random(state) % (record->stack_size / 8) * 8;
        word = stray_word(record, false, state);
        memcpy(record->stack + at, &word, sizeof(word));
    }

    if (fixture_random(state) % 8 == 0) {
        record->stack_size = fixture_random(state) % record->stack_size;
    }
}


static void
check_damaged(const struct unwound_stack *stack)
{
    uint32_t                  i;
    const struct stack_frame *last = &stack->frames[stack->n_frames - 1];

    cr_assert_gt(stack->n_frames, 0);
    cr_assert_leq(stack->n_frames, STACK_UNWIND_MAX + 1);
    cr_assert_eq(stack->complete, last->kind == STACK_FRAME_ROOT_THREAD);
    cr_assert(stack->complete || last->kind == STACK_FRAME_TRUNCATED);

    for (i = 0; i + 1 < stack->n_frames; i++) {
        cr_assert(stack->frames[i].kind == STACK_FRAME_CODE
                  || stack->frames[i].kind == STACK_FRAME_JIT);
        cr_assert(stack->frames[i].module == STACK_FRAME_NO_MODULE
                  || stack->frames[i].module < sampled_modules.n_identities);
    }
}


static void
collect(int from, int to, void (*scenario)(void))
{
    struct sampled_thread sampled;

    atomic_store(&sampled_started, false);
    atomic_store(&sampled_stop, false);
    sampled_start(&sampled, scenario);

    for (/* void */; from < to; from++) {
        records[from] = record_clone(sampled_record(&sampled));
        sample_ring_release(&sampled.slot->ring);
    }

    sampled_end(&sampled);
}


Test(damaged_record, unwinding_ends_in_bounded_time)
{
    int                   i, complete = 0;
    int                   rounds = getenv("LONG") != NULL ? 200000 : 20000;
    int64_t               before, took, longest = 0;
    uint64_t              state = 5;
    struct sample_record *damaged;

    recursion_depth = 60;
    collect(0, 32, scenario_recursion);
    collect(32, 48, scenario_raise);
    collect(48, FUZZ_RECORDS, scenario_large_frame);

    for (i = 0; i < rounds; i++) {
        damaged = record_clone(records[fixture_random(&state) % FUZZ_RECORDS]);
        record_damage(damaged, &state);

        before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        stack_unwind(sampled_unwinder, damaged, false, &sampled_stack);
        took = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
        longest = took > longest ? took : longest;
        expect_repeated(damaged, false, &sampled_stack);

        check_damaged(&sampled_stack);
        complete += sampled_stack.complete;
        free(damaged);
    }

    for (i = 0; i < FUZZ_RECORDS; i++) {
        free(records[i]);
    }

    cr_expect_gt(complete, 100);
    /* a second's samples of a thread whose stack is nonsense take a second's
       tenth at most */
    cr_expect_lt(longest, 100000000, "%ld ns", longest);
}
