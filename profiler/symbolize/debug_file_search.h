
/*
 * Finds the separate debug file of a module by its build id, below one folder
 * and nowhere else; nothing is asked of the network.
 *
 * The export thread; may wait for the disk.
 */


#ifndef NPROF_DEBUG_FILE_SEARCH_H
#define NPROF_DEBUG_FILE_SEARCH_H


#include "elf_file.h"


/* An elf_file with a descriptor of its own. */
struct debug_elf {
    struct elf_file elf;
    int             fd;
};


/*
 * Opens FOLDER/.build-id/xx/yyy.debug if it is there, is a regular file and
 * has that build id. 0 or -errno; after 0 debug_elf_close() is due.
 */
int debug_file_by_build_id(struct debug_elf *debug, const char *folder,
                           const uint8_t *id, size_t len);


/*
 * Opens the file that .gnu_debugaltlink of `file` names (dwz moves there what
 * several debug files share): by its build id, else by its path, which has to
 * be below FOLDER. 0 or -errno; after 0 debug_elf_close() is due.
 */
int debug_file_shared_by(struct debug_elf *debug, const char *folder,
                         const struct elf_file *file);


void debug_elf_close(struct debug_elf *debug);


#endif /* NPROF_DEBUG_FILE_SEARCH_H */
