
/*
 * The memory of a sample ring. It is apart from sample_ring.c, which may call
 * nothing that a signal handler may not.
 */


#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sample_ring.h"


/* The granularity of mappings on x86-64. */
#define RING_PAGE_SIZE 4096u


int
sample_ring_init(struct sample_ring *ring, size_t size)
{
    void *data;

    data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }

    memset(ring, 0, sizeof(*ring));
    ring->size = size;
    ring->data = data;

    return 0;
}


/*
 * The producer's plain writes to the same place are no race to be found: an
 * atomic or with nothing comes before one or after it, as a whole.
 */
__attribute__((no_sanitize("thread"))) void
sample_ring_prefault(struct sample_ring *ring, size_t bytes)
{
    volatile unsigned char *page;

    while (ring->prefaulted < bytes) {
        /* a write that changes nothing, whatever the producer writes there */
        page = &ring->data[ring->prefaulted];
        (void) __atomic_fetch_or(page, 0, __ATOMIC_RELAXED);
        ring->prefaulted += RING_PAGE_SIZE;
    }
}


void
sample_ring_destroy(struct sample_ring *ring)
{
    if (ring->data != NULL) {
        munmap(ring->data, ring->size);
        ring->data = NULL;
    }
}
