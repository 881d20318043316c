
/*
 * The allocation hooks; see heap_hook.h. Each has the prototype of what it
 * stands for. What this object may call is checked by the build.
 *
 * A block is taken out of the live set before it is given back, for in the next
 * moment it may be another thread's; and it gets into it before its owner has
 * it.
 */


#include <errno.h>
#include <stddef.h>

#include "heap_allocator.h"
#include "heap_capture.h"
#include "heap_countdown.h"
#include "heap_hook.h"
#include "live_set.h"


#define likely(condition) __builtin_expect((condition), 1)
#define unlikely(condition) __builtin_expect((condition), 0)


/* Captures the block of an allocation that was not passed over. One that failed
   takes its sample with it: the next one has a gap of its own. */
static inline __attribute__((always_inline)) void *
taken(void *block, size_t size)
{
    if (heap_capture_wanted(size) && block != NULL) {
        heap_capture(block, size);
    }

    return block;
}


static HEAP_HOOK_CODE void *
malloc_taken(size_t size)
{
    return taken(heap_allocator.malloc(size), size);
}


static HEAP_HOOK_CODE void *
malloc_hook(size_t size)
{
    return likely(heap_countdown_passes(size)) ? heap_allocator.malloc(size)
                                               : malloc_taken(size);
}


static HEAP_HOOK_CODE void *
calloc_taken(size_t n, size_t size)
{
    return taken(heap_allocator.calloc(n, size), n * size);
}


static HEAP_HOOK_CODE void *
calloc_hook(size_t n, size_t size)
{
    size_t all;

    return __builtin_mul_overflow(n, size, &all)
                   || likely(heap_countdown_passes(all))
               ? heap_allocator.calloc(n, size)
               : calloc_taken(n, size);
}


/* The old block is the caller's again if there is no new one. */
static void *
realloc_live(void *block, size_t size)
{
    void    *moved;
    uint32_t entry;

    entry = live_set_remove(block);
    moved = heap_allocator.realloc(block, size);

    if (entry == LIVE_NONE) {
        return moved;
    }

    /* of size 0 it is gone: the C library returns NULL */
    if (moved != NULL || size == 0) {
        live_set_freed(entry);

    } else if (!live_set_insert(block, entry)) {
        atomic_fetch_add(&live_counters.table_full, 1);
        live_set_freed(entry);
    }

    return moved;
}


/* A new size is a new block, wherever it is. */
static HEAP_HOOK_CODE void *
realloc_hook(void *block, size_t size)
{
    void *moved;

    moved = block != NULL && live_set_may_have(block)
                ? realloc_live(block, size)
                : heap_allocator.realloc(block, size);

    return moved == NULL || likely(heap_countdown_passes(size))
               ? moved
               : taken(moved, size);
}


/* The C library's own calls realloc(), which is hooked. */
static HEAP_HOOK_CODE void *
reallocarray_hook(void *block, size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }

    return realloc_hook(block, all);
}


static HEAP_HOOK_CODE void
free_live(void *block)
{
    uint32_t entry;

    entry = live_set_remove(block);

    if (entry != LIVE_NONE) {
        live_set_freed(entry);
    }

    heap_allocator.free(block);
}


static HEAP_HOOK_CODE void
free_hook(void *block)
{
    if (unlikely(live_set_may_have(block))) {
        free_live(block);

    } else {
        heap_allocator.free(block);
    }
}


static HEAP_HOOK_CODE int
posix_memalign_taken(void **block, size_t alignment, size_t size)
{
    int rc;

    rc = heap_allocator.posix_memalign(block, alignment, size);
    (void) taken(rc == 0 ? *block : NULL, size);

    return rc;
}


static HEAP_HOOK_CODE int
posix_memalign_hook(void **block, size_t alignment, size_t size)
{
    return likely(heap_countdown_passes(size))
               ? heap_allocator.posix_memalign(block, alignment, size)
               : posix_memalign_taken(block, alignment, size);
}


static HEAP_HOOK_CODE void *
aligned_alloc_hook(size_t alignment, size_t size)
{
    void *block;

    block = heap_allocator.aligned_alloc(alignment, size);

    return likely(heap_countdown_passes(size)) ? block : taken(block, size);
}


static HEAP_HOOK_CODE void *
memalign_hook(size_t alignment, size_t size)
{
    void *block;

    block = heap_allocator.memalign(alignment, size);

    return likely(heap_countdown_passes(size)) ? block : taken(block, size);
}


static HEAP_HOOK_CODE void *
valloc_hook(size_t size)
{
    void *block;

    block = heap_allocator.valloc(size);

    return likely(heap_countdown_passes(size)) ? block : taken(block, size);
}


static HEAP_HOOK_CODE void *
pvalloc_hook(size_t size)
{
    void *block;

    block = heap_allocator.pvalloc(size);

    return likely(heap_countdown_passes(size)) ? block : taken(block, size);
}


const struct got_redirect heap_hooks[HEAP_HOOKS] = {
    {"malloc", (void *const *) &heap_allocator.malloc, (void *) malloc_hook},
    {"calloc", (void *const *) &heap_allocator.calloc, (void *) calloc_hook},
    {"realloc", (void *const *) &heap_allocator.realloc, (void *) realloc_hook},
    {"reallocarray", (void *const *) &heap_allocator.reallocarray,
     (void *) reallocarray_hook},
    {"posix_memalign", (void *const *) &heap_allocator.posix_memalign,
     (void *) posix_memalign_hook},
    {"aligned_alloc", (void *const *) &heap_allocator.aligned_alloc,
     (void *) aligned_alloc_hook},
    {"memalign", (void *const *) &heap_allocator.memalign,
     (void *) memalign_hook},
    {"valloc", (void *const *) &heap_allocator.valloc, (void *) valloc_hook},
    {"pvalloc", (void *const *) &heap_allocator.pvalloc, (void *) pvalloc_hook},
    {"free", (void *const *) &heap_allocator.free, (void *) free_hook},
};
