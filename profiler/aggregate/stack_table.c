
/*
 * An open-addressing hash table of stacks; see stack_table.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../nprof_clock.h"
#include "../sample/label_set.h"
#include "../sample/thread_slot.h"
#include "../unwind/stack_unwind.h"
#include "span_log.h"
#include "stack_table.h"


/*
 * A frame in 8 bytes: kind in the top 8 bits, module in the next 16, and the
 * offset in the module's executable segment in 40.
 */
#define PACK_KIND_SHIFT 56
#define PACK_MODULE_SHIFT 40
#define PACK_NO_MODULE 0xffffu
#define PACK_OFFSET_MASK ((1ull << PACK_MODULE_SHIFT) - 1)


struct stack_entry {
    uint64_t hash;

    /* An index of packed, and of threads. */
    uint32_t first_frame;
    uint16_t n_frames;
    uint16_t thread;

    /* A label set. */
    uint32_t labels;

    /* The thread's "[other]". */
    bool other;
};


/* What stacks are told apart by; thread is an index of threads. */
struct stack_key {
    const uint64_t *packed;
    uint32_t        n;
    uint32_t        labels;
    uint16_t        thread;
};


struct stack_table {
    const struct module_table *modules;
    struct stack_table_shape   shape;

    struct stack_entry *entries;
    uint32_t            n_entries;

    /* shape.n_values of each entry. */
    int64_t *values;

    uint64_t *packed;
    uint32_t  n_packed;

    /* 1 + an index of entries, or 0; twice the entries, so that probes stay
       short. */
    uint32_t *hash;
    uint32_t  hash_mask;

    char     threads[STACK_TABLE_THREADS][THREAD_NAME_MAX];
    uint16_t n_threads;

    uint64_t overflows;

    /* NULL: spans are not kept. */
    struct span_log *spans;
};


struct stack_table *
stack_table_create(const struct module_table      *modules,
                   const struct stack_table_shape *shape)
{
    struct stack_table *table;

    table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }

    /* large, and so mapped: pages that were never used cost nothing */
    table->modules = modules;
    table->shape = *shape;
    table->hash_mask = shape->stacks_max * 2 - 1;
    table->entries = calloc(shape->stacks_max, sizeof(table->entries[0]));
    table->values = calloc((size_t) shape->stacks_max * shape->n_values,
                           sizeof(table->values[0]));
    table->packed = calloc(shape->frames_max, sizeof(table->packed[0]));
    table->hash = calloc(table->hash_mask + 1, sizeof(table->hash[0]));

    if (table->entries == NULL || table->values == NULL || table->packed == NULL
        || table->hash == NULL) {
        stack_table_destroy(table);
        return NULL;
    }

    return table;
}


void
stack_table_destroy(struct stack_table *table)
{
    free(table->entries);
    free(table->values);
    free(table->packed);
    free(table->hash);
    span_log_destroy(table->spans);
    free(table);
}


static uint64_t
frame_pack(const struct module_table *modules, const struct stack_frame *frame)
{
    uint64_t packed;

    packed = (uint64_t) frame->kind << PACK_KIND_SHIFT;

    if (frame->module == STACK_FRAME_NO_MODULE) {
        return packed | (uint64_t) PACK_NO_MODULE << PACK_MODULE_SHIFT;
    }

    return packed | (uint64_t) frame->module << PACK_MODULE_SHIFT
           | ((frame->address - modules->identities[frame->module]->text_start)
              & PACK_OFFSET_MASK);
}


static void
frame_unpack(const struct module_table *modules, uint64_t packed,
             struct stack_frame *frame)
{
    uint32_t module;

    module = (uint32_t) (packed >> PACK_MODULE_SHIFT) & 0xffff;
    frame->kind = (uint32_t) (packed >> PACK_KIND_SHIFT);

    if (module == PACK_NO_MODULE) {
        frame->module = STACK_FRAME_NO_MODULE;
        frame->address = 0;
        return;
    }

    frame->module = module;
    frame->address
        = (packed & PACK_OFFSET_MASK) + modules->identities[module]->text_start;
}


static uint16_t
thread_index(struct stack_table *table, const char *name)
{
    uint16_t i;

    for (i = 0; i < table->n_threads; i++) {
        if (strcmp(table->threads[i], name) == 0) {
            return i;
        }
    }

    /* the last place has no name: better none than another thread's */
    if (i == STACK_TABLE_THREADS - 1) {
        return i;
    }

    strncpy(table->threads[i], name, THREAD_NAME_MAX - 1);
    table->n_threads++;

    return i;
}


/* A multiply-and-rotate hash over whole words; seeds need not be secret. */
static uint64_t
stack_hash(const struct stack_key *key)
{
    uint32_t i;
    uint64_t hash;

    hash = ((uint64_t) key->labels << 16 | key->thread) + 0x9e3779b97f4a7c15ull;

    for (i = 0; i < key->n; i++) {
        hash = (hash ^ key->packed[i]) * 0xff51afd7ed558ccdull;
        hash ^= hash >> 32;
    }

    return hash;
}


