
/*
 * Numbers things in the order of their arrival, and finds a thing's number by
 * its key: a hash table over rows that its user keeps.
 *
 * A table lives in an arena and ends with it. One thread at a time.
 */


#ifndef NPROF_ID_TABLE_H
#define NPROF_ID_TABLE_H


#include <stddef.h>
#include <stdint.h>

#include "block_arena.h"


#define ID_TABLE_NONE UINT32_MAX


/* All zero but for the arena is an empty table. */
struct id_table {
    struct block_arena *arena;

    uint32_t *hashes;
    uint32_t  n;
    uint32_t  capacity;

    /* Open addressing: number + 1, or 0; twice the capacity. */
    uint32_t *slots;
};


/* 1 if the row of that number has that key. */
typedef int (*id_table_match_pt)(const void *rows, uint32_t id,
                                 const void *key);


/* FNV-1a with a final mix. */
uint32_t id_table_hash(const void *data, size_t len);


/* The number of the row with the key, or ID_TABLE_NONE. */
uint32_t id_table_find(const struct id_table *table, uint32_t hash,
                       id_table_match_pt match, const void *rows,
                       const void *key);


/*
 * Adds a row that was not found, under the hash of its key; its number is n
 * from before. ID_TABLE_NONE if memory lacks.
 */
uint32_t id_table_add(struct id_table *table, uint32_t hash);


#endif /* NPROF_ID_TABLE_H */
