
/*
 * Numbers by key (id_table.h). Any thread, one at a time.
 */


#include "id_table.h"


uint32_t
id_table_hash(const void *data, size_t len)
{
    size_t         i;
    uint64_t       hash = 0xcbf29ce484222325u;
    const uint8_t *p = data;

    for (i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3u;
    }

    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15u;

    return (uint32_t) (hash >> 32);
}


uint32_t
id_table_find(const struct id_table *table, uint32_t hash,
              id_table_match_pt match, const void *rows, const void *key)
{
    uint32_t i, slot, mask = 2 * table->capacity - 1;

    if (table->capacity == 0) {
        return ID_TABLE_NONE;
    }

    for (slot = hash & mask; table->slots[slot]; slot = (slot + 1) & mask) {
        i = table->slots[slot] - 1;

        if (table->hashes[i] == hash && match(rows, i, key)) {
            return i;
        }
    }

    return ID_TABLE_NONE;
}


static void
put(struct id_table *table, uint32_t id)
{
    uint32_t slot, mask = 2 * table->capacity - 1;

    for (slot = table->hashes[id] & mask; table->slots[slot];
         slot = (slot + 1) & mask) {
        /* the next free one */
    }

    table->slots[slot] = id + 1;
}


/* Follows the capacity of the hashes; on an error all is as before. */
static int
make_room(struct id_table *table)
{
    uint32_t i, capacity = table->capacity, *hashes, *slots;

    hashes = block_arena_room(table->arena, table->hashes, table->n, &capacity,
                              sizeof(*hashes));
    if (hashes == NULL || capacity == table->capacity) {
        return hashes == NULL ? -1 : 0;
    }

    slots = block_arena_alloc(table->arena,
                              2 * (size_t) capacity * sizeof(*slots));
    if (slots == NULL) {
        return -1;
    }

    table->hashes = hashes;
    table->slots = slots;
    table->capacity = capacity;

    for (i = 0; i < table->n; i++) {
        put(table, i);
    }

    return 0;
}


uint32_t
id_table_add(struct id_table *table, uint32_t hash)
{
    if (make_room(table) != 0) {
        return ID_TABLE_NONE;
    }

    table->hashes[table->n] = hash;
    put(table, table->n);

    return table->n++;
}
