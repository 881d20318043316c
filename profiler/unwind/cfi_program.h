
/*
 * Reads a frame description entry as far as the unwinder must know it before
 * it asks libunwind to step: its range, and whether it is a root or a signal
 * frame.
 */


#ifndef NPROF_CFI_PROGRAM_H
#define NPROF_CFI_PROGRAM_H


#include <stdbool.h>
#include <stdint.h>

#include "eh_frame.h"


/*
 * Reads the entry at the offset of the section's copy, and runs its program
 * up to the run-time address. False if address is not in its range, or if the
 * entry is not well formed; no byte outside of the copy is read.
 */
bool cfi_find_row(const struct unwind_section *section, uint64_t offset,
                  uint64_t address, struct eh_frame_row *row);


#endif /* NPROF_CFI_PROGRAM_H */
