
/*
 * Places modules without overlap (mapping_layout.h). The export thread.
 */


#include <stdlib.h>
#include <string.h>

#include "mapping_layout.h"


#define PAGE 4096

/* Between ranges that had to move, as the loader aligns its own. */
#define STEP (2 * 1024 * 1024)

/* The end of user space on x86_64 and aarch64 with 48 bits. */
#define TOP (1ull << 47)

/* What moves goes up from here, above an executable without PIE. */
#define FLOOR (1ull << 32)


/* A module, and its number in the profile. */
struct placed {
    const struct module_identity *module;
    uint32_t                      number;
};


static int
overlap(const struct mapping_range *a, const struct mapping_range *b)
{
    return a->start < b->limit && b->start < a->limit;
}


static int
compare(const void *a, const void *b)
{
    const struct mapping_range *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}


static int
is_free(const struct mapping_range *ranges, uint32_t n,
        const struct mapping_range *range)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (overlap(&ranges[i], range)) {
            return 0;
        }
    }

    return 1;
}


/* The first gap above FLOOR that has room; taken is sorted by start. */
static uint64_t
find_gap(const struct mapping_range *taken, uint32_t n, uint64_t size)
{
    uint32_t i;
    uint64_t at = FLOOR;

    for (i = 0; i < n; i++) {
        if (taken[i].limit <= at) {
            continue;
        }

        if (taken[i].start >= at && taken[i].start - at >= size) {
            break;
        }

        at = (taken[i].limit + STEP - 1) / STEP * STEP;
    }

    return at;
}


/* As the process had it; a module without a sensible range gets one page. */
static struct mapping_range
own_range(const struct module_identity *module)
{
    struct mapping_range range;

    range.start = module->bias + module->text_start;
    range.limit = module->bias + module->text_end;

    if (range.start >= range.limit || range.limit > TOP) {
        range.start = FLOOR;
        range.limit = FLOOR + PAGE;
    }

    return range;
}


/* By what is the same whoever met the module first, and when. */
static int
compare_modules(const void *a, const void *b)
{
    int                           rc;
    const struct module_identity *x = ((const struct placed *) a)->module;
    const struct module_identity *y = ((const struct placed *) b)->module;

    rc = memcmp(x->build_id, y->build_id, sizeof(x->build_id));

    if (rc == 0) {
        rc = strcmp(x->path, y->path);
    }

    if (rc == 0) {
        rc = (x->inode > y->inode) - (x->inode < y->inode);
    }

    return rc;
}


/* The modules in the order in which they get their places: the first is. */
static struct placed *
order_make(struct module_identity *const *modules, uint32_t n,
           struct block_arena *arena)
{
    uint32_t       i;
    struct placed *order;

    order = block_arena_alloc(arena, (n + 1) * sizeof(*order));
    if (order == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        order[i].module = modules[i];
        order[i].number = i;
    }

    if (n > 1) {
        qsort(order + 1, n - 1, sizeof(*order), compare_modules);
    }

    order[n].module = NULL;
    order[n].number = n;

    return order;
}


struct mapping_range *
mapping_layout(struct module_identity *const *modules, uint32_t n,
               struct block_arena *arena)
{
    uint32_t             i;
    uint64_t             size;
    struct placed       *order;
    struct mapping_range range, *ranges, *taken;

    order = order_make(modules, n, arena);
    ranges = block_arena_alloc(arena, (n + 1) * sizeof(*ranges));
    taken = block_arena_alloc(arena, (n + 1) * sizeof(*taken));

    if (order == NULL || ranges == NULL || taken == NULL) {
        return NULL;
    }

    for (i = 0; i <= n; i++) {
        range = i < n ? own_range(order[i].module)
                      : (struct mapping_range){FLOOR, FLOOR + PAGE};

        if (!is_free(taken, i, &range)) {
            qsort(taken, i, sizeof(*taken), compare);
            size = range.limit - range.start;
            range.start = find_gap(taken, i, size);
            range.limit = range.start + size;
        }

        ranges[order[i].number] = range;
        taken[i] = range;
    }

    return ranges;
}
