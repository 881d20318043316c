
/*
 * The debug sections of a file as an ELF image in memory of our own, for
 * libdw to read.
 *
 * libdw given the file itself would map or malloc() all of it, and follow
 * .gnu_debugaltlink to any path that the file names. The image has only the
 * sections that we use, decompressed, without that link, and its size is known
 * before a byte is read.
 *
 * The export thread.
 */


#ifndef NPROF_DEBUG_SECTIONS_H
#define NPROF_DEBUG_SECTIONS_H


#include "elf_file.h"


/* More debug information than this is not read: lines are then missing. */
#define DEBUG_SECTIONS_MAX (64 * 1024 * 1024)


struct debug_sections {
    /* The image, page-aligned, or NULL. */
    char  *image;
    size_t size;
};


/*
 * Makes the image. 0; -ENOENT if the file has no .debug_info;
 * -EFBIG above DEBUG_SECTIONS_MAX; -ENOEXEC, -ENOMEM, -errno of a read.
 * The file is not needed afterwards.
 */
int debug_sections_load(struct debug_sections *debug,
                        const struct elf_file *file);


void debug_sections_free(struct debug_sections *debug);


#endif /* NPROF_DEBUG_SECTIONS_H */
