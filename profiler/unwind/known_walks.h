
/*
 * Walks that reached the root, by what they read of their samples: registers,
 * and words of the stack. A sample that has the same in the same places has the
 * same frames, and needs no walk.
 *
 * For samples that repeat, as those of the heap do, which are all taken at one
 * instruction: a request allocates where the one before it did. To compare
 * thirty words takes a fraction of the time that to find them does.
 *
 * Profiler thread only. Memory: 32 sets of 16 walks, 1 MB, touched as they are
 * used; which set a walk is in depends on where its stack pointer is. In a full
 * one the oldest gives way. A walk with more frames or words than there is room
 * for is not known.
 */


#ifndef NPROF_KNOWN_WALKS_H
#define NPROF_KNOWN_WALKS_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sample/sample_record.h"
#include "stack_frame.h"


/* The deepest walk that can be known. */
#define KNOWN_WALK_FRAMES 40


struct known_walks;


/* NULL: no memory. */
struct known_walks *known_walks_create(void);

void known_walks_destroy(struct known_walks *walks);

/* Memory of those that were used once, bytes. */
size_t known_walks_memory(const struct known_walks *walks);

/* Forgets all: what modules there are has changed. */
void known_walks_flush(struct known_walks *walks);

/* The number of frames of the sample's walk, which are copied, or 0 if it is
   not known. frames has room for KNOWN_WALK_FRAMES. */
uint32_t known_walk_find(const struct known_walks   *walks,
                         const struct sample_record *record,
                         struct stack_frame         *frames);

/* A walk of the sample begins that is not known. */
void known_walk_begin(struct known_walks         *walks,
                      const struct sample_record *record);

/* It read a register of the sample, or a word of its stack. */
void known_walk_register(struct known_walks *walks, unsigned number);
void known_walk_word(struct known_walks *walks, uint64_t address,
                     uint64_t value);

/* It ended, at the root with these frames; none: somewhere else, or by what it
   could not read. */
void known_walk_end(struct known_walks *walks, const struct stack_frame *frames,
                    uint32_t n_frames);


#endif /* NPROF_KNOWN_WALKS_H */
