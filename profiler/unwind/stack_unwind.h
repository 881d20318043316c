
/*
 * Unwinds the copied stacks of samples with libunwind.
 *
 * libunwind sees the sampled thread through accessors that serve the copied
 * stack and our copies of unwind data, and nothing else: it never touches
 * memory that could be gone. Profiler thread only.
 */


#ifndef NPROF_STACK_UNWIND_H
#define NPROF_STACK_UNWIND_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sample/sample_record.h"
#include "module_table.h"
#include "stack_frame.h"


/* The deepest stack; what is above is cut, and the root shown as truncated. */
#define STACK_UNWIND_MAX 512


struct stack_unwinder;

struct unwound_stack {
    /* Leaf first; addresses are ELF virtual addresses. Marks ("[jit]",
       "[truncated]") may come on top of STACK_UNWIND_MAX. */
    struct stack_frame frames[STACK_UNWIND_MAX + 2];
    uint32_t           n_frames;

    /* The last frame is the thread's root. */
    bool complete;

    /* The root was reached by a scan over code without unwind data. */
    bool bridged;
};


/*
 * Makes an unwinder over the table, which outlives it. Returns 0, -ENOMEM, or
 * -ENOTSUP if the run-time libunwind is not of the headers' version.
 */
int stack_unwinder_create(struct module_table    *table,
                          struct stack_unwinder **unwinder);

void stack_unwinder_destroy(struct stack_unwinder *unwinder);

/*
 * Unwinds a sample into stack. main_thread says how its root is shown. Code
 * that lies in no module (a JIT compiler's) is a STACK_FRAME_JIT frame, and
 * what called it is found by a scan of the stack; so is the caller of a blocked
 * thread's frame that needs registers which are not known. A stack that does
 * not reach its root ends with a STACK_FRAME_TRUNCATED frame.
 */
void stack_unwind(struct stack_unwinder      *unwinder,
                  const struct sample_record *record, bool main_thread,
                  struct unwound_stack *stack);

/*
 * The same of a sample that other samples may have been like: where all that
 * one's walk read is as it was, its frames are known (known_walks.h).
 */
void stack_unwind_repeated(struct stack_unwinder      *unwinder,
                           const struct sample_record *record, bool main_thread,
                           struct unwound_stack *stack);

/* Memory that grows as it is used, bytes. */
size_t stack_unwinder_memory(const struct stack_unwinder *unwinder);

/* Forgets all that was derived from the table; after it changed. */
void stack_unwinder_flush(struct stack_unwinder *unwinder);


#endif /* NPROF_STACK_UNWIND_H */
