
/*
 * The functions of a module by its symbol tables: of the module itself
 * (.symtab, .dynsym, PLT stubs) and of its separate debug file (.symtab).
 *
 * A symbol is a name for the addresses within its bounds and for no other:
 * "the nearest symbol" is a lie in a stripped binary, so a symbol without a
 * size names nothing. Where several hold an address the innermost is taken; of
 * aliases one that is exported, then that with fewer underscores before it
 * (qsort_r, not __GI___qsort_r).
 *
 * The export thread. Memory: the tables and 64 bytes per symbol, at most some
 * 200 MB for a file that was made to hurt, 1 MB for a large real one; all goes
 * with elf_symbols_close(). While it opens, that of plt_stubs.h comes on top.
 */


#ifndef NPROF_ELF_SYMBOLS_H
#define NPROF_ELF_SYMBOLS_H


#include <stdint.h>

#include "elf_file.h"


struct elf_symbols;


/*
 * Reads the tables of either file; each may be NULL, and neither is needed
 * afterwards. Without any symbol it succeeds, and knows no name. 0, -ENOMEM.
 */
int elf_symbols_open(struct elf_symbols **symbols, const struct elf_file *code,
                     const struct elf_file *debug);


/*
 * The name as the file has it, without a symbol version, "NAME@plt" for a
 * stub; NULL if no symbol holds the address. Lives until the close.
 */
const char *elf_symbols_find(const struct elf_symbols *symbols,
                             uint64_t                  address);


void elf_symbols_close(struct elf_symbols *symbols);


#endif /* NPROF_ELF_SYMBOLS_H */
