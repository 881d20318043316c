
/*
 * Inlined calls of a function (call_chain.h). The export thread.
 */


#include <dwarf.h>

#include "call_chain.h"


/* Blocks and inlined calls around an address; deeper ones are left out. */
#define BLOCKS_MAX 64

/* Of one function; forged sibling attributes can lead in a circle. */
#define DIES_MAX 1000000

/* Compared with one address; forged DIEs can share one long list. */
#define RANGES_MAX 500000


/* The walk of one function, for one address. */
struct call_walk {
    struct call_chain *chain;
    uint64_t           address;
    uint32_t           dies_left;
    uint32_t           ranges_left;
};


/* 1 if a range of the DIE holds the address: dwarf_haspc() has no bound. */
static int
has_address(struct call_walk *walk, Dwarf_Die *die)
{
    Dwarf_Addr base, start, end;
    ptrdiff_t  offset = 0;

    while (walk->ranges_left > 0
           && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
        walk->ranges_left--;

        if (start <= walk->address && walk->address < end) {
            return 1;
        }
    }

    return 0;
}


/* 1 if an inlined call or a block is to be looked into. */
static int
holds(struct call_walk *walk, Dwarf_Die *die, int tag)
{
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) {
        return 0;
    }

    if (has_address(walk, die)) {
        return 1;
    }

    /* A block for the sake of its variables' scope may have no addresses. */
    return tag == DW_TAG_lexical_block && !dwarf_hasattr(die, DW_AT_low_pc)
           && !dwarf_hasattr(die, DW_AT_ranges);
}


/* Appends the inlined calls below a DIE that hold the address; 1 if any. */
static int
follow_inlined(struct call_walk *walk, Dwarf_Die *parent, unsigned depth)
{
    int                tag;
    Dwarf_Die          die;
    struct call_chain *chain = walk->chain;

    if (depth > BLOCKS_MAX || dwarf_child(parent, &die) != 0) {
        return 0;
    }

    do {
        if (walk->dies_left == 0) {
            return 0;
        }

        walk->dies_left--;
        tag = dwarf_tag(&die);

        if (!holds(walk, &die, tag)) {
            continue;
        }

        if (tag == DW_TAG_inlined_subroutine) {
            if (chain->n < DWARF_LINES_MAX_FRAMES) {
                chain->dies[chain->n++] = die;
                follow_inlined(walk, &die, depth + 1);
            }
            return 1;
        }

        if (follow_inlined(walk, &die, depth + 1)) {
            return 1;
        }
    } while (dwarf_siblingof(&die, &die) == 0);

    return 0;
}


void
call_chain_follow(struct call_chain *chain, const Dwarf_Die *function,
                  uint64_t address)
{
    struct call_walk walk = {
        .chain = chain,
        .address = address,
        .dies_left = DIES_MAX,
        .ranges_left = RANGES_MAX,
    };

    chain->dies[0] = *function;
    chain->n = 1;
    follow_inlined(&walk, &chain->dies[0], 0);
}
