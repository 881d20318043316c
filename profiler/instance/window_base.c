
/*
 * Bases of windows; see window_base.h.
 */


#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "window_base.h"


#define ROOM_MIN 65536


static size_t
row_size(const struct base_source *source)
{
    return sizeof(uint64_t) * (1 + source->n_values);
}


void
window_base_free(struct window_base *base)
{
    if (base->bytes != NULL) {
        munmap(base->bytes, base->room);
    }

    memset(base, 0, sizeof(*base));
}


int
window_base_reserve(struct window_base *base, size_t n)
{
    void  *bytes;
    size_t room;

    if (base->error != 0 || base->room - base->used >= n) {
        return base->error;
    }

    room = base->room == 0 ? ROOM_MIN : base->room;

    while (room - base->used < n) {
        room *= 2;
    }

    bytes = base->room == 0
                ? mmap(NULL, room, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                : mremap(base->bytes, base->room, room, MREMAP_MAYMOVE);

    if (bytes == MAP_FAILED) {
        base->error = -ENOMEM;
        return base->error;
    }

    base->bytes = bytes;
    base->room = room;

    return 0;
}


void
window_base_source(struct window_base *base, uint64_t worker, uint32_t kind,
                   uint32_t n_values)
{
    const struct base_source source
        = {.worker = worker, .kind = kind, .n_values = n_values};

    if (window_base_reserve(base, sizeof(source)) == 0) {
        base->source = base->used;
        memcpy(base->bytes + base->used, &source, sizeof(source));
        base->used += sizeof(source);
    }
}


void
window_base_row(struct window_base *base, uint64_t hash, const int64_t *values)
{
    size_t              size;
    struct base_source *source;

    if (base->error != 0) {
        return;
    }

    size = row_size((struct base_source *) (base->bytes + base->source));

    if (window_base_reserve(base, size) == 0) {
        source = (struct base_source *) (base->bytes + base->source);
        source->n_rows++;
        memcpy(base->bytes + base->used, &hash, sizeof(hash));
        memcpy(base->bytes + base->used + sizeof(hash), values,
               size - sizeof(hash));
        base->used += size;
    }
}


const struct base_source *
window_base_next(const struct window_base *base,
                 const struct base_source *source)
{
    const unsigned char *at;

    at = source == NULL ? base->bytes
                        : (const unsigned char *) (source + 1)
                              + source->n_rows * row_size(source);

    return base->used == 0 || at == base->bytes + base->used
               ? NULL
               : (const struct base_source *) at;
}


bool
window_base_check(const struct window_base *base)
{
    size_t                    left, at = 0;
    const struct base_source *source;

    while (at < base->used) {
        left = base->used - at;
        source = (const struct base_source *) (base->bytes + at);

        if (left < sizeof(*source)
            || source->n_values > STACK_PROFILE_MAX_VALUES
            || source->n_rows > (left - sizeof(*source)) / row_size(source)) {
            return false;
        }

        at += sizeof(*source) + source->n_rows * row_size(source);
    }

    return true;
}


void
base_sums_init(struct base_sums *sums)
{
    memset(sums, 0, sizeof(*sums));
    sums->ids.arena = &sums->arena;
}


void
base_sums_free(struct base_sums *sums)
{
    block_arena_free(&sums->arena);
}


static int
is_row(const void *rows, uint32_t id, const void *key)
{
    return ((const uint64_t *) rows)[id] == *(const uint64_t *) key;
}


static uint32_t
sums_find(const struct base_sums *sums, uint64_t hash)
{
    return id_table_find(&sums->ids, (uint32_t) (hash >> 32), is_row,
                         sums->hashes, &hash);
}


/* The row of that hash, made if need be; ID_TABLE_NONE if memory lacks. */
static uint32_t
sums_row(struct base_sums *sums, uint64_t hash)
{
    void    *hashes, *values;
    uint32_t id, n = sums->ids.n;

    id = sums_find(sums, hash);
    if (id != ID_TABLE_NONE) {
        return id;
    }

    hashes = block_arena_room(&sums->arena, sums->hashes, n, &sums->hashes_room,
                              sizeof(sums->hashes[0]));
    if (hashes == NULL) {
        return ID_TABLE_NONE;
    }

    sums->hashes = hashes;

    values = block_arena_room(&sums->arena, sums->values, n, &sums->values_room,
                              sizeof(sums->values[0]));
    if (values == NULL) {
        return ID_TABLE_NONE;
    }

    sums->values = values;
    sums->hashes[n] = hash;
    memset(sums->values[n], 0, sizeof(sums->values[n]));

    return id_table_add(&sums->ids, (uint32_t) (hash >> 32));
}


int
base_sums_add(struct base_sums *sums, const struct base_source *source)
{
    uint32_t             id, v;
    uint64_t             i, hash, value;
    const unsigned char *at = (const unsigned char *) (source + 1);

    for (i = 0; i < source->n_rows; i++) {
        memcpy(&hash, at, sizeof(hash));
        at += sizeof(hash);

        id = sums_row(sums, hash);
        if (id == ID_TABLE_NONE) {
            return -ENOMEM;
        }

        for (v = 0; v < source->n_values; v++) {
            memcpy(&value, at, sizeof(value));
            at += sizeof(value);
            sums->values[id][v]
                = (int64_t) ((uint64_t) sums->values[id][v] + value);
        }
    }

    return 0;
}


static void
row_take(struct base_sums *sums, uint32_t id, int64_t *values)
{
    unsigned v;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        values[v]
            = (int64_t) ((uint64_t) values[v] - (uint64_t) sums->values[id][v]);
        sums->values[id][v] = 0;
    }
}


void
base_sums_take(struct base_sums *sums, uint64_t hash, int64_t *values)
{
    uint32_t id = sums_find(sums, hash);

    if (id != ID_TABLE_NONE) {
        row_take(sums, id, values);
    }
}


void
base_sums_take_rest(struct base_sums *sums, int64_t *values)
{
    uint32_t id;

    for (id = 0; id < sums->ids.n; id++) {
        row_take(sums, id, values);
    }
}
