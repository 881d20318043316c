
/*
 * A module's unwind data: private copies of .eh_frame_hdr and .eh_frame, and
 * what the unwinder must know of a frame before it steps out of it.
 *
 * The copies outlive the module: a plug-in that was unloaded between a sample
 * and its unwinding costs no crash. They are taken under the dynamic loader's
 * lock; what the data says is never trusted to stay inside them.
 *
 * Format: Linux Standard Base Core 5.0, "Exception Frames"; DWARF 4, 6.4.
 */


#ifndef NPROF_EH_FRAME_H
#define NPROF_EH_FRAME_H


#include <link.h>
#include <stdbool.h>
#include <stdint.h>

#include "module_table.h"


/*
 * Copies the unwind data of a loaded module. A module without, or with a
 * search table of an uncommon form, keeps fde_count 0, and stacks end at it.
 * Called within dl_iterate_phdr().
 */
void eh_frame_copy(struct loaded_module      *module,
                   const struct dl_phdr_info *info);

/*
 * The entries of the search table of an .eh_frame_hdr of size bytes; 0 if it
 * has none, or one of an uncommon form.
 */
uint64_t eh_frame_hdr_count(const unsigned char *hdr, uint64_t size);

/*
 * Whether the loaded module still has the unwind data of which we have a
 * copy. Called within dl_iterate_phdr().
 */
bool eh_frame_unchanged(const struct loaded_module *module,
                        const struct dl_phdr_info  *info);

/*
 * Reads from our copies: size bytes at the run-time address address. False if
 * they are not in the copies of this module.
 */
bool eh_frame_read(const struct loaded_module *module, uint64_t address,
                   void *to, uint64_t size);


/* What the frame description entry of an address says of its frame. */
struct eh_frame_row {
    /* The entry's range, run-time addresses. */
    uint64_t start;
    uint64_t end;

    /* The return address is undefined: the stack ends here. */
    bool root;

    /* A signal frame: its caller was interrupted, not called. */
    bool signal;
};


/*
 * Looks the run-time address up in the module's copies. False if no entry
 * holds it, or if the entry is not well formed.
 */
bool eh_frame_find(const struct loaded_module *module, uint64_t address,
                   struct eh_frame_row *row);


#endif /* NPROF_EH_FRAME_H */
