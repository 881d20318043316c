/*
 * Unwinds records of registers and stacks that no thread left: it ends, with a
 * root or a mark, and reads nothing but the record and the unwind data.
 *
 * The input is taken as words, first of the registers, then of the stack. The
 * top byte of a word says what it is, so that addresses of code and of the
 * stack are found without being guessed. An odd size is a blocked thread's.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/unwind/stack_unwind.h"


#define STACK_ADDRESS UINT64_C(0x7ffd00000000)

enum word_kind {
    WORD_OF_STACK = 1,
    WORD_OF_CODE = 2
};


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static struct module_table    table;
static struct stack_unwinder *unwinder;
static struct unwound_stack   stack, again;


static uint64_t
word_at(const uint8_t *data, size_t i)
{
    uint64_t                    word, low;
    const struct loaded_module *module;

    memcpy(&word, data + 8 * i, sizeof(word));
    low = word & 0xffffffff;

    switch (word >> 56) {
    case WORD_OF_STACK:
        return STACK_ADDRESS + low % (SAMPLE_STACK_MAX + 64);
    case WORD_OF_CODE:
        module = &table.modules[(word >> 48 & 0xff) % table.n_modules];
        return module->start + low % (module->end - module->start);
    default:
        return word;
    }
}


static void
check(void)
{
    uint32_t                  i;
    const struct stack_frame *last;

    if (stack.n_frames == 0 || stack.n_frames > STACK_UNWIND_MAX + 2) {
        abort();
    }

    last = &stack.frames[stack.n_frames - 1];

    if (stack.complete != (last->kind == STACK_FRAME_ROOT_MAIN)
        || (!stack.complete && last->kind != STACK_FRAME_TRUNCATED)) {
        abort();
    }

    for (i = 0; i < stack.n_frames; i++) {
        if (stack.frames[i].module != STACK_FRAME_NO_MODULE
            && stack.frames[i].module >= table.n_identities) {
            abort();
        }
    }
}


/* Whether its walk is known or not. */
static void
check_repeated(const struct sample_record *record)
{
    stack_unwind_repeated(unwinder, record, true, &again);

    if (again.n_frames != stack.n_frames || again.complete != stack.complete
        || memcmp(again.frames, stack.frames,
                  stack.n_frames * sizeof(stack.frames[0]))
               != 0) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                i, n_words = size / 8;
    struct sample_record *record;

    if (unwinder == NULL) {
        module_table_update(&table);
        if (stack_unwinder_create(&table, &unwinder) != 0) {
            abort();
        }
    }

    if (n_words <= SAMPLE_REGISTERS
        || (n_words - SAMPLE_REGISTERS) * 8 > SAMPLE_STACK_MAX) {
        return 0;
    }

    /* of exactly its size: what is beyond it is not to be read */
    record = calloc(1, sizeof(*record) + (n_words - SAMPLE_REGISTERS) * 8);
    record->flags = size % 2 == 0 ? 0 : SAMPLE_BLOCKED;
    record->stack_address = STACK_ADDRESS;
    record->stack_size = (n_words - SAMPLE_REGISTERS) * 8;

    for (i = 0; i < SAMPLE_REGISTERS; i++) {
        record->registers[i] = word_at(data, i);
    }

    for (i = SAMPLE_REGISTERS; i < n_words; i++) {
        uint64_t word = word_at(data, i);

        memcpy(record->stack + 8 * (i - SAMPLE_REGISTERS), &word, sizeof(word));
    }

    stack_unwind(unwinder, record, true, &stack);
    check();
    check_repeated(record);
    check_repeated(record);
    free(record);

    return 0;
}
