/*
 * Walks that are known: by all that they read, and by nothing else.
 */

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "unwind/known_walks.h"


#define STACK UINT64_C(0x7ffd00001000)
#define WORDS 100
#define FRAMES 3

/* What the walk of the tests reads: three registers, and these words. */
static const unsigned read_registers[]
    = {SAMPLE_REG_RBP, SAMPLE_REG_RIP, SAMPLE_REG_RSP};
static const unsigned read_words[] = {2, 2, 9, 40};

#define REGISTERS_READ (sizeof(read_registers) / sizeof(read_registers[0]))
#define WORDS_READ (sizeof(read_words) / sizeof(read_words[0]))


static struct known_walks   *walks;
static struct sample_record *record;

static const struct stack_frame frames[KNOWN_WALK_FRAMES + 1]
    = {{.address = 1, .module = 7}, {.address = 2}, {.address = 3}};


static uint64_t *
word(unsigned i)
{
    return (uint64_t *) (void *) record->stack + i;
}


static void
setup(void)
{
    unsigned i;

    walks = known_walks_create();
    record = calloc(1, sizeof(*record) + WORDS * sizeof(uint64_t));
    cr_assert(walks != NULL && record != NULL);

    record->stack_address = STACK;
    record->stack_size = WORDS * sizeof(uint64_t);

    for (i = 0; i < SAMPLE_REGISTERS; i++) {
        record->registers[i] = 1000 + i;
    }

    for (i = 0; i < WORDS; i++) {
        *word(i) = 2000 + i;
    }
}


static void
teardown(void)
{
    known_walks_destroy(walks);
    free(record);
}


TestSuite(known_walks, .init = setup, .fini = teardown, .timeout = 30);


static void
walk(uint32_t n_frames)
{
    size_t i;

    known_walk_begin(walks, record);

    for (i = 0; i < REGISTERS_READ; i++) {
        known_walk_register(walks, read_registers[i]);
    }

    for (i = 0; i < WORDS_READ; i++) {
        known_walk_word(walks, STACK + read_words[i] * sizeof(uint64_t),
                        *word(read_words[i]));
    }

    known_walk_end(walks, frames, n_frames);
}


static uint32_t
find(void)
{
    static struct stack_frame found[KNOWN_WALK_FRAMES];
    uint32_t                  n = known_walk_find(walks, record, found);

    cr_assert(n == 0 || memcmp(found, frames, n * sizeof(found[0])) == 0);

    return n;
}


static bool
is_among(unsigned i, const unsigned *list, size_t n)
{
    size_t at;

    for (at = 0; at < n && list[at] != i; at++) {
        /* void */
    }

    return at < n;
}


Test(known_walks, a_walk_is_known_by_what_it_read)
{
    unsigned i;

    cr_expect_eq(find(), 0);
    walk(FRAMES);
    cr_expect_eq(find(), FRAMES);

    for (i = 0; i < SAMPLE_REGISTERS; i++) {
        record->registers[i]++;
        cr_expect_eq(find() == 0, is_among(i, read_registers, REGISTERS_READ),
                     "register %u", i);
        record->registers[i]--;
    }

    for (i = 0; i < WORDS; i++) {
        ++*word(i);
        cr_expect_eq(find() == 0, is_among(i, read_words, WORDS_READ),
                     "word %u", i);
        --*word(i);
    }

    /* shorter than what was read */
    record->stack_size = 40 * sizeof(uint64_t);
    cr_expect_eq(find(), 0);
    record->stack_size = 41 * sizeof(uint64_t);
    cr_expect_eq(find(), FRAMES);
}


Test(known_walks, a_flush_forgets_all)
{
    walk(FRAMES);
    known_walks_flush(walks);
    cr_expect_eq(find(), 0);
    walk(FRAMES);
    cr_expect_eq(find(), FRAMES);
}


Test(known_walks, a_walk_that_did_not_reach_the_root_is_not_known)
{
    walk(0);
    cr_expect_eq(find(), 0);

    /* it ended at what it could not read, and went on by other means */
    known_walk_begin(walks, record);
    known_walk_end(walks, NULL, 0);
    known_walk_end(walks, frames, FRAMES);
    cr_expect_eq(find(), 0);
}


Test(known_walks, a_walk_that_finds_no_room_is_not_known)
{
    uint64_t i;

    walk(KNOWN_WALK_FRAMES);
    cr_expect_eq(find(), KNOWN_WALK_FRAMES);

    ++*word(9);
    walk(KNOWN_WALK_FRAMES + 1);
    cr_expect_eq(find(), 0);

    known_walk_begin(walks, record);
    for (i = 0; i < WORDS; i++) {
        known_walk_word(walks, STACK + i * sizeof(uint64_t),
                        *word((unsigned) i));
    }
    known_walk_end(walks, frames, FRAMES);
    cr_expect_eq(find(), 0);
}


/* All at one place: they are in one set. */
Test(known_walks, the_oldest_gives_way)
{
    unsigned i, known;

    for (i = 0; i < 100; i++) {
        *word(40) = i;
        walk(FRAMES);
        cr_assert_eq(find(), FRAMES);
    }

    for (known = 0, i = 100; i > 0; i--) {
        *word(40) = i - 1;
        known += find() != 0;
        /* the newest are known, without a gap */
        cr_assert_eq(known == 100 - i + 1, find() != 0);
    }

    cr_expect_eq(known, 16);
}
