
/*
 * Interned strings (string_pool.h). Any thread, one at a time.
 */


#include <errno.h>
#include <string.h>

#include "string_pool.h"


int
string_pool_init(struct string_pool *pool, struct block_arena *arena)
{
    memset(pool, 0, sizeof(*pool));
    pool->ids.arena = arena;

    return string_pool_add(pool, "") == STRING_POOL_NONE ? -ENOMEM : 0;
}


static int
is_text(const void *rows, uint32_t id, const void *key)
{
    char *const *texts = rows;

    return strcmp(texts[id], key) == 0;
}


uint32_t
string_pool_add(struct string_pool *pool, const char *text)
{
    char    *copy, **texts;
    size_t   len;
    uint32_t hash, id;

    text = text != NULL ? text : "";
    len = strlen(text);
    hash = id_table_hash(text, len);

    id = id_table_find(&pool->ids, hash, is_text, pool->texts, text);
    if (id != ID_TABLE_NONE) {
        return id;
    }

    texts = block_arena_room(pool->ids.arena, pool->texts, pool->ids.n,
                             &pool->capacity, sizeof(*texts));
    copy = block_arena_alloc(pool->ids.arena, len + 1);

    if (texts == NULL || copy == NULL) {
        return STRING_POOL_NONE;
    }

    pool->texts = texts;
    pool->texts[pool->ids.n] = memcpy(copy, text, len + 1);

    return id_table_add(&pool->ids, hash);
}
