
/*
 * Nested address ranges (interval_map.h). Any thread, one at a time.
 */


#include <errno.h>
#include <stdlib.h>

#include "interval_map.h"


struct interval_range {
    uint64_t start;
    uint64_t end;
    uint32_t value;
    uint32_t rank;

    /* The order of arrival: qsort() is not stable. */
    uint32_t order;
};


struct interval_piece {
    uint64_t start;
    uint64_t end;
    uint32_t value;
};


int
interval_map_add(struct interval_map *map, uint64_t start, uint64_t end,
                 uint32_t value, uint32_t rank)
{
    struct interval_range *range;

    if (start >= end) {
        return 0;
    }

    range = block_arena_room(&map->arena, map->ranges, map->n_ranges,
                             &map->capacity, sizeof(*range));
    if (range == NULL) {
        return -ENOMEM;
    }

    map->ranges = range;

    range = &map->ranges[map->n_ranges];
    range->start = start;
    range->end = end;
    range->value = value;
    range->rank = rank;
    range->order = map->n_ranges++;

    return 0;
}


/* Outer ranges before inner ones, of equal ones the winner last. */
static int
compare(const void *a, const void *b)
{
    const struct interval_range *x = a, *y = b;

    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }

    if (x->end != y->end) {
        return x->end > y->end ? -1 : 1;
    }

    if (x->rank != y->rank) {
        return x->rank > y->rank ? -1 : 1;
    }

    return x->order > y->order ? -1 : 1;
}


static void
emit(struct interval_map *map, uint64_t *from, uint64_t to, uint32_t value)
{
    struct interval_piece *piece;

    if (*from >= to) {
        return;
    }

    piece = &map->pieces[map->n_pieces++];
    piece->start = *from;
    piece->end = to;
    piece->value = value;
    *from = to;
}


/*
 * One pass over the sorted ranges with a stack of those that are open: what
 * lies between two events belongs to the top of the stack. A range emits once
 * when an inner one opens or it ends, so there are at most two pieces a range.
 */
static void
cut(struct interval_map *map, uint32_t *open)
{
    uint32_t                     i, depth = 0;
    uint64_t                     at = 0;
    const struct interval_range *r = map->ranges;

    for (i = 0; i < map->n_ranges; i++) {
        while (depth > 0 && r[open[depth - 1]].end <= r[i].start) {
            depth--;
            emit(map, &at, r[open[depth]].end, r[open[depth]].value);
        }

        if (depth > 0) {
            emit(map, &at, r[i].start, r[open[depth - 1]].value);
        }

        at = r[i].start;
        open[depth++] = i;
    }

    while (depth > 0) {
        depth--;
        emit(map, &at, r[open[depth]].end, r[open[depth]].value);
    }
}


int
interval_map_seal(struct interval_map *map)
{
    uint32_t          *open;
    struct block_arena sorted = {0}, work = {0};

    if (map->n_ranges == 0) {
        return 0;
    }

    map->pieces = block_arena_alloc(&sorted, 2 * (size_t) map->n_ranges
                                                 * sizeof(*map->pieces));
    open = block_arena_alloc(&work, map->n_ranges * sizeof(*open));

    if (map->pieces == NULL || open == NULL) {
        block_arena_free(&sorted);
        block_arena_free(&work);
        map->pieces = NULL;
        return -ENOMEM;
    }

    qsort(map->ranges, map->n_ranges, sizeof(*map->ranges), compare);
    cut(map, open);

    block_arena_free(&work);
    block_arena_free(&map->arena);
    map->arena = sorted;
    map->ranges = NULL;

    return 0;
}


uint32_t
interval_map_find(const struct interval_map *map, uint64_t address)
{
    uint32_t low = 0, high = map->n_pieces, mid;

    while (low < high) {
        mid = low + (high - low) / 2;

        if (map->pieces[mid].end <= address) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }

    if (low == map->n_pieces || map->pieces[low].start > address) {
        return INTERVAL_MAP_NONE;
    }

    return map->pieces[low].value;
}


void
interval_map_free(struct interval_map *map)
{
    block_arena_free(&map->arena);
    *map = (struct interval_map){0};
}
