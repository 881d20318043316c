
/*
 * The samples of a file; see pprof_samples.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "pprof_samples.h"


/* The number of a module in the file, maybe a new one: the array has room. */
static uint32_t
module_number(struct pprof_samples *samples, struct module_identity *module)
{
    uint32_t i;

    for (i = 0; i < samples->n_modules; i++) {
        if (samples->modules[i] == module) {
            return i;
        }
    }

    samples->modules[i] = module;
    samples->n_modules++;

    return i;
}


int
pprof_samples_init(struct pprof_samples *samples)
{
    uint32_t                    i, p, n;
    const struct stack_profile *profile;

    n = 0;

    for (p = 0; p < samples->n_profiles; p++) {
        n += samples->profiles[p]->n_modules;
        samples->n_value_types += samples->profiles[p]->n_value_types;
    }

    samples->ids.arena = samples->arena;
    samples->modules
        = block_arena_alloc(samples->arena, n * sizeof(*samples->modules));
    samples->module_numbers = block_arena_alloc(
        samples->arena, samples->n_profiles * sizeof(uint32_t *));
    if (samples->modules == NULL || samples->module_numbers == NULL) {
        return -ENOMEM;
    }

    for (p = 0; p < samples->n_profiles; p++) {
        profile = samples->profiles[p];

        samples->module_numbers[p] = block_arena_alloc(
            samples->arena, profile->n_modules * sizeof(uint32_t));
        if (samples->module_numbers[p] == NULL) {
            return -ENOMEM;
        }

        for (i = 0; i < profile->n_modules; i++) {
            samples->module_numbers[p][i]
                = module_number(samples, profile->modules[i]);
        }
    }

    return 0;
}


static int
is_sample(const void *rows, uint32_t id, const void *key)
{
    const struct pprof_sample *a = rows, *b = key;

    a += id;

    return a->thread == b->thread && a->labels == b->labels
           && a->profile == b->profile && a->span == b->span
           && a->n_locations == b->n_locations
           && memcmp(a->location_ids, b->location_ids,
                     a->n_locations * sizeof(*a->location_ids))
                  == 0;
}


/* The row that has this stack, thread, labels and span, maybe a new one, or NULL. */
static struct pprof_sample *
row_of(struct pprof_samples *samples, const struct pprof_sample *key)
{
    uint32_t             hash, id;
    struct pprof_sample *rows;

    hash = id_table_hash(key->location_ids,
                         key->n_locations * sizeof(*key->location_ids))
           ^ key->thread ^ key->labels << 16 ^ (uint32_t) key->span;

    id = id_table_find(&samples->ids, hash, is_sample, samples->rows, key);
    if (id != ID_TABLE_NONE) {
        return &samples->rows[id];
    }

    rows = block_arena_room(samples->arena, samples->rows, samples->ids.n,
                            &samples->rows_capacity, sizeof(*rows));
    if (rows == NULL) {
        return NULL;
    }

    samples->rows = rows;
    rows += samples->ids.n;
    *rows = *key;
    rows->values = block_arena_alloc(
        samples->arena, samples->n_value_types * sizeof(*rows->values));

    return rows->values == NULL
                   || id_table_add(&samples->ids, hash) == ID_TABLE_NONE
               ? NULL
               : rows;
}


/* The frame as the file numbers modules. */
static struct stack_frame
frame_of(const struct pprof_samples *samples, uint32_t p,
         const struct stack_frame *frame)
{
    struct stack_frame own = *frame;

    if (own.module < samples->profiles[p]->n_modules) {
        own.module = samples->module_numbers[p][own.module];
    } else {
        own.module = STACK_FRAME_NO_MODULE;
    }

    return own;
}


/* The first profile that has the same label sets: so that equal sets are. */
static const struct stack_profile *
labels_profile(const struct pprof_samples *samples, uint32_t p)
{
    uint32_t i;

    for (i = 0;
         samples->profiles[i]->label_sets != samples->profiles[p]->label_sets;
         i++) {
    }

    return samples->profiles[i];
}


/*
 * Adds the n values of a sample, which go to columns from that one on: each span
 * gets its share, and what is left has no span.
 */
static int
values_add(struct pprof_samples *samples, struct pprof_sample *key,
           uint32_t column, uint32_t n, const struct profile_sample *sample)
{
    bool                 empty;
    int64_t              share, left[STACK_PROFILE_MAX_VALUES];
    uint32_t             i, s;
    struct pprof_sample *row;

    memcpy(left, sample->values, sizeof(left));

    for (s = 0; s < sample->n_spans && sample->span_ns > 0; s++) {
        key->span = sample->spans[s].span;
        row = row_of(samples, key);
        if (row == NULL) {
            return -ENOMEM;
        }

        for (i = 0; i < n; i++) {
            /* the product may have more than 64 bits */
            share = (int64_t) ((__int128) sample->values[i]
                               * sample->spans[s].ns / sample->span_ns);
            row->values[column + i] += share;
            left[i] -= share;
        }
    }

    empty = sample->n_spans != 0;

    for (i = 0; i < n; i++) {
        empty = empty && left[i] == 0;
    }

    key->span = 0;
    row = empty ? NULL : row_of(samples, key);

    for (i = 0; row != NULL && i < n; i++) {
        row->values[column + i] += left[i];
    }

    return empty || row != NULL ? 0 : -ENOMEM;
}


/* Adds a sample of profile p, whose values begin in that column. */
static int
sample_add(struct pprof_samples *samples, struct pprof_tables *tables,
           uint32_t p, uint32_t column, const struct profile_sample *sample)
{
    uint32_t            i, id;
    struct stack_frame  frame;
    struct pprof_sample key
        = {.n_locations = sample->n_frames, .labels = sample->labels};

    key.profile = labels_profile(samples, p);
    key.thread = pprof_tables_string(tables, sample->thread);
    key.location_ids = block_arena_alloc(
        samples->arena, sample->n_frames * sizeof(*key.location_ids));

    if (key.thread == STRING_POOL_NONE || key.location_ids == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < sample->n_frames; i++) {
        frame = frame_of(samples, p, &sample->frames[i]);
        id = pprof_tables_location(tables, &frame);
        if (id == ID_TABLE_NONE) {
            return -ENOMEM;
        }

        key.location_ids[i] = (uint64_t) id + 1;
    }

    return values_add(samples, &key, column,
                      samples->profiles[p]->n_value_types, sample);
}


int
pprof_samples_read(struct pprof_samples *samples, struct pprof_tables *tables)
{
    int                         rc = 0;
    size_t                      i;
    uint32_t                    p, column = 0;
    const struct stack_profile *profile;

    for (p = 0; p < samples->n_profiles; p++) {
        profile = samples->profiles[p];

        for (i = 0; rc == 0 && i < profile->n_samples; i++) {
            rc = sample_add(samples, tables, p, column, &profile->samples[i]);
        }

        column += profile->n_value_types;
    }

    return rc;
}
