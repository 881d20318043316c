
/*
 * One profile of many: adds up the samples of parcels (stack_parcel.h). What
 * has the same stack, thread and labels is one sample, wherever it came from.
 *
 * Samples are told apart by 64 bits of hash: of 100,000 different ones two are
 * taken for one in one of four billion profiles.
 *
 * Memory: all is in one arena, bounded by STACK_MERGE_SAMPLES and
 * STACK_MERGE_FRAMES; what is beyond them is counted under "[other]", so sums
 * are exact. Spans beyond STACK_MERGE_SPANS, twice 6 MB, are left out: their
 * samples' time is of no span then. One thread at a time; the export thread.
 */


#ifndef NPROF_STACK_MERGE_H
#define NPROF_STACK_MERGE_H


#include "../aggregate/stack_profile.h"
#include "../symbolize/string_pool.h"
#include "module_registry.h"
#include "stack_parcel.h"


#define STACK_MERGE_SAMPLES 24576
#define STACK_MERGE_FRAMES 491520
#define STACK_MERGE_SPANS 262144


struct stack_merge {
    struct module_registry *registry;
    struct block_arena      arena;

    struct id_table        sample_ids;
    struct profile_sample *samples;
    uint64_t              *hashes;
    uint32_t               samples_room;
    uint32_t               hashes_room;
    uint32_t               n_frames;
    uint32_t               n_spans;

    struct module_identity **modules;
    uint32_t                 n_modules;
    uint32_t                 modules_room;

    struct string_pool texts;

    struct id_table label_ids;
    struct label   *labels;
    uint32_t        labels_room;

    /* Of the parcel that is added: the numbers here of its numbers + 1. */
    struct block_arena source_arena;
    uint32_t          *module_numbers;
    uint32_t          *label_numbers;
    uint32_t           module_numbers_room;
    uint32_t           label_numbers_room;

    /* Added to the labels of what is added now, or NULL. */
    const char *mark_name;
    const char *mark_value;

    /* Shares of spans that are older (CLOCK_MONOTONIC) are left out. */
    int64_t spans_since_ns;

    /* What was counted under "[other]" for want of room. */
    uint64_t overflows;
};


/* main is the first module of the profile. Returns 0 or -ENOMEM. */
int stack_merge_init(struct stack_merge           *merge,
                     struct module_registry       *registry,
                     const struct module_identity *main);

void stack_merge_free(struct stack_merge *merge);

/* Samples of another parcel, or of another profile of it, follow. */
void stack_merge_source(struct stack_merge *merge);

/* Samples that follow get the label name=value too, unless name is NULL, until
   the next mark or source. Static strings. */
void stack_merge_mark(struct stack_merge *merge, const char *name,
                      const char *value);

/* Adds values of a sample. Returns 0 or -ENOMEM. */
int stack_merge_add(struct stack_merge         *merge,
                    const struct parcel_reader *reader,
                    const struct parcel_sample *sample, const int64_t *values);

/* Adds values to "[other]". Returns 0 or -ENOMEM. */
int stack_merge_other(struct stack_merge *merge, const int64_t *values);

/*
 * Takes out samples without values, and those whose counters (values that
 * are not in gauges, a set of bits) are negative: what was folded into
 * "[other]" since their base is taken from there.
 */
int stack_merge_settle(struct stack_merge *merge, uint32_t gauges);

/* Folds all but the samples largest in their last counter. */
int stack_merge_shrink(struct stack_merge *merge, uint32_t samples,
                       uint32_t gauges);

/* The samples as a profile, which lives as long as the merge; the caller sets
   types and times. */
void stack_merge_profile(struct stack_merge   *merge,
                         struct stack_profile *profile);


#endif /* NPROF_STACK_MERGE_H */
