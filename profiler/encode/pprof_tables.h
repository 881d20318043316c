
/*
 * The tables that a pprof file's samples refer to: strings, mappings,
 * locations and functions, each thing once.
 *
 * Filled by pprof_encode.c in two steps: locations are numbered while the
 * samples are read, then all are named at once, module by module, as the
 * symbolizer wants it. Ids in the file are numbers here plus 1. Everything is
 * in one arena. The export thread.
 */


#ifndef NPROF_PPROF_TABLES_H
#define NPROF_PPROF_TABLES_H


#include "../aggregate/stack_profile.h"
#include "../symbolize/string_pool.h"
#include "../symbolize/symbolizer.h"
#include "mapping_layout.h"


struct pprof_line {
    uint32_t function;
    uint32_t line;
};


struct pprof_location {
    struct stack_frame frame;

    /* As the file has it: in the range of the mapping. */
    uint64_t address;
    uint32_t mapping;

    uint32_t           n_lines;
    struct pprof_line *lines;
};


/* The texts are numbers of the string pool. */
struct pprof_function {
    uint32_t name;
    uint32_t system_name;
    uint32_t file;
    uint32_t start_line;
};


struct pprof_mapping {
    /* The number of the module, or STACK_FRAME_NO_MODULE. */
    uint32_t             module;
    struct mapping_range range;

    /* Locations whose names tell about the module's symbols. */
    uint32_t n_locations;

    /* Of those: all have one. */
    uint8_t has_functions;
    uint8_t has_filenames;
    uint8_t has_line_numbers;
    uint8_t has_inline_frames;
};


struct pprof_tables {
    const struct stack_profile *profile;
    struct block_arena         *arena;
    struct string_pool          strings;

    struct id_table        location_ids;
    struct pprof_location *locations;
    uint32_t               locations_capacity;

    struct id_table        function_ids;
    struct pprof_function *functions;
    uint32_t               functions_capacity;

    /* [0] is the first module; frames without a module have the last one. */
    struct pprof_mapping *mappings;
    uint32_t              n_mappings;
};


/* 0, or -ENOMEM. The profile and the arena have to outlive the tables. */
int pprof_tables_init(struct pprof_tables        *tables,
                      const struct stack_profile *profile,
                      struct block_arena         *arena);


/*
 * The number of a string, made valid UTF-8, NULL counting as the empty one;
 * STRING_POOL_NONE: no memory.
 */
uint32_t pprof_tables_string(struct pprof_tables *tables, const char *text);


/* The number of the frame's location; ID_TABLE_NONE: no memory. */
uint32_t pprof_tables_location(struct pprof_tables      *tables,
                               const struct stack_frame *frame);


/* Makes mappings and functions of the locations. 0, or -ENOMEM. */
int pprof_tables_name(struct pprof_tables *tables,
                      struct symbolizer   *symbolizer);


#endif /* NPROF_PPROF_TABLES_H */
