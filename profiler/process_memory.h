
/*
 * What memory the process has that malloc() does not see: for `status`, beside
 * the heap profile.
 *
 * Profiler thread. Reads /proc/self/status and maps, which waits for no file;
 * it takes as long as there are mappings to list.
 */


#ifndef NPROF_PROCESS_MEMORY_H
#define NPROF_PROCESS_MEMORY_H


#include <stdint.h>


/* Bytes; 0 of what could not be read. */
struct process_memory {
    /* Resident: all of it, what is no file's, and what is shared. */
    uint64_t resident;
    uint64_t anonymous;
    uint64_t shared;

    /*
     * Mapped, resident or not: shared without a file (nginx's zones), private
     * without a file but for stacks (malloc's arenas, LuaJIT's, plain mmap()),
     * and code that is in no file (JIT compilers').
     */
    uint64_t mapped_zones;
    uint64_t mapped_private;
    uint64_t mapped_code;
};


void process_memory_read(struct process_memory *memory);


#endif /* NPROF_PROCESS_MEMORY_H */
