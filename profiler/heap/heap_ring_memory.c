
/*
 * The memory of the ring of sampled allocations. It is apart from heap_ring.c,
 * which may call nothing that an allocation hook may not.
 */


#include <errno.h>
#include <sys/mman.h>

#include "heap_ring.h"


int
heap_ring_open(void)
{
    void *data;

    if (heap_ring.data != NULL) {
        return 0;
    }

    data = mmap(NULL, HEAP_RING_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }

    heap_ring.data = data;

    return 0;
}
