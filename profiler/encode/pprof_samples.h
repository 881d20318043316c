
/*
 * The samples of a file: those of one profile or of several, equal ones made
 * one, with the locations of their frames; what of one is a span's is a sample
 * of its own. The export thread.
 */


#ifndef NPROF_PPROF_SAMPLES_H
#define NPROF_PPROF_SAMPLES_H


#include "../aggregate/stack_profile.h"
#include "pprof_tables.h"


struct pprof_sample {
    uint64_t *location_ids;
    uint32_t  n_locations;

    /* A string; 0 is no label. */
    uint32_t thread;

    /* A label set of that profile. */
    const struct stack_profile *profile;
    uint32_t                    labels;

    /* 0 is none. */
    uint64_t span;

    /* As many as the file has value types. */
    int64_t *values;
};


/* All zero but for the first two is one to begin with. */
struct pprof_samples {
    const struct stack_profile *const *profiles;
    uint32_t                           n_profiles;

    /* All else is in this arena. */
    struct block_arena *arena;

    /* Of the file: those of all profiles. */
    struct module_identity **modules;
    uint32_t                 n_modules;
    uint32_t                 n_value_types;

    /* Of each profile: the file's numbers of its modules. */
    uint32_t **module_numbers;

    struct id_table      ids;
    struct pprof_sample *rows;
    uint32_t             rows_capacity;
};


/* Finds modules and value types. 0 or -ENOMEM. */
int pprof_samples_init(struct pprof_samples *samples);

/* Reads the samples; tables are those of the file. 0 or -ENOMEM. */
int pprof_samples_read(struct pprof_samples *samples,
                       struct pprof_tables  *tables);


#endif /* NPROF_PPROF_SAMPLES_H */
