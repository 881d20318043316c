
/*
 * Which of many address ranges, that may nest and overlap, holds an address:
 * functions of a symbol table, compilation units, functions of a unit.
 *
 * Ranges are added, then the map is sealed: it becomes a sorted list of pieces
 * that do not overlap, in each of which the innermost range won. A look-up is
 * a binary search, whatever a corrupt file put into the ranges.
 *
 * One thread at a time. Memory: 40 bytes per range, from the map's own arena.
 */


#ifndef NPROF_INTERVAL_MAP_H
#define NPROF_INTERVAL_MAP_H


#include <stdint.h>

#include "block_arena.h"


#define INTERVAL_MAP_NONE UINT32_MAX


struct interval_range;
struct interval_piece;


/* All zero is an empty map that takes ranges. */
struct interval_map {
    struct block_arena arena;

    struct interval_range *ranges;
    uint32_t               n_ranges;
    uint32_t               capacity;

    struct interval_piece *pieces;
    uint32_t               n_pieces;
};


/*
 * Adds [start, end); an empty range is ignored. Of equal ranges that with the
 * lowest rank wins, then the one that came first. 0, or -ENOMEM.
 */
int interval_map_add(struct interval_map *map, uint64_t start, uint64_t end,
                     uint32_t value, uint32_t rank);


/* Makes the map ready for look-ups; nothing may be added after. 0, -ENOMEM. */
int interval_map_seal(struct interval_map *map);


/* The value of the innermost range that holds the address, or NONE. */
uint32_t interval_map_find(const struct interval_map *map, uint64_t address);


void interval_map_free(struct interval_map *map);


#endif /* NPROF_INTERVAL_MAP_H */
