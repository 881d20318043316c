
/*
 * The modules (ELF objects) of this process, with private copies of their
 * unwind data.
 *
 * The table is filled in the master, so that workers share its copies, and
 * followed on the profiler thread. One thread at a time uses it, identities
 * aside; the identities that it hands out are immutable (their fd aside: see
 * module_table_open_files()) and stay for the life of the process.
 *
 * Bounds: MODULE_TABLE_MAX identities ever; a module beyond them is unknown,
 * and stacks end at it. The copies have the size of the modules' .eh_frame
 * (1.3 MB for stock nginx).
 */


#ifndef NPROF_MODULE_TABLE_H
#define NPROF_MODULE_TABLE_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "module_identity.h"


#define MODULE_TABLE_MAX 512


/* A copy of memory: the run-time address of its first byte, and its bytes. */
struct unwind_section {
    uint64_t       start;
    uint64_t       size;
    unsigned char *copy;
};


/*
 * An executable segment of a module as it is loaded now, or was at the last
 * change.
 */
struct loaded_module {
    /* An index of identities. */
    uint32_t identity;

    /* Run-time address minus ELF virtual address. */
    uint64_t bias;

    /* The segment, run-time addresses. */
    uint64_t start;
    uint64_t end;

    /* No module before this one in the table ends above it, nor does it. */
    uint64_t max_end;

    struct unwind_section eh_frame_hdr;
    struct unwind_section eh_frame;

    /* .eh_frame_hdr itself: its run-time address and bytes. */
    uint64_t hdr_address;
    uint64_t hdr_size;

    /* Entries of its binary search table, 0 if it has none of the common
       form. */
    uint64_t fde_count;

    /* Its object's place in the dynamic loader's list, while it is loaded. */
    uint32_t position;

    /* Unloaded: kept for samples that were taken before. */
    bool gone;

    /*
     * Since the last update another object may have been at its place, which
     * came and went unseen: a sample of that time can't be told.
     */
    bool doubtful;

    /* Used while the table is brought up to date. */
    bool seen;
};


struct module_table {
    /* Those up to n_identities may be read by other threads, too. */
    struct module_identity *identities[MODULE_TABLE_MAX];
    _Atomic uint32_t        n_identities;

    /* Sorted by start. Ranges overlap only where one of the two is gone. */
    struct loaded_module modules[MODULE_TABLE_MAX];
    uint32_t             n_modules;

    /* The dynamic loader's counts when the table was last brought up to date:
       objects ever added and ever removed. */
    unsigned long long adds;
    unsigned long long subs;
};


/*
 * Brings the table up to date. Takes the dynamic loader's lock, so not from a
 * signal handler and under no lock of ours. Returns true if anything changed;
 * then all that was derived from the table is void (caches of unwind data),
 * and modules that went are marked gone, and those whose place others may have
 * had in between doubtful, until module_table_forget().
 */
bool module_table_update(struct module_table *table);

/*
 * Drops the modules that are gone, and all doubt, once the samples of before
 * are unwound. Returns true if there was anything.
 */
bool module_table_forget(struct module_table *table);

/*
 * Drops the modules that are gone and all identities that no loaded module
 * has, and closes their files. Only where no frame refers to an identity: in
 * the master.
 */
void module_table_compact(struct module_table *table);

/*
 * The module whose code address lies in; NULL if there is none, if a module
 * that is gone and another one both claim it, or if it is doubtful, so that
 * nobody can tell.
 */
const struct loaded_module *module_table_find(const struct module_table *table,
                                              uint64_t address);

/*
 * Opens the files of the identities that are new since the last call. It
 * waits for the disk: called in the master and by the export thread only.
 */
void module_table_open_files(struct module_table *table);


#endif /* NPROF_MODULE_TABLE_H */
