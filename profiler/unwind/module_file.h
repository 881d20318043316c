
/*
 * The identity of a module: its name, build id and file.
 */


#ifndef NPROF_MODULE_FILE_H
#define NPROF_MODULE_FILE_H


#include <link.h>
#include <stdbool.h>

#include "module_identity.h"


/* The granularity of mappings on x86-64. */
#define MODULE_PAGE_SIZE 4096u

/* module_identity.fd before module_file_open(). */
#define MODULE_FILE_UNTRIED -2


/*
 * Makes the identity of a loaded module, whose executable segment is text.
 * Opens nothing. NULL if there is no memory.
 */
struct module_identity *module_identity_create(const struct dl_phdr_info *info,
                                               const ElfW(Phdr) * text);

void module_identity_free(struct module_identity *identity);

/* Whether the two are the same file, wherever it is loaded. */
bool module_identity_equal(const struct module_identity *one,
                           const struct module_identity *two);

/*
 * Opens the module's file, or the running program's where another one is at its
 * path, if it is the one that was loaded: a file without the same build id is
 * not, nor, where there is none, one of another inode. Waits for the disk.
 */
void module_file_open(struct module_identity *identity);


#endif /* NPROF_MODULE_FILE_H */
