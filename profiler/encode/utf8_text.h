
/*
 * Text that is valid UTF-8, as proto3 wants its strings: decoders refuse a
 * whole profile for one bad byte in a symbol.
 */


#ifndef NPROF_UTF8_TEXT_H
#define NPROF_UTF8_TEXT_H


#include "../symbolize/block_arena.h"


/*
 * The text itself if it is valid, else a copy in the arena with U+FFFD for
 * every byte that is not; NULL if memory lacks.
 */
const char *utf8_text(const char *text, struct block_arena *arena);


#endif /* NPROF_UTF8_TEXT_H */
