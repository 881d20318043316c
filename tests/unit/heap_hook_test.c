/*
 * The allocation hooks, called as their importers do, over an allocator that
 * fails when it is told to.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap_allocator.h"
#include "heap/heap_capture.h"
#include "heap/heap_countdown.h"
#include "heap/heap_hook.h"
#include "heap/heap_ring.h"
#include "heap/live_set.h"


#define INTERVAL (1024 * 1024)

/* No process has it. */
#define NO_PID INT32_MAX

/* What a count of the filter never is: it takes no more then. */
#define FILTER_FULL 200


/* What the allocator gives; nothing if it fails. */
static char block[64];
static bool fails;

/* What happens while realloc() runs. */
static void (*meanwhile)(void);


static void *
given(void)
{
    if (fails) {
        errno = ENOMEM;
        return NULL;
    }

    return block;
}


static void *
test_malloc(size_t size)
{
    (void) size;

    return given();
}


static void *
test_calloc(size_t n, size_t size)
{
    (void) n;
    (void) size;

    return given();
}


static void *
test_realloc(void *old, size_t size)
{
    (void) old;
    (void) size;

    if (meanwhile != NULL) {
        meanwhile();
    }

    return given();
}


static void *
test_memalign(size_t alignment, size_t size)
{
    (void) alignment;
    (void) size;

    return given();
}


static int
test_posix_memalign(void **to, size_t alignment, size_t size)
{
    (void) alignment;
    (void) size;

    if (fails) {
        return ENOMEM;
    }

    *to = block;

    return 0;
}


/* In the place of the library's own. */
const struct heap_allocator heap_allocator = {
    .malloc = test_malloc,
    .calloc = test_calloc,
    .realloc = test_realloc,
    .posix_memalign = test_posix_memalign,
    .aligned_alloc = test_memalign,
    .memalign = test_memalign,
    .valloc = test_malloc,
    .pvalloc = test_malloc,
};


static void *
hook_of(const char *name)
{
    size_t i;

    for (i = 0; i < HEAP_HOOKS; i++) {
        if (strcmp(heap_hooks[i].symbol, name) == 0) {
            return heap_hooks[i].replacement;
        }
    }

    cr_assert_fail("%s() is not hooked", name);

    return NULL;
}


static bool
is_recorded(void)
{
    return heap_ring_peek(heap_ring_end()) != NULL;
}


/* The next allocation is one to sample. */
static void
sample_next(void)
{
    heap_countdown.state = 1;
    heap_countdown.left = 0;
}


static void
hooks_start(void)
{
    fails = false;
    meanwhile = NULL;
    cr_assert_eq(heap_capture_prepare(), 0);
    heap_capture_start(INTERVAL);
}


TestSuite(heap_hook, .init = hooks_start, .timeout = 60);


Test(heap_hook, errno_is_left_alone)
{
    void *(*hook)(size_t) = (void *(*) (size_t)) hook_of("malloc");

    sample_next();
    /* the stack can't be copied by the kernel, which says so in errno */
    heap_state.pid = NO_PID;
    errno = EXDEV;

    cr_assert_eq(hook(100), block);
    cr_expect_eq(errno, EXDEV);
    cr_expect(is_recorded());
}


static void *
malloc_call(void *hook)
{
    return ((void *(*) (size_t)) hook)(100);
}


static void *
pair_call(void *hook)
{
    return ((void *(*) (size_t, size_t)) hook)(16, 100);
}


static void *
realloc_call(void *hook)
{
    return ((void *(*) (void *, size_t)) hook)(NULL, 100);
}


static void *
reallocarray_call(void *hook)
{
    return ((void *(*) (void *, size_t, size_t)) hook)(NULL, 10, 10);
}


static void *
posix_memalign_call(void *hook)
{
    void *got = NULL;

    return ((int (*)(void **, size_t, size_t)) hook)(&got, 16, 100) == 0 ? got
                                                                         : NULL;
}


static const struct {
    const char *name;
    void *(*call)(void *hook);
} calls[] = {
    {"malloc", malloc_call},
    {"calloc", pair_call},
    {"posix_memalign", posix_memalign_call},
    {"aligned_alloc", pair_call},
    {"memalign", pair_call},
    {"valloc", malloc_call},
    {"pvalloc", malloc_call},
    {"realloc", realloc_call},
    {"reallocarray", reallocarray_call},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))


/* Of all but realloc()'s, which does not count what failed: the gap that the
   next allocation finds is a new one. */
Test(heap_hook, a_failed_allocation_takes_its_sample_with_it)
{
    size_t i;

    fails = true;

    for (i = 0; i < CALLS; i++) {
        sample_next();
        cr_expect_null(calls[i].call(hook_of(calls[i].name)));
        cr_expect_not(is_recorded(), "%s", calls[i].name);

        if (strstr(calls[i].name, "realloc") == NULL) {
            cr_expect_gt(heap_countdown.left, 0, "%s", calls[i].name);
        }
    }
}


Test(heap_hook, each_is_sampled_at_its_size)
{
    size_t                    i;
    const struct heap_record *record;

    for (i = 0; i < CALLS; i++) {
        sample_next();
        cr_expect_eq(calls[i].call(hook_of(calls[i].name)), block);

        record = heap_ring_peek(heap_ring_end());
        cr_assert_not_null(record, "%s", calls[i].name);
        cr_expect_eq(record->size,
                     strcmp(calls[i].name, "calloc") == 0 ? 1600 : 100, "%s",
                     calls[i].name);
        heap_ring_release();
    }
}


/* A block in use, as its sample leaves it. */
static uint32_t
block_in_use(void)
{
    uint32_t entry;

    entry = live_entry_take(100);
    cr_assert(live_set_insert(block, entry));

    return entry;
}


static void *
realloc_fail(void)
{
    void *(*hook)(void *, size_t)
        = (void *(*) (void *, size_t)) hook_of("realloc");

    fails = true;

    return hook(block, 200);
}


Test(heap_hook, a_block_that_can_not_grow_stays_in_use)
{
    uint32_t entry;

    entry = block_in_use();
    cr_assert_null(realloc_fail());

    cr_expect_eq(live_counters.table_full, 0);
    cr_expect_eq(live_set_take_freed(), LIVE_NONE);
    cr_expect_eq(live_set_remove(block), entry);
}


/* Other threads' blocks. */
static void
room_taken(void)
{
    live_filter[live_set_hash(block) >> (64 - LIVE_FILTER_BITS)] = FILTER_FULL;
}


Test(heap_hook, a_block_whose_room_was_taken_meanwhile_is_counted)
{
    uint32_t entry;

    entry = block_in_use();
    meanwhile = room_taken;
    cr_assert_null(realloc_fail());

    cr_expect_eq(live_counters.table_full, 1);
    cr_expect_eq(live_set_take_freed(), entry);
    cr_expect_eq(live_set_remove(block), LIVE_NONE);
}
