
/*
 * The totals of all workers at the time when a window began: what it is
 * measured from. For each worker and type the values of each stack, by hash
 * (stack_parcel.h), without the stacks.
 *
 * A base is one piece of memory, so that it can be kept in the file of the
 * instance and read by another worker. One thread at a time; the export thread.
 * Memory: 24 bytes a stack of two values and worker, of its own.
 */


#ifndef NPROF_WINDOW_BASE_H
#define NPROF_WINDOW_BASE_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/id_table.h"


/* The worker of totals of those that left. */
#define WINDOW_BASE_TOTALS UINT64_C(0)

/* The kind of a worker that did not answer: what it had counted is unknown. */
#define WINDOW_BASE_UNKNOWN UINT32_MAX


/* What rows belong to; they follow it: a hash and n_values values each. */
struct base_source {
    uint64_t worker;
    uint32_t kind;
    uint32_t n_values;
    uint64_t n_rows;
};


/* All zero is an empty base. */
struct window_base {
    /* When it was taken. */
    int64_t realtime_ns;
    int64_t monotonic_ns;

    /* 0, or -ENOMEM: it is not whole. */
    int error;

    unsigned char *bytes;
    size_t         used;
    size_t         room;

    /* The place of the source that rows are added to. */
    size_t source;
};


void window_base_free(struct window_base *base);

/* Room for n more bytes. Returns 0 or -ENOMEM. */
int window_base_reserve(struct window_base *base, size_t n);

/* Begins a source. */
void window_base_source(struct window_base *base, uint64_t worker,
                        uint32_t kind, uint32_t n_values);

/* Adds a row to the source. */
void window_base_row(struct window_base *base, uint64_t hash,
                     const int64_t *values);

/* The source after that one, NULL: the first; NULL if there is none. */
const struct base_source *window_base_next(const struct window_base *base,
                                           const struct base_source *source);

/* Whether bytes that were read are sources and rows. */
bool window_base_check(const struct window_base *base);


/* Rows that can be found, those of several sources added up. */
struct base_sums {
    struct block_arena arena;
    struct id_table    ids;
    uint64_t          *hashes;
    uint32_t           hashes_room;
    int64_t (*values)[STACK_PROFILE_MAX_VALUES];
    uint32_t values_room;
};


void base_sums_init(struct base_sums *sums);
void base_sums_free(struct base_sums *sums);

/* Adds the rows of a source. Returns 0 or -ENOMEM. */
int base_sums_add(struct base_sums *sums, const struct base_source *source);

/* Takes what is known of the stack off values, once: nothing is left of it. */
void base_sums_take(struct base_sums *sums, uint64_t hash, int64_t *values);

/* Takes all that is left off values. */
void base_sums_take_rest(struct base_sums *sums, int64_t *values);


#endif /* NPROF_WINDOW_BASE_H */
