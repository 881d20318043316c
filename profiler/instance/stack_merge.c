
/*
 * Adds up samples of many processes; see stack_merge.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../aggregate/stack_table.h"
#include "stack_merge.h"


int
stack_merge_init(struct stack_merge *m, struct module_registry *registry,
                 const struct module_identity *main)
{
    struct module_identity *first;

    memset(m, 0, sizeof(*m));
    m->registry = registry;
    m->sample_ids.arena = &m->arena;
    m->label_ids.arena = &m->arena;

    first = module_registry_find(registry, main, getpid());
    m->modules = block_arena_room(&m->arena, NULL, 0, &m->modules_room,
                                  sizeof(*m->modules));
    m->labels = block_arena_room(&m->arena, NULL, 0, &m->labels_room,
                                 sizeof(*m->labels));

    if (first == NULL || m->modules == NULL || m->labels == NULL
        || string_pool_init(&m->texts, &m->arena) != 0
        /* number 0 is the empty set, which nobody looks for */
        || id_table_add(&m->label_ids, 0) == ID_TABLE_NONE) {
        return -ENOMEM;
    }

    m->modules[m->n_modules++] = first;

    return 0;
}


void
stack_merge_free(struct stack_merge *m)
{
    block_arena_free(&m->source_arena);
    block_arena_free(&m->arena);
}


void
stack_merge_source(struct stack_merge *m)
{
    block_arena_free(&m->source_arena);
    m->module_numbers = NULL;
    m->label_numbers = NULL;
    m->module_numbers_room = 0;
    m->label_numbers_room = 0;
    stack_merge_mark(m, NULL, NULL);
}


void
stack_merge_mark(struct stack_merge *m, const char *name, const char *value)
{
    m->mark_name = name;
    m->mark_value = value;
}


/* The place of a number of the parcel's in a map of n of them. */
static uint32_t *
map_place(struct stack_merge *m, uint32_t **map, uint32_t *room_for, uint32_t i)
{
    uint32_t  room;
    uint32_t *larger;

    while (*map == NULL || i >= *room_for) {
        room = *room_for;
        larger = block_arena_room(&m->source_arena, *map, room, room_for,
                                  sizeof(**map));
        if (larger == NULL) {
            return NULL;
        }

        *map = larger;
    }

    return &(*map)[i];
}


/* The number of a module of the parcel; UINT32_MAX if memory lacks. */
static uint32_t
module_number(struct stack_merge *m, const struct parcel_reader *r, uint32_t i)
{
    uint32_t                k, *place;
    struct module_identity *module, **modules;

    place = map_place(m, &m->module_numbers, &m->module_numbers_room, i);
    if (place == NULL) {
        return UINT32_MAX;
    }

    if (*place != 0) {
        return *place - 1;
    }

    module = module_registry_find(m->registry, &r->modules[i].identity,
                                  (pid_t) r->pid);
    modules = block_arena_room(&m->arena, m->modules, m->n_modules,
                               &m->modules_room, sizeof(*modules));
    if (module == NULL || modules == NULL) {
        return UINT32_MAX;
    }

    m->modules = modules;

    for (k = 0; k < m->n_modules && modules[k] != module; k++) {
        /* one that is known? */
    }

    modules[k] = module;
    m->n_modules += k == m->n_modules;
    *place = k + 1;

    return k;
}


/* Texts are in the pool once: the same text is at the same place. */
static int
is_label(const void *rows, uint32_t id, const void *key)
{
    const struct label *label = (const struct label *) rows + id;
    const struct label *wanted = key;

    return label->rest == wanted->rest && label->name == wanted->name
           && label->value == wanted->value;
}


