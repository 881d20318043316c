
/*
 * The calls that the compiler inlined around an address of a function.
 *
 * Debug information may be corrupt: the walk is bounded in depth and number.
 *
 * The export thread.
 */


#ifndef NPROF_CALL_CHAIN_H
#define NPROF_CALL_CHAIN_H


#include <elfutils/libdw.h>
#include <stdint.h>

#include "dwarf_lines.h"


/* The function at an address, then the inlined calls in it, inwards. */
struct call_chain {
    Dwarf_Die dies[DWARF_LINES_MAX_FRAMES];
    unsigned  n;
};


/*
 * Fills a chain, which begins with the function; calls beyond its room are left
 * out, the innermost ones.
 */
void call_chain_follow(struct call_chain *chain, const Dwarf_Die *function,
                       uint64_t address);


#endif /* NPROF_CALL_CHAIN_H */
