
/*
 * PLT stubs by the GOT slots that they jump through (plt_stubs.h). The export
 * thread.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plt_stubs.h"


#define TABLE_MAX (16 * 1024 * 1024)
#define CODE_MAX (4 * 1024 * 1024)

/* Of all kinds of stubs this is the shortest, and all are multiples of it. */
#define STUB_MIN 8


struct slot {
    uint64_t    address;
    uint64_t    resolver;
    const char *name;
};


struct plt {
    const struct elf_file *file;
    struct block_arena     arena;

    const Elf64_Sym *symbols;
    uint64_t         n_symbols;
    const char      *strings;
    uint64_t         strings_size;

    /* By address; .rela.plt in its own order too, for lazy stubs. */
    struct slot *slots;
    size_t       n_slots;
    struct slot *lazy;
    size_t       n_lazy;
};


static int
load_symbols(struct plt *plt)
{
    uint64_t          size;
    const Elf64_Shdr *section;

    section = elf_file_section(plt->file, ".dynsym");
    if (section == NULL || section->sh_link >= plt->file->n_sections) {
        return -ENOEXEC;
    }

    plt->symbols
        = elf_file_load(plt->file, section, TABLE_MAX, &plt->arena, &size);
    plt->n_symbols = size / sizeof(Elf64_Sym);

    plt->strings
        = elf_file_load(plt->file, &plt->file->sections[section->sh_link],
                        TABLE_MAX, &plt->arena, &plt->strings_size);

    return plt->symbols && plt->strings ? 0 : -ENOEXEC;
}


static struct slot
slot_of(const struct plt *plt, const Elf64_Rela *rela)
{
    uint32_t    name;
    uint64_t    i = ELF64_R_SYM(rela->r_info);
    struct slot slot = {.address = rela->r_offset};

    switch (ELF64_R_TYPE(rela->r_info)) {
    case R_X86_64_JUMP_SLOT:
    case R_X86_64_GLOB_DAT:
        name = i < plt->n_symbols ? plt->symbols[i].st_name : 0;
        if (name > 0 && name < plt->strings_size) {
            slot.name = plt->strings + name;
        }
        break;

    case R_X86_64_IRELATIVE:
        slot.resolver = (uint64_t) rela->r_addend;
        break;
    }

    return slot;
}


static struct slot *
load_slots(struct plt *plt, const char *section_name, size_t *n)
{
    size_t            i;
    uint64_t          size;
    struct slot      *slots;
    const Elf64_Rela *relas;
    const Elf64_Shdr *section;

    *n = 0;

    section = elf_file_section(plt->file, section_name);
    if (section == NULL) {
        return NULL;
    }

    relas = elf_file_load(plt->file, section, TABLE_MAX, &plt->arena, &size);
    size /= sizeof(Elf64_Rela);

    slots = block_arena_alloc(&plt->arena, size * sizeof(*slots));
    if (relas == NULL || slots == NULL) {
        return NULL;
    }

    for (i = 0; i < size; i++) {
        slots[i] = slot_of(plt, &relas[i]);
    }

    *n = size;

    return slots;
}


static int
compare(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;

    return x->address < y->address ? -1 : x->address > y->address;
}


/* Relocations that fill a slot with a function: of calls, and of the GOT. */
static int
collect_slots(struct plt *plt)
{
    size_t       n, i, used;
    struct slot *got;

    plt->lazy = load_slots(plt, ".rela.plt", &plt->n_lazy);
    got = load_slots(plt, ".rela.dyn", &n);

    plt->slots = block_arena_alloc(&plt->arena,
                                   (plt->n_lazy + n) * sizeof(*plt->slots));
    if (plt->slots == NULL) {
        return -ENOMEM;
    }

    if (plt->n_lazy > 0) {
        memcpy(plt->slots, plt->lazy, plt->n_lazy * sizeof(*plt->slots));
    }

    for (used = plt->n_lazy, i = 0; i < n; i++) {
        if (got[i].name != NULL || got[i].resolver != 0) {
            plt->slots[used++] = got[i];
        }
    }

    plt->n_slots = used;

    if (used > 0) {
        qsort(plt->slots, used, sizeof(*plt->slots), compare);
    }

    return 0;
}


/*
 * The slot of a stub's code: [endbr64] [bnd] jmp *d32(%rip), or the lazy half
 * of an IBT stub, [endbr64] push $index. NULL if it is neither.
 */
static const struct slot *
slot_of_code(const struct plt *plt, const uint8_t *code, size_t size,
             uint64_t address)
{
    size_t      at = 0;
    int32_t     operand;
    struct slot key;

    if (size >= 4 && memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0) {
        at = 4;
    }

    if (size > at && code[at] == 0xf2) {
        at++;
    }

    if (size < at + 6) {
        return NULL;
    }

    if (code[at] == 0xff && code[at + 1] == 0x25) {
        memcpy(&operand, code + at + 2, sizeof(operand));
        key.address = address + at + 6 + (uint64_t) (int64_t) operand;

        return plt->n_slots == 0 ? NULL
                                 : bsearch(&key, plt->slots, plt->n_slots,
                                           sizeof(key), compare);
    }

    if (code[at] == 0x68) {
        memcpy(&operand, code + at + 1, sizeof(operand));

        if (operand >= 0 && (size_t) operand < plt->n_lazy) {
            return &plt->lazy[operand];
        }
    }

    return NULL;
}


static int
walk_section(struct plt *plt, const char *name, plt_stub_pt tell, void *context)
{
    int                rc;
    uint64_t           size, at, step, start;
    const uint8_t     *code;
    const struct slot *slot;
    const Elf64_Shdr  *section;

    section = elf_file_section(plt->file, name);
    if (section == NULL) {
        return 0;
    }

    code = elf_file_load(plt->file, section, CODE_MAX, &plt->arena, &size);

    step = section->sh_entsize == STUB_MIN ? STUB_MIN : 2 * STUB_MIN;

    for (at = 0; code != NULL && at < size; at += step) {
        start = section->sh_addr + at;
        slot = slot_of_code(plt, code + at, size - at, start);

        if (slot == NULL || (slot->name == NULL && slot->resolver == 0)) {
            continue;
        }

        rc = tell(context, start, start + step, slot->name, slot->resolver);
        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static int
walk_sections(struct plt *plt, plt_stub_pt tell, void *context)
{
    int                      rc;
    size_t                   i;
    static const char *const names[] = {".plt", ".plt.sec", ".plt.got"};

    if (load_symbols(plt) != 0) {
        return 0;
    }

    rc = collect_slots(plt);

    for (i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        rc = walk_section(plt, names[i], tell, context);
    }

    return rc;
}


int
plt_stubs_walk(const struct elf_file *file, plt_stub_pt tell, void *context)
{
    int        rc;
    struct plt plt = {.file = file};

    if (file->header.e_machine != EM_X86_64) {
        return 0;
    }

    rc = walk_sections(&plt, tell, context);
    block_arena_free(&plt.arena);

    return rc;
}