/* The set with one label more; UINT32_MAX if memory lacks. */
static uint32_t
label_with(struct stack_merge *m, uint32_t rest, const char *name,
           const char *value)
{
    uint32_t      id, hash, names, values;
    struct label *labels, key;

    names = string_pool_add(&m->texts, name);
    values = string_pool_add(&m->texts, value);

    if (names == STRING_POOL_NONE || values == STRING_POOL_NONE) {
        return UINT32_MAX;
    }

    memset(&key, 0, sizeof(key));
    key.rest = rest;
    key.name = m->texts.texts[names];
    key.value = m->texts.texts[values];
    hash = id_table_hash(&key, sizeof(key));

    id = id_table_find(&m->label_ids, hash, is_label, m->labels, &key);
    if (id != ID_TABLE_NONE) {
        return id;
    }

    labels = block_arena_room(&m->arena, m->labels, m->label_ids.n,
                              &m->labels_room, sizeof(*labels));
    if (labels == NULL) {
        return UINT32_MAX;
    }

    m->labels = labels;
    labels[m->label_ids.n] = key;

    return id_table_add(&m->label_ids, hash);
}


/* The number of a label set of the parcel; UINT32_MAX if memory lacks. */
static uint32_t
label_number(struct stack_merge *m, const struct parcel_reader *r, uint32_t i)
{
    uint32_t            rest, *place;
    const struct label *label;

    if (i == 0) {
        return 0;
    }

    label = &r->labels[i];
    rest = label_number(m, r, label->rest);
    place = map_place(m, &m->label_numbers, &m->label_numbers_room, i);

    if (rest == UINT32_MAX || place == NULL) {
        return UINT32_MAX;
    }

    if (*place == 0) {
        rest = label_with(m, rest, label->name, label->value);
        if (rest == UINT32_MAX) {
            return UINT32_MAX;
        }

        *place = rest + 1;
    }

    return *place - 1;
}


/* The same with the mark, if there is one. */
static uint32_t
label_number_marked(struct stack_merge *m, const struct parcel_reader *r,
                    uint32_t i)
{
    uint32_t labels = label_number(m, r, i);

    return m->mark_name == NULL || labels == UINT32_MAX
               ? labels
               : label_with(m, labels, m->mark_name, m->mark_value);
}


static int
is_hash(const void *rows, uint32_t id, const void *key)
{
    return ((const uint64_t *) rows)[id] == *(const uint64_t *) key;
}


/* The empty sample of that hash, made if need be; NULL if memory lacks. */
static struct profile_sample *
sample_of(struct stack_merge *m, uint64_t hash, bool *made)
{
    uint32_t               id;
    uint64_t              *hashes;
    struct profile_sample *samples;

    id = id_table_find(&m->sample_ids, (uint32_t) (hash >> 32), is_hash,
                       m->hashes, &hash);
    *made = id == ID_TABLE_NONE;

    if (!*made) {
        return &m->samples[id];
    }

    samples = block_arena_room(&m->arena, m->samples, m->sample_ids.n,
                               &m->samples_room, sizeof(*samples));
    if (samples == NULL) {
        return NULL;
    }

    m->samples = samples;

    hashes = block_arena_room(&m->arena, m->hashes, m->sample_ids.n,
                              &m->hashes_room, sizeof(*hashes));
    if (hashes == NULL) {
        return NULL;
    }

    m->hashes = hashes;
    hashes[m->sample_ids.n] = hash;
    memset(&samples[m->sample_ids.n], 0, sizeof(*samples));

    id = id_table_add(&m->sample_ids, (uint32_t) (hash >> 32));

    return id == ID_TABLE_NONE ? NULL : &m->samples[id];
}


static void
values_add(struct profile_sample *sample, const int64_t *values)
{
    unsigned v;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        /* as unsigned: a parcel may have any numbers */
        sample->values[v]
            = (int64_t) ((uint64_t) sample->values[v] + (uint64_t) values[v]);
    }
}


int
stack_merge_other(struct stack_merge *m, const int64_t *values)
{
    bool                   made;
    struct profile_sample *sample;

    static const struct stack_frame frame = {
        .module = STACK_FRAME_NO_MODULE,
        .kind = STACK_FRAME_OTHER,
    };

    sample = sample_of(m, parcel_mark_hash("", STACK_FRAME_OTHER), &made);
    if (sample == NULL) {
        return -ENOMEM;
    }

    if (made) {
        sample->frames = &frame;
        sample->n_frames = 1;
        sample->thread = "";
    }

    values_add(sample, values);

    return 0;
}


