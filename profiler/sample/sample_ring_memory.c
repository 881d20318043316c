
/*
 * The memory of a sample ring. It is apart from sample_ring.c, which may call
 * nothing that a signal handler may not.
 */


#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sample_ring.h"


int
sample_ring_init(struct sample_ring *ring, size_t size)
{
    void *data;

    /* prefaulted: a page fault in the handler would cost up to 0.3 ms */
    data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }

    memset(ring, 0, sizeof(*ring));
    ring->size = size;
    ring->data = data;

    return 0;
}


void
sample_ring_destroy(struct sample_ring *ring)
{
    if (ring->data != NULL) {
        munmap(ring->data, ring->size);
        ring->data = NULL;
    }
}
