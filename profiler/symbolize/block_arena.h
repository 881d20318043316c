
/*
 * Memory for tables that live and die together, straight from mmap().
 *
 * The host's malloc stays out of it on purpose: freeing megabytes there raises
 * its mmap threshold and leaves the pages in an arena, so a single profile
 * would make a worker larger for the rest of its life.
 *
 * An arena belongs to one thread at a time. Not async-signal-safe.
 */


#ifndef NPROF_BLOCK_ARENA_H
#define NPROF_BLOCK_ARENA_H


#include <stddef.h>
#include <stdint.h>


struct arena_block;


/* All zero is an empty arena that is ready for use. */
struct block_arena {
    struct arena_block *blocks;
    char               *next;
    char               *end;

    /* Bytes that are mapped; pages that nobody touched cost no memory. */
    size_t mapped;
};


/*
 * Zeroed bytes, aligned for any type, that live until the arena is freed;
 * NULL if memory lacks.
 */
void *block_arena_alloc(struct block_arena *arena, size_t size);


/*
 * Room for a row more in an array of n rows of the arena: the array itself, or
 * a copy of twice the capacity (the old one is waste until the arena is
 * freed), its new rows zeroed. NULL if memory lacks; the array is then as
 * before.
 */
void *block_arena_room(struct block_arena *arena, void *rows, uint32_t n,
                       uint32_t *capacity, size_t row_size);


/* Gives all memory back to the system, and leaves an empty arena. */
void block_arena_free(struct block_arena *arena);


#endif /* NPROF_BLOCK_ARENA_H */
