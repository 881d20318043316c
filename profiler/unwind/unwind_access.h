
/*
 * What libunwind is served of a sample: the copy of its stack, the registers,
 * and the unwind data of one module. It reads nothing else, and writes nothing.
 * Profiler thread only.
 */


#ifndef NPROF_UNWIND_ACCESS_H
#define NPROF_UNWIND_ACCESS_H


#include <libunwind-x86_64.h>
#include <stdbool.h>
#include <stdint.h>

#include "../sample/sample_record.h"
#include "known_walks.h"
#include "module_table.h"


/* The data of the accessors. */
struct unwind_access {
    const struct sample_record *record;

    /* Those that a walk starts from. */
    uint64_t registers[SAMPLE_REGISTERS];

    /* The one whose frame is stepped out of, or NULL. */
    const struct loaded_module *module;

    /* libunwind looks an entry up, and does not step by it yet. */
    bool finding;

    /* What is to know what is read of the sample, or NULL. */
    struct known_walks *known;
};


/* libunwind takes it as it is, and keeps a copy. */
extern unw_accessors_t unwind_accessors;

/* The word at an address of the stack, as it was copied; false: it was not. */
bool unwind_access_stack(const struct sample_record *record, uint64_t address,
                         uint64_t *value);


#endif /* NPROF_UNWIND_ACCESS_H */
