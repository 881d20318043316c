
/*
 * All that is known of one module: its symbol tables and debug information,
 * from its own file and from separate debug files.
 *
 * The export thread. Memory: as elf_symbols.h and dwarf_lines.h say.
 */


#ifndef NPROF_MODULE_SYMBOLS_H
#define NPROF_MODULE_SYMBOLS_H


#include "../unwind/module_identity.h"
#include "dwarf_lines.h"
#include "elf_symbols.h"
#include "unwind_starts.h"


struct module_symbols {
    struct elf_symbols *symbols;

    /* NULL if there is no debug information. */
    struct dwarf_lines *lines;

    /* NULL if there is no unwind data. */
    struct unwind_starts *starts;
};


/*
 * Opens what can be found; what is missing or corrupt is left out. A file
 * whose build id is not the identity's is not used. 0, or -ENOMEM, after which
 * nothing is held. The identity is not needed afterwards.
 */
int module_symbols_open(struct module_symbols        *module,
                        const struct module_identity *identity,
                        const char                   *debug_folder);


void module_symbols_close(struct module_symbols *module);


#endif /* NPROF_MODULE_SYMBOLS_H */
