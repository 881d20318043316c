
/*
 * Names for addresses: function, file and line, with the calls that the
 * compiler inlined.
 *
 * Owns a cache of answers by module (build id and path) and address, and the
 * open symbol tables of one module, the last that was asked about; so ask
 * module by module. The thread is the export thread, never a signal handler:
 * it reads files and may wait for the disk, and needs SYMBOLIZER_STACK_SIZE of
 * stack.
 *
 * It refuses to guess (an address outside of all symbols is module+offset), to
 * use the network, and to open any file but debug files below one folder.
 *
 * Memory: SYMBOLIZER_CACHE_MAX for answers, and until symbolizer_trim() the
 * tables of one module (elf_symbols.h, dwarf_lines.h). All large tables are
 * mapped on their own, so that trimming gives them back; the host's malloc
 * sees only handles and what libdw keeps of units that were asked for.
 */


#ifndef NPROF_SYMBOLIZER_H
#define NPROF_SYMBOLIZER_H


#include <stddef.h>
#include <stdint.h>

#include "../unwind/module_identity.h"


#define SYMBOLIZER_STACK_SIZE (1024 * 1024)
#define SYMBOLIZER_CACHE_MAX (4 * 1024 * 1024)

#define SYMBOLIZER_DEBUG_FOLDER "/usr/lib/debug"


struct symbolizer;


struct symbol_line {
    /* Demangled; never NULL. Bytes as the file has them, perhaps no UTF-8. */
    const char *function;

    /* As the file has it: mangled, with what the compiler appended. */
    const char *system_name;

    /* "" if unknown. */
    const char *file;

    /* 0 if unknown. */
    uint32_t line;

    /* Of the function's declaration, 0 if unknown. */
    uint32_t start_line;
};


struct symbol_lines {
    uint32_t n;

    /* The names are real ones, not "nginx+0x54170". */
    uint8_t named;

    /* Inlined calls would be here if there were any: DWARF was read. */
    uint8_t inlines_known;

    /* The innermost inlined call first, the function itself last. */
    struct symbol_line lines[];
};


/*
 * debug_folder: where separate debug files are (".build-id/xx/yyy.debug"), NULL
 * for SYMBOLIZER_DEBUG_FOLDER. Returns NULL if memory lacks.
 */
struct symbolizer *symbolizer_create(const char *debug_folder);


void symbolizer_destroy(struct symbolizer *symbolizer);


/*
 * Finds the names for an ELF virtual address of a module; *lines lives until
 * the next call. The identity's descriptor stays the caller's, and its offset
 * as it is. A file that is missing, stripped or corrupt is no error: there is
 * always one line or more. 0, or -ENOMEM.
 */
int symbolizer_resolve(struct symbolizer            *symbolizer,
                       const struct module_identity *module, uint64_t address,
                       const struct symbol_lines **lines);


/* Bytes of the answers that are kept. */
size_t symbolizer_memory(const struct symbolizer *symbolizer);


/* Closes tables and keeps the answers; call it when a profile is done. */
void symbolizer_trim(struct symbolizer *symbolizer);


#endif /* NPROF_SYMBOLIZER_H */
