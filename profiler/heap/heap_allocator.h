
/*
 * The allocator of the process, as it was before it was hooked.
 */


#ifndef NPROF_HEAP_ALLOCATOR_H
#define NPROF_HEAP_ALLOCATOR_H


#include <stddef.h>


/*
 * The dynamic loader's answers for libnprof: the preloaded allocator's
 * functions, if there is one, else the C library's. They are data, not calls,
 * so that our own calls can be hooked, too, and read-only once the library is
 * loaded. The definition is apart from its users: a compiler that saw it would
 * make calls of it.
 */
struct heap_allocator {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *block, size_t size);
    void *(*reallocarray)(void *block, size_t n, size_t size);
    void (*free)(void *block);
    int (*posix_memalign)(void **block, size_t alignment, size_t size);
    void *(*aligned_alloc)(size_t alignment, size_t size);
    void *(*memalign)(size_t alignment, size_t size);
    void *(*valloc)(size_t size);
    void *(*pvalloc)(size_t size);
};


/* Not for others to interpose: it is read in each call of a hook. */
extern const struct heap_allocator heap_allocator
    __attribute__((visibility("hidden")));


#endif /* NPROF_HEAP_ALLOCATOR_H */
