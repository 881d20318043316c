
/*
 * Lines and inlined calls (dwarf_lines.h). The export thread.
 */


#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call_chain.h"
#include "debug_sections.h"
#include "dwarf_lines.h"
#include "interval_map.h"


/* Namespaces and classes around a function. */
#define CONTAINERS_MAX 16

/*
 * Of one unit; C++ units of large programs have some hundred thousand. Forged
 * sibling attributes can make a tree of any size of a few DIEs.
 */
#define DIES_MAX 1000000

/*
 * Address ranges of the units of a file, and of its functions; forged DIEs can
 * share one long list.
 */
#define RANGES_MAX 500000

/* Of one file; libdw keeps a kilobyte of each that it was asked for. */
#define UNITS_MAX 100000


struct debug_file {
    struct debug_sections sections;
    Elf                  *elf;
    Dwarf                *dwarf;
};


struct unit {
    Dwarf_Off die;

    /* Offsets of functions in .debug_info; made when first asked for. */
    struct interval_map functions;
    int                 indexed;
};


struct dwarf_lines {
    struct debug_file file;
    struct debug_file shared;

    /* Indexes of units, by the ranges that .debug_aranges has of them. */
    struct interval_map summary;

    /* The same by the units' own ranges; made when the summary lacks one. */
    struct interval_map own;
    int                 has_own;

    struct unit       *units;
    uint32_t           n_units;
    uint32_t           capacity;
    struct block_arena arena;

    /* Of the functions of all units that are indexed. */
    uint32_t n_ranges;
};


/* The walk of one unit that collects its functions. */
struct function_walk {
    struct interval_map *functions;
    uint32_t             dies_left;
    uint32_t             n_ranges;
};


static int
open_debug_file(struct debug_file *debug, const struct elf_file *file)
{
    int rc;

    rc = debug_sections_load(&debug->sections, file);
    if (rc != 0) {
        return rc;
    }

    debug->elf = elf_memory(debug->sections.image, debug->sections.size);
    if (debug->elf == NULL) {
        return -ENOEXEC;
    }

    debug->dwarf = dwarf_begin_elf(debug->elf, DWARF_C_READ, NULL);

    return debug->dwarf != NULL ? 0 : -ENOEXEC;
}


static void
close_debug_file(struct debug_file *debug)
{
    dwarf_end(debug->dwarf);
    elf_end(debug->elf);
    debug_sections_free(&debug->sections);
}


/* Adds all address ranges of a DIE, and counts them. */
static int
add_ranges(struct interval_map *map, Dwarf_Die *die, uint32_t value,
           uint32_t *n_ranges)
{
    int        rc = 0;
    Dwarf_Addr base, start, end;
    ptrdiff_t  offset = 0;

    while (rc == 0
           && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
        rc = ++*n_ranges > RANGES_MAX
                 ? -E2BIG
                 : interval_map_add(map, start, end, value, 0);
    }

    return rc;
}


/* The index of a new unit, or INTERVAL_MAP_NONE if memory lacks. */
static uint32_t
add_unit(struct dwarf_lines *lines, Dwarf_Off die)
{
    struct unit *units;

    units = block_arena_room(&lines->arena, lines->units, lines->n_units,
                             &lines->capacity, sizeof(*units));
    if (units == NULL) {
        return INTERVAL_MAP_NONE;
    }

    lines->units = units;
    lines->units[lines->n_units].die = die;

    return lines->n_units++;
}


/*
 * Units by .debug_aranges, which is quick to read and leaves the units alone:
 * libdw keeps some kilobytes of each that it looked into.
 */
static int
index_summary(struct dwarf_lines *lines)
{
    int            rc = 0;
    size_t         i, n = 0;
    uint32_t       unit = INTERVAL_MAP_NONE;
    Dwarf_Off      die, last = 0;
    Dwarf_Addr     start;
    Dwarf_Word     length;
    Dwarf_Aranges *ranges;

    if (dwarf_getaranges(lines->file.dwarf, &ranges, &n) != 0) {
        n = 0;
    }

    for (i = 0; rc == 0 && i < n && i < RANGES_MAX; i++) {
        if (dwarf_getarangeinfo(dwarf_onearange(ranges, i), &start, &length,
                                &die)
            != 0) {
            continue;
        }

        if (unit == INTERVAL_MAP_NONE || die != last) {
            unit = add_unit(lines, die);
            last = die;
        }

        rc = unit == INTERVAL_MAP_NONE
                 ? -ENOMEM
                 : interval_map_add(&lines->summary, start, start + length,
                                    unit, 0);
    }

    return rc == 0 ? interval_map_seal(&lines->summary) : rc;
}


