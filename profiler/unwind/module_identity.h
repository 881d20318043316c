
/*
 * A module (an ELF object that is or was loaded) as frames name it.
 *
 * Frames are (module, ELF virtual address) pairs from the unwinder on, never
 * run-time addresses: after a reload two plug-ins can sit at one address in
 * two workers. An identity is immutable once it is made and lives as long as
 * the table that made it (module_table.h) or the profile that copied it.
 */


#ifndef NPROF_MODULE_IDENTITY_H
#define NPROF_MODULE_IDENTITY_H


#include <stdint.h>


/* SHA-1 build ids have 20 bytes; longer ones are cut to this. */
#define MODULE_BUILD_ID_MAX 32


struct module_identity {
    /*
     * The path that the dynamic loader was given, made lexically canonical
     * and without " (deleted)"; "[vdso]" for the vDSO. Owned by the identity.
     */
    char *path;

    /* From PT_NOTE of the loaded image; length 0 if it has none. */
    uint8_t build_id[MODULE_BUILD_ID_MAX];
    uint8_t build_id_len;

    /*
     * What identifies a file without a build id: the inode that was mapped. 0
     * if it could not be read, or if there is a build id.
     */
    uint64_t inode;

    /* Run-time address minus ELF virtual address, in this process. */
    uint64_t bias;

    /*
     * The executable PT_LOAD segment, in ELF virtual addresses and bytes,
     * page-aligned the way that it is mapped: start and file offset down,
     * end up.
     */
    uint64_t text_start;
    uint64_t text_end;
    uint64_t text_offset;

    /*
     * The file that was mapped, open for reading (O_CLOEXEC), or -1 if it
     * could not be opened or is not the mapped one any more. Read it with
     * pread only: the descriptor is shared with other processes.
     */
    int fd;
};


#endif /* NPROF_MODULE_IDENTITY_H */
