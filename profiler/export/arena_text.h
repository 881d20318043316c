
/*
 * Texts in an arena.
 */


#ifndef NPROF_ARENA_TEXT_H
#define NPROF_ARENA_TEXT_H


#include "../symbolize/block_arena.h"


/* printf() into the arena; NULL if memory lacks. */
const char *arena_text(struct block_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* NPROF_ARENA_TEXT_H */
