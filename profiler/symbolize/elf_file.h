
/*
 * Reads an ELF file that may be anything: every size and offset is checked
 * against the file, nothing is mapped.
 *
 * A file that is truncated in place under a mapping is SIGBUS for the web
 * server, so bytes are copied with pread(), which also leaves the offset of a
 * descriptor alone that other processes share. Only 64-bit little-endian
 * executables and shared objects are taken, and what dwz makes, which calls
 * itself relocatable.
 *
 * One thread at a time; the export thread in the profiler. Not
 * async-signal-safe.
 */


#ifndef NPROF_ELF_FILE_H
#define NPROF_ELF_FILE_H


#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "block_arena.h"


struct elf_file {
    /* The source: a borrowed descriptor, or a borrowed image if it is -1. */
    int            fd;
    const uint8_t *image;
    uint64_t       size;

    Elf64_Ehdr header;

    Elf64_Shdr *sections;
    uint32_t    n_sections;

    /* The section names, NUL-terminated at their end. */
    const char *names;
    uint64_t    names_size;

    struct block_arena arena;
};


/*
 * Opens the file behind a descriptor, which stays the caller's and has to
 * outlive the elf_file. 0; -ENOEXEC if it is no ELF file that we take, or
 * corrupt; -ENOMEM; -errno of a read. Nothing is held after an error.
 */
int elf_file_open(struct elf_file *file, int fd);


/* The same for an image in memory, which has to outlive the elf_file. */
int elf_file_open_image(struct elf_file *file, const void *image, size_t size);


void elf_file_close(struct elf_file *file);


/* The section of that name, or NULL; [0] of the table never is one. */
const Elf64_Shdr *elf_file_section(const struct elf_file *file,
                                   const char            *name);


/* Bytes of a section's contents, decompressed; 0 if it has none. */
uint64_t elf_file_section_size(const struct elf_file *file,
                               const Elf64_Shdr      *section);


/*
 * Writes the section's decompressed contents to `to`: size bytes, which is what
 * elf_file_section_size() said. 0; -ENOEXEC if it is corrupt, or has another
 * size since somebody wrote to the file; -errno of a read.
 */
int elf_file_read(const struct elf_file *file, const Elf64_Shdr *section,
                  void *to, uint64_t size);


/*
 * A copy of the section in an arena, with a NUL after it; NULL if it is empty,
 * larger than max bytes, corrupt or memory lacks.
 */
void *elf_file_load(const struct elf_file *file, const Elf64_Shdr *section,
                    uint64_t max, struct block_arena *arena, uint64_t *size);


/*
 * The GNU build id, cut to max bytes; its length, 0 if it has none among the
 * first 64 sections of notes, each of 64 KB at most.
 */
size_t elf_file_build_id(const struct elf_file *file, uint8_t *id, size_t max);


#endif /* NPROF_ELF_FILE_H */
