
/*
 * Memory that takes none until it is touched.
 */


#ifndef NPROF_LAZY_PAGES_H
#define NPROF_LAZY_PAGES_H


#include <stddef.h>
#include <sys/mman.h>


/* So many bytes of zeros, of this process alone; NULL and errno where there is
   no room for them. The caller unmaps them. Any thread. */
static inline void *
lazy_pages_map(size_t size)
{
    void *pages;

    pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}


#endif /* NPROF_LAZY_PAGES_H */