/* The place in hash[] of the stack, or the free one where it belongs. */
static uint32_t *
stack_find(struct stack_table *table, const struct stack_key *key,
           uint64_t hash)
{
    uint32_t            at;
    struct stack_entry *entry;

    for (at = (uint32_t) hash & table->hash_mask; table->hash[at] != 0;
         at = (at + 1) & table->hash_mask) {
        entry = &table->entries[table->hash[at] - 1];

        if (entry->hash == hash && entry->thread == key->thread
            && entry->labels == key->labels && entry->n_frames == key->n
            && memcmp(&table->packed[entry->first_frame], key->packed,
                      key->n * sizeof(key->packed[0]))
                   == 0) {
            break;
        }
    }

    return &table->hash[at];
}


/* The entry of the stack, made if need be; NULL if the table is full. */
static struct stack_entry *
stack_entry_of(struct stack_table *table, const struct stack_key *key,
               bool reserve)
{
    uint32_t            entries_max, frames_max;
    uint32_t           *place;
    uint64_t            hash;
    struct stack_entry *entry;

    hash = stack_hash(key);
    place = stack_find(table, key, hash);

    if (*place != 0) {
        return &table->entries[*place - 1];
    }

    /* each thread's "[other]" has its place kept */
    entries_max = table->shape.stacks_max - (reserve ? 0 : STACK_TABLE_THREADS);
    frames_max = table->shape.frames_max - (reserve ? 0 : STACK_TABLE_THREADS);

    if (table->n_entries >= entries_max
        || table->n_packed + key->n > frames_max) {
        return NULL;
    }

    entry = &table->entries[table->n_entries++];
    entry->hash = hash;
    entry->thread = key->thread;
    entry->labels = key->labels;
    entry->first_frame = table->n_packed;
    entry->n_frames = (uint16_t) key->n;

    memcpy(&table->packed[table->n_packed], key->packed,
           key->n * sizeof(key->packed[0]));
    table->n_packed += key->n;

    *place = table->n_entries;

    return entry;
}


/* The thread's "[other]"; NULL if even its place is taken. */
static struct stack_entry *
stack_entry_other(struct stack_table *table, uint16_t thread)
{
    uint64_t            packed;
    struct stack_entry *entry;

    const struct stack_frame frame = {
        .module = STACK_FRAME_NO_MODULE,
        .kind = STACK_FRAME_OTHER,
    };

    const struct stack_key key = {.packed = &packed, .n = 1, .thread = thread};

    packed = frame_pack(table->modules, &frame);
    entry = stack_entry_of(table, &key, true);

    if (entry != NULL) {
        entry->other = true;
    }

    return entry;
}


uint32_t
stack_table_find(struct stack_table *table, const char *thread, uint32_t labels,
                 const struct stack_frame *frames, uint32_t n_frames)
{
    uint32_t            i;
    uint64_t            packed[STACK_UNWIND_MAX + 2];
    struct stack_key    key;
    struct stack_entry *entry;

    for (i = 0; i < n_frames && i < STACK_UNWIND_MAX + 2; i++) {
        packed[i] = frame_pack(table->modules, &frames[i]);
    }

    key.packed = packed;
    key.n = i;
    key.labels = labels;
    key.thread = thread_index(table, thread);

    entry = stack_entry_of(table, &key, false);

    if (entry == NULL) {
        entry = stack_entry_other(table, key.thread);
    }

    return entry == NULL ? STACK_TABLE_NONE
                         : (uint32_t) (entry - table->entries);
}


uint32_t
stack_table_find_mark(struct stack_table *table, const char *thread,
                      enum stack_frame_kind mark)
{
    const struct stack_frame frame = {
        .module = STACK_FRAME_NO_MODULE,
        .kind = mark,
    };

    return stack_table_find(table, thread, LABEL_SET_NONE, &frame, 1);
}


/* The values of an entry. */
static int64_t *
entry_values(const struct stack_table *table, uint32_t index)
{
    return &table->values[(size_t) index * table->shape.n_values];
}


void
stack_table_change(struct stack_table *table, uint32_t index,
                   const int64_t *values)
{
    uint32_t v;
    int64_t *sums;

    if (index == STACK_TABLE_NONE) {
        return;
    }

    sums = entry_values(table, index);

    for (v = 0; v < table->shape.n_values; v++) {
        sums[v] += values[v];
    }

    if (table->entries[index].other) {
        table->overflows += (uint64_t) values[STACK_COUNT]
                            >> table->shape.fraction_bits[STACK_COUNT];
    }
}


void
stack_table_count(struct stack_table *table, uint32_t index, int64_t count,
                  int64_t nanoseconds)
{
    const int64_t values[STACK_VALUES] = {
        [STACK_COUNT] = count,
        [STACK_NANOSECONDS] = nanoseconds,
    };

    stack_table_change(table, index, values);
}


int
stack_table_keep_spans(struct stack_table *table)
{
    table->spans = span_log_create();

    return table->spans == NULL ? -ENOMEM : 0;
}


