
/*
 * The allocator's functions; see heap_allocator.h.
 */


#include <malloc.h>
#include <stdlib.h>

#include "heap_allocator.h"


const struct heap_allocator heap_allocator = {
    .malloc = malloc,
    .calloc = calloc,
    .realloc = realloc,
    .reallocarray = reallocarray,
    .free = free,
    .posix_memalign = posix_memalign,
    .aligned_alloc = aligned_alloc,
    .memalign = memalign,
    .valloc = valloc,
    .pvalloc = pvalloc,
};
