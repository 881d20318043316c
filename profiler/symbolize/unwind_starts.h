
/*
 * Where functions start, by the unwind data of the module's file: what is left
 * to tell the functions of a stripped module apart. All addresses of a
 * function without a name share one, "nginx+0x54170", and so add up.
 *
 * The export thread. Memory: a copy of .eh_frame and .eh_frame_hdr (0.6 MB for
 * libcrypto), at most UNWIND_STARTS_MAX bytes each.
 */


#ifndef NPROF_UNWIND_STARTS_H
#define NPROF_UNWIND_STARTS_H


#include <stdint.h>

#include "elf_file.h"


#define UNWIND_STARTS_MAX (16 * 1024 * 1024)


struct unwind_starts;


/*
 * Reads the sections of a file, which is not needed afterwards. NULL if it has
 * none of the common form, or memory lacks.
 */
struct unwind_starts *unwind_starts_open(const struct elf_file *file);


/*
 * The start of the function that holds an ELF virtual address, or the address
 * itself if no entry holds it. starts may be NULL.
 */
uint64_t unwind_starts_find(const struct unwind_starts *starts,
                            uint64_t                    address);


void unwind_starts_close(struct unwind_starts *starts);


#endif /* NPROF_UNWIND_STARTS_H */