void
stack_table_count_span(struct stack_table *table, uint32_t index, int64_t count,
                       int64_t nanoseconds, uint64_t span)
{
    stack_table_count(table, index, count, nanoseconds);

    if (table->spans != NULL && span != 0 && index != STACK_TABLE_NONE
        && nanoseconds > 0) {
        span_log_add(table->spans, index, span, nanoseconds);
    }
}


uint32_t
stack_table_labels(const struct stack_table *table, uint32_t index)
{
    return index == STACK_TABLE_NONE ? LABEL_SET_NONE
                                     : table->entries[index].labels;
}


uint64_t
stack_table_call(const struct stack_table *table, uint32_t index,
                 uint32_t depth)
{
    const struct stack_entry *entry;

    if (index == STACK_TABLE_NONE || depth >= table->entries[index].n_frames) {
        return STACK_TABLE_NO_CALL;
    }

    entry = &table->entries[index];

    return table->packed[entry->first_frame + entry->n_frames - 1 - depth];
}


uint32_t
stack_table_used(const struct stack_table *table)
{
    return table->n_entries;
}


uint32_t
stack_table_limit(const struct stack_table *table)
{
    return table->shape.stacks_max;
}


uint64_t
stack_table_overflows(const struct stack_table *table)
{
    return table->overflows;
}


size_t
stack_table_memory(const struct stack_table *table)
{
    return table->n_entries
               * (sizeof(table->entries[0]) + sizeof(table->hash[0])
                  + table->shape.n_values * sizeof(table->values[0]))
           + table->n_packed * sizeof(table->packed[0]) + sizeof(*table)
           + (table->spans != NULL ? span_log_memory(table->spans) : 0);
}


/* Whether anything was added to the entry. */
static bool
entry_counts(const struct stack_table *table, uint32_t i)
{
    uint32_t       v;
    const int64_t *values = entry_values(table, i);

    for (v = 0; v < table->shape.n_values; v++) {
        if (values[v] != 0) {
            return true;
        }
    }

    return false;
}


/*
 * The profile and its arrays in their final sizes, all still empty. Mapped on
 * their own: a worker makes many, and malloc() would keep the memory.
 */
static struct stack_profile *
profile_allocate(const struct stack_table *table, size_t n_samples,
                 size_t n_frames)
{
    size_t                size, modules, samples, threads;
    unsigned char        *at;
    struct stack_profile *profile;
    struct stack_frame   *frames;

    modules = table->modules->n_identities * sizeof(struct module_identity *);
    samples = n_samples * sizeof(struct profile_sample);
    threads = sizeof(table->threads);

    size = sizeof(*profile) + modules + samples + n_frames * sizeof(*frames)
           + threads;
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
              -1, 0);
    if (at == MAP_FAILED) {
        return NULL;
    }

    profile = (struct stack_profile *) at;
    profile->mapped = size;
    at += sizeof(*profile);
    profile->modules = (struct module_identity **) at;
    at += modules;
    profile->samples = (struct profile_sample *) at;

    return profile;
}


struct stack_profile *
stack_table_profile(const struct stack_table *table)
{
    char                  *threads;
    size_t                 n_samples, n_frames;
    uint32_t               i, f;
    struct stack_entry    *entry;
    struct stack_frame    *frames;
    struct span_shares     shares;
    struct stack_profile  *profile;
    struct profile_sample *sample;

    n_samples = 0;
    n_frames = 0;

    for (i = 0; i < table->n_entries; i++) {
        if (entry_counts(table, i)) {
            n_samples++;
            n_frames += table->entries[i].n_frames;
        }
    }

    profile = profile_allocate(table, n_samples, n_frames);
    if (profile == NULL) {
        return NULL;
    }

    frames = (struct stack_frame *) (profile->samples + n_samples);
    threads = (char *) (frames + n_frames);
    memcpy(threads, table->threads, sizeof(table->threads));

    profile->n_modules = table->modules->n_identities;
    memcpy(profile->modules, table->modules->identities,
           profile->n_modules * sizeof(profile->modules[0]));

    span_shares_begin(&shares, table->spans, profile);

    for (i = 0; i < table->n_entries; i++) {
        if (!entry_counts(table, i)) {
            continue;
        }

        entry = &table->entries[i];
        sample = &profile->samples[profile->n_samples++];
        sample->frames = frames;
        sample->n_frames = entry->n_frames;
        sample->thread = threads + entry->thread * THREAD_NAME_MAX;
        sample->labels = entry->labels;
        memcpy(sample->values, entry_values(table, i),
               table->shape.n_values * sizeof(sample->values[0]));

        for (f = 0; f < entry->n_frames; f++) {
            frame_unpack(table->modules, table->packed[entry->first_frame + f],
                         frames++);
        }

        span_shares_give(&shares, profile, i, sample);
    }

    span_shares_end(&shares);

    return profile;
}


void
stack_profile_free(struct stack_profile *profile)
{
    free(profile->spans);

    if (profile->mapped != 0) {
        munmap(profile, profile->mapped);
    } else {
        free(profile);
    }
}