/* Fills a sample that was made: all but the values. */
static int
sample_fill(struct stack_merge *m, const struct parcel_reader *r,
            const struct parcel_sample *from, struct profile_sample *sample)
{
    uint32_t            i, module, thread;
    struct stack_frame *frames;

    frames = block_arena_alloc(&m->arena, from->n_frames * sizeof(*frames));
    thread = string_pool_add(&m->texts, r->threads[from->thread]);
    sample->labels = label_number_marked(m, r, from->labels);

    if (frames == NULL || thread == STRING_POOL_NONE
        || sample->labels == UINT32_MAX) {
        return -ENOMEM;
    }

    for (i = 0; i < from->n_frames; i++) {
        frames[i] = from->frames[i];
        if (frames[i].module == STACK_FRAME_NO_MODULE) {
            continue;
        }

        module = module_number(m, r, frames[i].module);
        if (module == UINT32_MAX) {
            return -ENOMEM;
        }

        frames[i].module = module;
    }

    sample->frames = frames;
    sample->n_frames = from->n_frames;
    sample->thread = m->texts.texts[thread];
    m->n_frames += from->n_frames;

    return 0;
}


/* Room for the spans of a sample and n more: twice as much whenever it is full,
   so that what is copied and left stays in proportion. NULL if memory lacks. */
static struct profile_span *
spans_room(struct stack_merge *m, const struct profile_sample *sample,
           uint32_t n)
{
    uint32_t             room;
    struct profile_span *spans;

    room = 1;

    while (room < sample->n_spans) {
        room *= 2;
    }

    if (sample->n_spans != 0 && sample->n_spans + n <= room) {
        return (struct profile_span *) sample->spans;
    }

    while (room < sample->n_spans + n) {
        room *= 2;
    }

    spans = block_arena_alloc(&m->arena, room * sizeof(*spans));

    if (spans != NULL && sample->n_spans != 0) {
        memcpy(spans, sample->spans, sample->n_spans * sizeof(*spans));
    }

    return spans;
}


/* Adds those that are not too old; without room there are none. */
static void
spans_add(struct stack_merge *m, const struct parcel_sample *from,
          struct profile_sample *sample)
{
    uint32_t             i, n;
    struct profile_span *spans;

    n = 0;

    for (i = 0; i < from->n_spans; i++) {
        n += from->spans[i].time_ns > m->spans_since_ns;
    }

    if (n == 0 || n + sample->n_spans > PARCEL_SPANS_MAX
        || n + m->n_spans > STACK_MERGE_SPANS) {
        return;
    }

    spans = spans_room(m, sample, n);
    if (spans == NULL) {
        return;
    }

    m->n_spans += n;
    n = sample->n_spans;

    for (i = 0; i < from->n_spans; i++) {
        if (from->spans[i].time_ns > m->spans_since_ns) {
            spans[n++] = from->spans[i];
        }
    }

    sample->spans = spans;
    sample->n_spans = n;
}


int
stack_merge_add(struct stack_merge *m, const struct parcel_reader *r,
                const struct parcel_sample *from, const int64_t *values)
{
    int                    rc;
    bool                   made;
    uint64_t               hash;
    struct profile_sample *sample;

    /* marked samples are other ones */
    hash = m->mark_name == NULL ? from->hash : ~from->hash;

    if ((m->sample_ids.n >= STACK_MERGE_SAMPLES
         || m->n_frames + from->n_frames > STACK_MERGE_FRAMES)
        && id_table_find(&m->sample_ids, (uint32_t) (hash >> 32), is_hash,
                         m->hashes, &hash)
               == ID_TABLE_NONE) {
        m->overflows++;
        return stack_merge_other(m, values);
    }

    sample = sample_of(m, hash, &made);
    if (sample == NULL) {
        return -ENOMEM;
    }

    if (made) {
        rc = sample_fill(m, r, from, sample);
        if (rc != 0) {
            return rc;
        }
    }

    values_add(sample, values);
    spans_add(m, from, sample);

    return 0;
}


/* Whether it stays: it has a value, and no negative counter. */
static bool
sample_is_settled(const struct profile_sample *sample, uint32_t gauges)
{
    unsigned v;
    bool     any = false;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        any |= sample->values[v] != 0;

        if (sample->values[v] < 0 && !(gauges & 1u << v)) {
            return false;
        }
    }

    return any;
}


