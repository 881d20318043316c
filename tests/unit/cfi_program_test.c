/*
 * Reading of single entries: what a root is, and entries that are damaged or
 * cut. Every read outside of the copy is one that the sanitizers see.
 */

#include <criterion/criterion.h>

#include <stdlib.h>

#include "library_fixture.h"
#include "mapped_module.h"
#include "unwind/cfi_program.h"


#define ROUNDS 100000


/* An entry and its common entry, in a section of nothing else. */
struct lone_entry {
    unsigned char bytes[1024];
    uint64_t      size;
    uint64_t      fde;
    uint64_t      start;
};


/* Appends an entry of which the length is filled in. */
static uint64_t
entry_append(struct lone_entry *entry, const void *body, uint32_t length)
{
    uint64_t at = entry->size;

    memcpy(entry->bytes + at, &length, 4);
    memcpy(entry->bytes + at + 4, body, length);
    entry->size += 4 + length;

    return at;
}


/* "zR" (or "zRS") with absolute pointers of eight bytes, and the programs. */
static void
entry_make(struct lone_entry *entry, bool signal, const void *initial,
           size_t initial_len, const void *program, size_t program_len)
{
    uint64_t      range[2] = {0x1000, 0x100};
    uint32_t      distance;
    unsigned char cie[128] = {0, 0, 0, 0, 1, 'z', 'R'}, fde[512] = {0};
    size_t        n = 7;

    if (signal) {
        cie[n++] = 'S';
    }
    cie[n++] = 0;
    cie[n++] = 1;    /* code alignment */
    cie[n++] = 0x78; /* data alignment, -8 */
    cie[n++] = 16;   /* return address */
    cie[n++] = 1;    /* augmentation data */
    cie[n++] = 0;    /* DW_EH_PE_absptr */
    memcpy(cie + n, initial, initial_len);

    memset(entry, 0, sizeof(*entry));
    entry_append(entry, cie, (uint32_t) (n + initial_len));
    entry->fde = entry->size;
    entry->start = range[0];

    distance = (uint32_t) entry->size + 4;
    memcpy(fde, &distance, 4);
    memcpy(fde + 4, range, 16);
    memcpy(fde + 21, program, program_len);
    entry_append(entry, fde, (uint32_t) (21 + program_len));
}


/* Looks up in a copy of exactly the entry's size. */
static bool
entry_find(const struct lone_entry *entry, uint64_t address,
           struct eh_frame_row *row)
{
    bool                  found;
    struct unwind_section section = {.start = 0x5000, .size = entry->size};

    section.copy = malloc(entry->size + (entry->size == 0));
    memcpy(section.copy, entry->bytes, entry->size);
    found = cfi_find_row(&section, entry->fde, address, row);
    free(section.copy);

    return found;
}


Test(cfi_program, a_root_begins_where_the_return_address_becomes_undefined)
{
    struct lone_entry   entry;
    struct eh_frame_row row;
    /* advance 0x20, DW_CFA_undefined r6, advance 0x20, undefined r16 */
    const unsigned char program[] = {0x60, 0x07, 6, 0x60, 0x07, 16};

    entry_make(&entry, false, "", 0, program, sizeof(program));

    cr_assert(entry_find(&entry, 0x1000, &row));
    cr_expect_eq(row.start, 0x1000);
    cr_expect_eq(row.end, 0x1100);
    cr_expect_not(row.root);
    cr_expect_not(row.signal);

    cr_assert(entry_find(&entry, 0x103f, &row));
    cr_expect_not(row.root);
    cr_assert(entry_find(&entry, 0x1040, &row));
    cr_expect(row.root);
    cr_assert(entry_find(&entry, 0x10ff, &row));
    cr_expect(row.root);
    cr_expect_not(entry_find(&entry, 0x1100, &row));
    cr_expect_not(entry_find(&entry, 0xfff, &row));
}


Test(cfi_program, the_common_entry_can_say_it_for_all)
{
    struct lone_entry   entry;
    struct eh_frame_row row;
    const unsigned char initial[] = {0x07, 16};

    entry_make(&entry, true, initial, sizeof(initial), "", 0);

    cr_assert(entry_find(&entry, 0x1000, &row));
    cr_expect(row.root);
    cr_expect(row.signal);
}


