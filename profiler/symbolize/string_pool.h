
/*
 * Strings, each stored once and numbered in the order of their arrival; number
 * 0 is the empty string, which makes a pool a pprof string table.
 *
 * A pool lives in an arena and ends with it. One thread at a time.
 */


#ifndef NPROF_STRING_POOL_H
#define NPROF_STRING_POOL_H


#include "id_table.h"


#define STRING_POOL_NONE ID_TABLE_NONE


struct string_pool {
    struct id_table ids;

    /* NUL-terminated, by number; owned by the arena. */
    char   **texts;
    uint32_t capacity;
};


/* 0, or -ENOMEM. */
int string_pool_init(struct string_pool *pool, struct block_arena *arena);


/*
 * The number of a string, which is copied when it is new; NULL counts as the
 * empty one. STRING_POOL_NONE if memory lacks.
 */
uint32_t string_pool_add(struct string_pool *pool, const char *text);


#endif /* NPROF_STRING_POOL_H */