/*
 * Keeps the samples that keep() wants, and adds the others to "[other]". It
 * breaks the table: nothing is added any more but to "[other]", by values.
 */
static int
samples_sift(struct stack_merge *m,
             bool (*keep)(const struct profile_sample *sample, uint64_t limit,
                          uint32_t gauges),
             uint64_t limit, uint32_t gauges)
{
    int                    rc;
    uint32_t               i, n, other;
    int64_t                folded[STACK_PROFILE_MAX_VALUES] = {0};
    struct profile_sample *sample, sum = {0};

    rc = stack_merge_other(m, folded);
    if (rc != 0) {
        return rc;
    }

    other = id_table_find(
        &m->sample_ids,
        (uint32_t) (parcel_mark_hash("", STACK_FRAME_OTHER) >> 32), is_hash,
        m->hashes, &(uint64_t){parcel_mark_hash("", STACK_FRAME_OTHER)});

    for (i = 0; i < m->sample_ids.n; i++) {
        sample = &m->samples[i];

        if (i != other && !keep(sample, limit, gauges)) {
            values_add(&sum, sample->values);
            memset(sample->values, 0, sizeof(sample->values));
        }
    }

    values_add(&m->samples[other], sum.values);
    n = 0;

    for (i = 0; i < m->sample_ids.n; i++) {
        if (memcmp(m->samples[i].values, folded, sizeof(folded)) != 0) {
            m->samples[n++] = m->samples[i];
        }
    }

    m->sample_ids.n = n;

    return 0;
}


static bool
keep_settled(const struct profile_sample *sample, uint64_t limit,
             uint32_t gauges)
{
    (void) limit;

    return sample_is_settled(sample, gauges);
}


int
stack_merge_settle(struct stack_merge *m, uint32_t gauges)
{
    return samples_sift(m, keep_settled, 0, gauges);
}


/* By what samples are compared: their last value that is a counter. */
static uint64_t
sample_weight(const struct profile_sample *sample, uint32_t gauges)
{
    int v;

    for (v = STACK_PROFILE_MAX_VALUES - 1; v >= 0; v--) {
        if (sample->values[v] != 0 && !(gauges & 1u << v)) {
            return sample->values[v] > 0 ? (uint64_t) sample->values[v] : 0;
        }
    }

    return 0;
}


static bool
keep_heavy(const struct profile_sample *sample, uint64_t limit, uint32_t gauges)
{
    return sample_weight(sample, gauges) >= limit;
}


static int
compare_down(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x < y) - (x > y);
}


int
stack_merge_shrink(struct stack_merge *m, uint32_t samples, uint32_t gauges)
{
    uint32_t  i;
    uint64_t *weights, limit;

    if (m->sample_ids.n <= samples) {
        return 0;
    }

    weights = block_arena_alloc(&m->arena, m->sample_ids.n * sizeof(*weights));
    if (weights == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < m->sample_ids.n; i++) {
        weights[i] = sample_weight(&m->samples[i], gauges);
    }

    qsort(weights, m->sample_ids.n, sizeof(*weights), compare_down);
    /* those that weigh the same go together: never more than were asked for */
    limit = weights[samples] + 1;

    return samples_sift(m, keep_heavy, limit, gauges);
}


/* What the shares of spans are of. A sample at the very edge of a window may be
   a span's and not be counted, so the shares can be more. */
static void
spans_settle(struct profile_sample *sample)
{
    uint32_t i;
    int64_t  sum;

    sum = 0;

    for (i = 0; i < sample->n_spans; i++) {
        sum += sample->spans[i].ns;
    }

    sample->span_ns = sum > sample->values[STACK_NANOSECONDS]
                          ? sum
                          : sample->values[STACK_NANOSECONDS];
}


void
stack_merge_profile(struct stack_merge *m, struct stack_profile *profile)
{
    uint32_t i;

    for (i = 0; i < m->sample_ids.n; i++) {
        spans_settle(&m->samples[i]);
    }

    memset(profile, 0, sizeof(*profile));
    profile->modules = m->modules;
    profile->n_modules = m->n_modules;
    profile->samples = m->samples;
    profile->n_samples = m->sample_ids.n;
    profile->label_sets = m->labels;
    profile->n_label_sets = m->label_ids.n;
}
