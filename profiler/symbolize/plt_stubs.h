
/*
 * Names of PLT stubs: a call of another module's function runs through one,
 * and a sample in it would otherwise be a bare address.
 *
 * What a stub calls is read from its code: the slot of the GOT that it jumps
 * through, and the relocation that fills the slot. That holds for .plt,
 * .plt.sec and .plt.got alike, whichever linker laid them out. x86_64 only;
 * elsewhere there are no names.
 *
 * The export thread, as elf_symbols.h, which is the only user. Memory: copies
 * of symbols and relocations, 150 MB at most; none is held after a call.
 */


#ifndef NPROF_PLT_STUBS_H
#define NPROF_PLT_STUBS_H


#include <stdint.h>

#include "elf_file.h"


/*
 * Told of a stub: its bounds in ELF virtual addresses; the name of the symbol,
 * which lives until the walk is over, or NULL and the address of the resolver
 * that picks the function at load time (an IRELATIVE relocation). 0, or -errno
 * to stop.
 */
typedef int (*plt_stub_pt)(void *context, uint64_t start, uint64_t end,
                           const char *name, uint64_t resolver);


/*
 * Tells of every stub whose function is known. 0; -ENOMEM; what the callback
 * returned.
 */
int plt_stubs_walk(const struct elf_file *file, plt_stub_pt tell,
                   void *context);


#endif /* NPROF_PLT_STUBS_H */
