
/*
 * One frame of an unwound stack.
 */


#ifndef NPROF_STACK_FRAME_H
#define NPROF_STACK_FRAME_H


#include <stdint.h>


/* The module of a frame that lies in none: its address is meaningless. */
#define STACK_FRAME_NO_MODULE UINT32_MAX


enum stack_frame_kind {
    /* Code of a module, named by its symbols. */
    STACK_FRAME_CODE = 0,

    /* The root of the main thread: code, shown as "_start". */
    STACK_FRAME_ROOT_MAIN,

    /* The root of any other thread: code, shown as "start_thread". */
    STACK_FRAME_ROOT_THREAD,

    /* The rest have no module. */

    /* "[lost]": CPU time of which no stack was seen. */
    STACK_FRAME_LOST,

    /* "[truncated]": here the copy of the stack, or the unwinding, ended. */
    STACK_FRAME_TRUNCATED,

    /* "[jit]": code without unwind data. */
    STACK_FRAME_JIT,

    /* "[other]": stacks that found no place in a full table. */
    STACK_FRAME_OTHER,

    STACK_FRAME_N_KINDS
};


struct stack_frame {
    /*
     * The ELF virtual address: of the leaf the interrupted instruction, of
     * its callers the byte before the return address, so that it lies in the
     * calling instruction.
     */
    uint64_t address;

    /* An index of the profile's modules, or STACK_FRAME_NO_MODULE. */
    uint32_t module;

    /* An enum stack_frame_kind. */
    uint32_t kind;
};


#endif /* NPROF_STACK_FRAME_H */
