
/*
 * Source file, line and inlined calls of addresses, by DWARF through libdw.
 *
 * Made for debug information that may be corrupt: it is read through
 * debug_sections.h, the walks are bounded in depth and number, and nothing is
 * looked for outside of the two files that the caller opened.
 *
 * The export thread; needs 256 KB of stack. Memory: DEBUG_SECTIONS_MAX for
 * each of the two files, indexes of units and functions (some 200 MB for a file
 * that was made to hurt), plus what libdw keeps of the units that were asked
 * for; all goes with dwarf_lines_close().
 */


#ifndef NPROF_DWARF_LINES_H
#define NPROF_DWARF_LINES_H


#include <stdint.h>

#include "elf_file.h"


/* The function itself and the calls that were inlined into it. */
#define DWARF_LINES_MAX_FRAMES 64


struct dwarf_lines;


/* The strings live until the close. */
struct dwarf_frame {
    /* DW_AT_linkage_name, else DW_AT_name; NULL if neither is known. */
    const char *function;

    /*
     * What the compiler was told, or NULL; if it is relative then to the
     * folder, which is not NULL in this case but may be relative itself.
     */
    const char *file;
    const char *folder;

    /* 0 if unknown. */
    uint32_t line;

    /* The line of the function's declaration, 0 if unknown. */
    uint32_t start_line;
};


/*
 * Reads the debug information of a file, and of the file that dwz moved shared
 * parts to (NULL if there is none). 0; -ENOENT if the file has none, else
 * -errno. The files are not needed afterwards.
 */
int dwarf_lines_open(struct dwarf_lines **lines, const struct elf_file *file,
                     const struct elf_file *shared);


/*
 * The frames at an ELF virtual address, the innermost inlined call first and
 * the function itself last; returns their number, 0 if nothing is known.
 */
unsigned dwarf_lines_find(struct dwarf_lines *lines, uint64_t address,
                          struct dwarf_frame frames[DWARF_LINES_MAX_FRAMES]);


void dwarf_lines_close(struct dwarf_lines *lines);


#endif /* NPROF_DWARF_LINES_H */
