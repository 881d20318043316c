
/*
 * What walks have read; see known_walks.h.
 */


#include <stdlib.h>
#include <string.h>

#include "known_walks.h"
#include "unwind_access.h"


#define KNOWN_WALKS_SETS 32
#define KNOWN_WALKS_OF_A_SET 16

#define KNOWN_WALK_WORDS 64


struct known_word {
    uint64_t address;
    uint64_t value;
};


struct known_walk {
    /* It counts if this is the current one. */
    uint64_t generation;

    /* It was written to once. */
    bool used;

    /* A bit for each register that was read. */
    uint32_t registers_read;

    uint32_t n_words;
    uint32_t n_frames;

    /* All of the sample's. */
    uint64_t registers[SAMPLE_REGISTERS];

    /* In the order in which they were read: from the leaf on. */
    struct known_word words[KNOWN_WALK_WORDS];

    struct stack_frame frames[KNOWN_WALK_FRAMES];
};


struct known_walks {
    /* One more with each flush, so that what was never used needs no memory. */
    uint64_t generation;

    /* Walks that have memory. */
    unsigned n_used;

    /* The walk that goes on now, or NULL. */
    struct known_walk *current;

    /* Which one of a set is the oldest. */
    uint8_t oldest[KNOWN_WALKS_SETS];

    struct known_walk walks[KNOWN_WALKS_SETS][KNOWN_WALKS_OF_A_SET];
};


struct known_walks *
known_walks_create(void)
{
    struct known_walks *walks;

    walks = calloc(1, sizeof(*walks));

    if (walks != NULL) {
        walks->generation = 1;
    }

    return walks;
}


void
known_walks_destroy(struct known_walks *walks)
{
    free(walks);
}


void
known_walks_flush(struct known_walks *walks)
{
    walks->generation++;
}


size_t
known_walks_memory(const struct known_walks *walks)
{
    return walks->n_used * sizeof(struct known_walk);
}


static unsigned
set_of(const struct sample_record *record)
{
    uint64_t hash;

    hash = record->registers[SAMPLE_REG_RSP] * 0x9e3779b97f4a7c15u;
    hash ^= record->registers[SAMPLE_REG_RIP] * 0xbf58476d1ce4e5b9u;

    return (unsigned) (hash >> 40) % KNOWN_WALKS_SETS;
}


static bool
registers_match(const struct known_walk    *walk,
                const struct sample_record *record)
{
    unsigned i;
    uint32_t left;

    for (left = walk->registers_read; left != 0; left &= left - 1) {
        i = (unsigned) __builtin_ctz(left);

        if (walk->registers[i] != record->registers[i]) {
            return false;
        }
    }

    return true;
}


static bool
words_match(const struct known_walk *walk, const struct sample_record *record)
{
    uint32_t i;
    uint64_t value;

    for (i = 0; i < walk->n_words; i++) {
        if (!unwind_access_stack(record, walk->words[i].address, &value)
            || value != walk->words[i].value) {
            return false;
        }
    }

    return true;
}


uint32_t
known_walk_find(const struct known_walks   *walks,
                const struct sample_record *record, struct stack_frame *frames)
{
    unsigned                 i;
    const struct known_walk *set, *walk;

    set = walks->walks[set_of(record)];

    for (i = 0; i < KNOWN_WALKS_OF_A_SET; i++) {
        walk = &set[i];

        if (walk->generation == walks->generation
            && registers_match(walk, record) && words_match(walk, record)) {
            memcpy(frames, walk->frames, walk->n_frames * sizeof(*frames));
            return walk->n_frames;
        }
    }

    return 0;
}


void
known_walk_begin(struct known_walks *walks, const struct sample_record *record)
{
    unsigned           set;
    struct known_walk *walk;

    set = set_of(record);
    walk = &walks->walks[set][walks->oldest[set]];
    walks->n_used += !walk->used;
    walk->used = true;
    walk->generation = 0;
    walk->registers_read = 0;
    walk->n_words = 0;
    memcpy(walk->registers, record->registers, sizeof(walk->registers));
    walks->current = walk;
}


void
known_walk_register(struct known_walks *walks, unsigned number)
{
    if (walks->current != NULL) {
        walks->current->registers_read |= 1u << number;
    }
}


void
known_walk_word(struct known_walks *walks, uint64_t address, uint64_t value)
{
    struct known_walk *walk;

    walk = walks->current;

    /* return addresses are read more than once */
    if (walk == NULL
        || (walk->n_words != 0
            && walk->words[walk->n_words - 1].address == address)) {
        return;
    }

    if (walk->n_words == KNOWN_WALK_WORDS) {
        walks->current = NULL;
        return;
    }

    walk->words[walk->n_words].address = address;
    walk->words[walk->n_words].value = value;
    walk->n_words++;
}


void
known_walk_end(struct known_walks *walks, const struct stack_frame *frames,
               uint32_t n_frames)
{
    unsigned           set;
    struct known_walk *walk;

    walk = walks->current;
    walks->current = NULL;

    if (walk == NULL || n_frames == 0 || n_frames > KNOWN_WALK_FRAMES) {
        return;
    }

    memcpy(walk->frames, frames, n_frames * sizeof(*frames));
    walk->n_frames = n_frames;
    walk->generation = walks->generation;

    set = (unsigned) ((walk - walks->walks[0]) / KNOWN_WALKS_OF_A_SET);
    walks->oldest[set]
        = (uint8_t) ((walks->oldest[set] + 1) % KNOWN_WALKS_OF_A_SET);
}