/* Units by their own ranges: clang and link-time optimization make no others. */
static int
index_units(struct dwarf_lines *lines)
{
    int       rc = 0;
    uint32_t  i, n_units = 0, n_ranges = 0;
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;

    /* No split unit is asked for: libdw would look for its file. */
    while (rc == 0
           && dwarf_get_units(lines->file.dwarf, unit, &unit, NULL, NULL, &die,
                              NULL)
                  == 0) {
        if (++n_units > UNITS_MAX) {
            return -E2BIG;
        }

        switch (dwarf_tag(&die)) {
        case DW_TAG_compile_unit:
        case DW_TAG_skeleton_unit:
            i = add_unit(lines, dwarf_dieoffset(&die));
            rc = i == INTERVAL_MAP_NONE
                     ? -ENOMEM
                     : add_ranges(&lines->own, &die, i, &n_ranges);
        }
    }

    return rc == 0 ? interval_map_seal(&lines->own) : rc;
}


/* The unit that holds an address, or NULL. */
static struct unit *
find_unit(struct dwarf_lines *lines, uint64_t address)
{
    uint32_t i;

    i = interval_map_find(&lines->summary, address);

    if (i == INTERVAL_MAP_NONE) {
        if (!lines->has_own) {
            lines->has_own = 1;
            if (index_units(lines) != 0) {
                interval_map_free(&lines->own);
            }
        }

        i = interval_map_find(&lines->own, address);
    }

    return i == INTERVAL_MAP_NONE ? NULL : &lines->units[i];
}


static int
open_all(struct dwarf_lines *lines, const struct elf_file *file,
         const struct elf_file *shared)
{
    int rc;

    rc = open_debug_file(&lines->file, file);
    if (rc != 0) {
        return rc;
    }

    /* Without the shared part names are missing, but lines are right. */
    if (shared != NULL && open_debug_file(&lines->shared, shared) == 0) {
        dwarf_setalt(lines->file.dwarf, lines->shared.dwarf);
    }

    return index_summary(lines);
}


int
dwarf_lines_open(struct dwarf_lines **out, const struct elf_file *file,
                 const struct elf_file *shared)
{
    int                 rc;
    struct dwarf_lines *lines;

    elf_version(EV_CURRENT);

    lines = calloc(1, sizeof(*lines));
    if (lines == NULL) {
        return -ENOMEM;
    }

    rc = open_all(lines, file, shared);
    if (rc != 0) {
        dwarf_lines_close(lines);
        return rc;
    }

    *out = lines;

    return 0;
}


void
dwarf_lines_close(struct dwarf_lines *lines)
{
    uint32_t i;

    for (i = 0; i < lines->n_units; i++) {
        interval_map_free(&lines->units[i].functions);
    }

    interval_map_free(&lines->summary);
    interval_map_free(&lines->own);
    block_arena_free(&lines->arena);
    close_debug_file(&lines->file);
    close_debug_file(&lines->shared);
    free(lines);
}


static int
is_container(int tag)
{
    switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
        return 1;
    }

    return 0;
}


static int
collect_functions(struct function_walk *walk, Dwarf_Die *parent, unsigned depth)
{
    int       rc = 0, tag;
    Dwarf_Die die;

    if (depth > CONTAINERS_MAX || dwarf_child(parent, &die) != 0) {
        return 0;
    }

    do {
        if (walk->dies_left-- == 0) {
            return -E2BIG;
        }

        tag = dwarf_tag(&die);

        if (tag == DW_TAG_subprogram) {
            rc = add_ranges(walk->functions, &die,
                            (uint32_t) dwarf_dieoffset(&die), &walk->n_ranges);
        }

        if (rc == 0 && is_container(tag)) {
            rc = collect_functions(walk, &die, depth + 1);
        }
    } while (rc == 0 && dwarf_siblingof(&die, &die) == 0);

    return rc;
}


