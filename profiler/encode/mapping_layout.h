
/*
 * Where the modules of a profile lie in its address space.
 *
 * A profile that was merged from several workers can have modules that lay at
 * one address in two of them; in a pprof file mappings must not overlap. The
 * first module keeps its place; of others that collide the one that comes first
 * by build id and path does, in whichever order they were met: from one profile
 * to the next the same modules have the same addresses, by which clients know
 * stacks again. The other moves to a free range: its file offsets stay true, and
 * that is what tools compute with.
 *
 * The export thread.
 */


#ifndef NPROF_MAPPING_LAYOUT_H
#define NPROF_MAPPING_LAYOUT_H


#include <stdint.h>

#include "../symbolize/block_arena.h"
#include "../unwind/module_identity.h"


/* [start, limit) in memory, page-aligned. */
struct mapping_range {
    uint64_t start;
    uint64_t limit;
};


/*
 * Places n modules and, in ranges[n], a range of one page for frames that no
 * module has. The array is the arena's; NULL if memory lacks.
 */
struct mapping_range *mapping_layout(struct module_identity *const *modules,
                                     uint32_t n, struct block_arena *arena);


#endif /* NPROF_MAPPING_LAYOUT_H */