Test(cfi_program, operands_are_no_instructions)
{
    struct lone_entry   entry;
    struct eh_frame_row row;
    /* each hides 07 10, undefined r16, in what an instruction takes */
    static const struct {
        unsigned char program[10];
        size_t        size;
    } cases[] = {
        {{0x0c, 7, 16}, 3},                   /* def_cfa */
        {{0x0e, 0x87, 0x10}, 3},              /* def_cfa_offset, two bytes */
        {{0x0f, 3, 0x07, 16, 0}, 5},          /* def_cfa_expression */
        {{0x10, 7, 2, 0x07, 16}, 5},          /* expression */
        {{0x16, 3, 2, 0x07, 16}, 5},          /* val_expression */
        {{0x05, 7, 16}, 3},                   /* offset_extended */
        {{0x09, 7, 16}, 3},                   /* register */
        {{0x2e, 0x87, 16}, 3},                /* GNU_args_size */
        {{0x87, 0x07, 6, 0x0a, 0x0b}, 5},     /* offset r7, then undefined r6 */
        {{0xc7, 0x0a, 0x0b, 0x08, 16}, 5},    /* restore, same_value r16 */
        {{0x02, 0, 0x03, 0x00, 0x00}, 5},     /* advance_loc1, advance_loc2 */
        {{0x04, 0x07, 16, 0, 0}, 5},          /* advance_loc4, far away */
        {{0x01, 7, 16, 0, 0, 0, 0, 0, 0}, 9}, /* set_loc, far away */
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        entry_make(&entry, false, "", 0, cases[i].program, cases[i].size);
        cr_expect(entry_find(&entry, 0x1080, &row), "case %zu", i);
        cr_expect_not(row.root, "case %zu", i);
    }
}


Test(cfi_program, an_unknown_instruction_is_refused)
{
    struct lone_entry   entry;
    struct eh_frame_row row;

    entry_make(&entry, false, "", 0, "\x3f", 1);
    cr_expect_not(entry_find(&entry, 0x1000, &row));
}


Test(cfi_program, any_cut_is_refused_or_read_within_it, .timeout = 30)
{
    uint64_t            whole;
    struct lone_entry   entry;
    struct eh_frame_row row;
    const unsigned char program[] = {0x10, 7, 2, 0x07, 16, 0x07, 16};

    entry_make(&entry, false, "\x0c\x07\x08", 3, program, sizeof(program));

    for (whole = entry.size; entry.size > 0; entry.size--) {
        cr_expect_eq(entry_find(&entry, 0x1000, &row), entry.size == whole);
    }
}


/* A real entry, with its common entry, as they are in a module's copy. */
static bool
entry_extract(const struct loaded_module *module, uint64_t at,
              struct lone_entry *entry)
{
    uint32_t             length, cie_length, distance;
    int32_t              relative;
    uint64_t             cie, fde_address;
    const unsigned char *copy = module->eh_frame.copy;

    memcpy(&length, copy + at, 4);
    memcpy(&distance, copy + at + 4, 4);
    cie = at + 4 - distance;
    memcpy(&cie_length, copy + cie, 4);

    if (distance == 0 || length + cie_length > 900) {
        return false;
    }

    memset(entry, 0, sizeof(*entry));
    entry_append(entry, copy + cie + 4, cie_length);
    entry->fde = entry_append(entry, copy + at + 4, length);

    /* where the section is, in entry_find(), its pointer means this */
    fde_address = 0x5000 + entry->fde;
    memcpy(&relative, copy + at + 8, 4);
    entry->start = fde_address + 8 + (uint64_t) (int64_t) relative;

    distance = (uint32_t) entry->fde + 4;
    memcpy(entry->bytes + entry->fde + 4, &distance, 4);

    return true;
}


static void
entry_damage(struct lone_entry *entry, uint64_t *state)
{
    unsigned flips;

    for (flips = 1 + fixture_random(state) % 6; flips > 0; flips--) {
        entry->bytes[fixture_random(state) % entry->size]
            ^= (unsigned char) (1 + fixture_random(state) % 255);
    }

    if (fixture_random(state) % 4 == 0) {
        entry->size = fixture_random(state) % (entry->size + 1);
    }

    if (fixture_random(state) % 16 == 0) {
        entry->fde = fixture_random(state);
    }
}


Test(cfi_program, damaged_entries_are_read_within_their_bounds, .timeout = 60)
{
    uint32_t             length, rounds = 0, intact = 0;
    uint64_t             at, state = 3;
    struct lone_entry    entry, damaged;
    struct eh_frame_row  row;
    struct mapped_module module;

    mapped_module_open(&module, LIBC);
    at = 0;

    while (rounds < ROUNDS) {
        memcpy(&length, module.loaded.eh_frame.copy + at, 4);
        at = length == 0 ? 0 : at + 4 + length;

        if (length == 0 || !entry_extract(&module.loaded, at, &entry)) {
            continue;
        }

        intact += entry_find(&entry, entry.start, &row);

        for (unsigned i = 0; i < 50; i++, rounds++) {
            damaged = entry;
            entry_damage(&damaged, &state);
            (void) entry_find(&damaged, entry.start, &row);
            (void) entry_find(&damaged,
                              entry.start + fixture_random(&state) % 64, &row);
        }
    }

    cr_expect_eq(intact, rounds / 50);
    mapped_module_close(&module);
}
