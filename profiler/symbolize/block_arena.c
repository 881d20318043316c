
/*
 * Arenas of mmap()ed blocks (block_arena.h). Any thread, one at a time.
 */


#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>

#include "block_arena.h"


#define BLOCK_MIN (16 * 1024)
#define BLOCK_MAX (256 * 1024)
#define FIRST_ROWS 64

#define ALIGNMENT alignof(max_align_t)


struct arena_block {
    struct arena_block *next;
    size_t              size;
};


static size_t
round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}


static struct arena_block *
map_block(size_t size)
{
    struct arena_block *block;

    block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return NULL;
    }

    block->size = size;

    return block;
}


static int
add_block(struct block_arena *arena, size_t need)
{
    size_t              size, header;
    struct arena_block *block;

    header = round_up(sizeof(struct arena_block), ALIGNMENT);
    if (need > SIZE_MAX / 2) {
        return -1;
    }

    /* Blocks double with the arena: most of them stay small. */
    size = arena->mapped < BLOCK_MIN ? BLOCK_MIN : arena->mapped;
    size = size > BLOCK_MAX ? BLOCK_MAX : size;
    size = round_up(header + need > size ? header + need : size, 4096);

    block = map_block(size);
    if (block == NULL) {
        return -1;
    }

    block->next = arena->blocks;
    arena->blocks = block;
    arena->mapped += size;
    arena->next = (char *) block + header;
    arena->end = (char *) block + size;

    return 0;
}


void *
block_arena_alloc(struct block_arena *arena, size_t size)
{
    void *p;

    if (size > SIZE_MAX / 2) {
        return NULL;
    }

    size = round_up(size ? size : 1, ALIGNMENT);

    if (size > (size_t) (arena->end - arena->next)
        && add_block(arena, size) != 0) {
        return NULL;
    }

    p = arena->next;
    arena->next += size;

    return p;
}


void *
block_arena_room(struct block_arena *arena, void *rows, uint32_t n,
                 uint32_t *capacity, size_t row_size)
{
    void    *copy;
    uint32_t larger;

    if (n < *capacity) {
        return rows;
    }

    if (*capacity > UINT32_MAX / 4) {
        return NULL;
    }

    larger = *capacity ? 2 * *capacity : FIRST_ROWS;
    copy = block_arena_alloc(arena, larger * row_size);

    if (copy == NULL) {
        return NULL;
    }

    if (n > 0) {
        memcpy(copy, rows, n * row_size);
    }

    *capacity = larger;

    return copy;
}


void
block_arena_free(struct block_arena *arena)
{
    struct arena_block *block, *next;

    for (block = arena->blocks; block != NULL; block = next) {
        next = block->next;
        munmap(block, block->size);
    }

    memset(arena, 0, sizeof(*arena));
}