/* A unit that is too large or corrupt keeps its lines, without functions. */
static void
index_functions(struct dwarf_lines *lines, struct unit *unit, Dwarf_Die *die)
{
    struct function_walk walk;

    unit->indexed = 1;
    walk.functions = &unit->functions;
    walk.dies_left = DIES_MAX;
    walk.n_ranges = lines->n_ranges;

    if (collect_functions(&walk, die, 0) != 0
        || interval_map_seal(&unit->functions) != 0) {
        interval_map_free(&unit->functions);
        return;
    }

    lines->n_ranges = walk.n_ranges;
}


static const char *
name_of(Dwarf_Die *die)
{
    unsigned         i;
    const char      *name;
    Dwarf_Attribute  attribute;
    static const int names[]
        = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name};

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        name = dwarf_formstring(
            dwarf_attr_integrate(die, (unsigned) names[i], &attribute));

        if (name != NULL && name[0] != '\0') {
            return name;
        }
    }

    return NULL;
}


static uint32_t
number_of(Dwarf_Die *die, unsigned attribute_name)
{
    Dwarf_Word      value;
    Dwarf_Attribute attribute;

    if (dwarf_formudata(dwarf_attr_integrate(die, attribute_name, &attribute),
                        &value)
            != 0
        || value > INT32_MAX) {
        return 0;
    }

    return (uint32_t) value;
}


static const char *
call_file(Dwarf_Die *unit, Dwarf_Die *call)
{
    size_t       n;
    uint32_t     i;
    Dwarf_Files *files;

    i = number_of(call, DW_AT_call_file);

    if (dwarf_getsrcfiles(unit, &files, &n) != 0 || i >= n) {
        return NULL;
    }

    return dwarf_filesrc(files, i, NULL, NULL);
}


/* The line table's row for the address. */
static void
source_of(Dwarf_Die *unit, uint64_t address, struct dwarf_frame *frame)
{
    int         line;
    Dwarf_Line *row;

    row = dwarf_getsrc_die(unit, address);

    if (row != NULL) {
        frame->file = dwarf_linesrc(row, NULL, NULL);

        if (dwarf_lineno(row, &line) == 0 && line > 0) {
            frame->line = (uint32_t) line;
        }
    }
}


/* libdw leaves a name relative if the folder of the compilation is. */
static void
add_folders(Dwarf_Die *unit, struct dwarf_frame *frames, unsigned n)
{
    unsigned        i;
    const char     *folder;
    Dwarf_Attribute attribute;

    folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));

    for (i = 0; i < n; i++) {
        if (frames[i].file != NULL && frames[i].file[0] != '/') {
            frames[i].folder = folder != NULL ? folder : ".";
        }
    }
}


static unsigned
describe(struct call_chain *chain, Dwarf_Die *unit, uint64_t address,
         struct dwarf_frame *frames)
{
    unsigned   i, n = chain->n ? chain->n : 1;
    Dwarf_Die *die;

    memset(frames, 0, n * sizeof(*frames));
    source_of(unit, address, &frames[0]);

    if (chain->n == 0 && frames[0].file == NULL) {
        return 0;
    }

    for (i = 0; i < chain->n; i++) {
        die = &chain->dies[chain->n - 1 - i];
        frames[i].function = name_of(die);
        frames[i].start_line = number_of(die, DW_AT_decl_line);

        /* The place of a call is where its caller is. */
        if (i + 1 < chain->n) {
            frames[i + 1].file = call_file(unit, die);
            frames[i + 1].line = number_of(die, DW_AT_call_line);
        }
    }

    add_folders(unit, frames, n);

    return n;
}


unsigned
dwarf_lines_find(struct dwarf_lines *lines, uint64_t address,
                 struct dwarf_frame frames[DWARF_LINES_MAX_FRAMES])
{
    uint32_t          offset;
    Dwarf_Die         die, function;
    struct unit      *unit;
    struct call_chain chain;

    unit = find_unit(lines, address);

    if (unit == NULL
        || dwarf_offdie(lines->file.dwarf, unit->die, &die) == NULL) {
        return 0;
    }

    if (!unit->indexed) {
        index_functions(lines, unit, &die);
    }

    chain.n = 0;
    offset = interval_map_find(&unit->functions, address);

    if (offset != INTERVAL_MAP_NONE
        && dwarf_offdie(lines->file.dwarf, offset, &function) != NULL) {
        call_chain_follow(&chain, &function, address);
    }

    return describe(&chain, &die, address, frames);
}
