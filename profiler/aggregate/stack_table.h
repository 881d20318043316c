
/*
 * The cumulative table of a worker: how often each stack was seen, and what it
 * cost, from the worker's start on. Nothing is ever taken out or set back, so
 * a profile over a window is the difference of two snapshots, and any number
 * of readers have windows of their own.
 *
 * Profiler thread only. Bounds: STACK_TABLE_MAX stacks and
 * STACK_TABLE_FRAMES_MAX frames in all, 8 bytes each; a stack beyond them is
 * counted under its thread's "[other]".
 */


#ifndef NPROF_STACK_TABLE_H
#define NPROF_STACK_TABLE_H


#include <stddef.h>
#include <stdint.h>

#include "../unwind/module_table.h"
#include "stack_profile.h"


#define STACK_TABLE_MAX 16384
#define STACK_TABLE_FRAMES_MAX (384 * 1024)

/* Names of threads that are told apart, and one place for samples of the
   others, which have none. */
#define STACK_TABLE_THREADS 256


/* The values of a CPU stack. */
enum {
    CPU_SAMPLES = 0,
    CPU_NANOSECONDS,
    CPU_VALUES
};


struct stack_table;

/* The values of all stacks at one time. */
struct stack_snapshot;


/* NULL if there is no memory. modules outlives the table. */
struct stack_table *stack_table_create(const struct module_table *modules);

void stack_table_destroy(struct stack_table *table);

/*
 * Adds samples and nanoseconds to the stack of n_frames frames, leaf first,
 * of the thread of that name.
 */
void stack_table_add(struct stack_table *table, const char *thread,
                     const struct stack_frame *frames, uint32_t n_frames,
                     int64_t samples, int64_t nanoseconds);

/* Stacks in the table, and samples that went to "[other]". */
uint32_t stack_table_used(const struct stack_table *table);
uint64_t stack_table_overflows(const struct stack_table *table);

/* NULL if there is no memory; freed by stack_snapshot_free(). */
struct stack_snapshot *stack_table_snapshot(const struct stack_table *table);

void stack_snapshot_free(struct stack_snapshot *snapshot);

/*
 * Makes the profile of what was added since the snapshot. The caller sets
 * period, time and duration. NULL if there is no memory; freed by
 * stack_profile_free(). The profile is independent of the table, but for the
 * modules' identities, which are as old as the process.
 */
struct stack_profile *stack_table_profile(const struct stack_table    *table,
                                          const struct stack_snapshot *since);

/* Any thread: the profile's owner. */
void stack_profile_free(struct stack_profile *profile);


#endif /* NPROF_STACK_TABLE_H */
