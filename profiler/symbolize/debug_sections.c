
/*
 * Debug sections for libdw (debug_sections.h). The export thread.
 */


#include <dwarf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "debug_sections.h"


#define ALIGNMENT 16

/*
 * An attribute number that is reserved since DWARF 2, of one LEB128
 * byte as DW_AT_sibling is.
 */
#define AT_IGNORED 0x05

/* All that lines and inlined calls need; not locations, frames or macros. */
static const char *const wanted[] = {
    ".debug_info",        ".debug_abbrev",  ".debug_line",     ".debug_str",
    ".debug_line_str",    ".debug_ranges",  ".debug_rnglists", ".debug_addr",
    ".debug_str_offsets", ".debug_aranges",
};

#define N_WANTED (sizeof(wanted) / sizeof(wanted[0]))

/* With the null section, and the names' own. */
#define N_SECTIONS (N_WANTED + 2)


struct layout {
    const Elf64_Shdr *from[N_WANTED];
    Elf64_Shdr        sections[N_SECTIONS];
    char              names[256];
    uint32_t          names_size;
    uint64_t          size;
};


static uint64_t
reserve(struct layout *layout, uint64_t size)
{
    uint64_t offset = layout->size;

    layout->size += (size + ALIGNMENT - 1) & ~(uint64_t) (ALIGNMENT - 1);

    return offset;
}


static uint32_t
add_section_name(struct layout *layout, const char *name)
{
    uint32_t offset = layout->names_size;

    memcpy(layout->names + offset, name, strlen(name) + 1);
    layout->names_size += (uint32_t) strlen(name) + 1;

    return offset;
}


static void
place(struct layout *layout, size_t i, const char *name, uint64_t size)
{
    Elf64_Shdr *section = &layout->sections[i];

    section->sh_name = add_section_name(layout, name);
    section->sh_type = SHT_PROGBITS;
    section->sh_offset = reserve(layout, size);
    section->sh_size = size;
    section->sh_addralign = ALIGNMENT;
}


/* Where everything goes in the image. */
static int
lay_out(struct layout *layout, const struct elf_file *file)
{
    size_t   i;
    uint64_t size, total = 0;

    memset(layout, 0, sizeof(*layout));
    layout->names_size = 1;
    reserve(layout, sizeof(Elf64_Ehdr));

    for (i = 0; i < N_WANTED; i++) {
        layout->from[i] = elf_file_section(file, wanted[i]);
        size = layout->from[i] != NULL
                   ? elf_file_section_size(file, layout->from[i])
                   : 0;

        if (size > DEBUG_SECTIONS_MAX - total) {
            return -EFBIG;
        }

        if (size == 0) {
            layout->from[i] = NULL;
        }

        total += size;
        place(layout, i + 1, wanted[i], size);
    }

    place(layout, N_WANTED + 1, ".shstrtab", sizeof(layout->names));
    layout->sections[N_WANTED + 1].sh_type = SHT_STRTAB;

    /* .debug_info, .debug_abbrev, .debug_line */
    return layout->from[0] && layout->from[1] && layout->from[2] ? 0 : -ENOENT;
}


static void
write_header(char *image, const struct elf_file *file, uint64_t sections)
{
    Elf64_Ehdr header = file->header;

    header.e_phoff = 0;
    header.e_phnum = 0;
    header.e_shoff = sections;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = N_SECTIONS;
    header.e_shstrndx = N_SECTIONS - 1;

    memcpy(image, &header, sizeof(header));
}


/* Reads a LEB128 number of up to 64 bits; NULL at the end of the data. */
static uint8_t *
read_leb128(uint8_t *p, const uint8_t *end, uint64_t *value)
{
    unsigned shift = 0;

    *value = 0;

    while (p < end) {
        if (shift < 64) {
            *value |= (uint64_t) (*p & 0x7f) << shift;
        }

        shift += 7;

        if (!(*p++ & 0x80)) {
            return p;
        }
    }

    return NULL;
}


/*
 * The attribute list of one abbreviation (DWARF 5, 7.5.3): pairs of LEB128
 * numbers up to a pair of zeros. Without DW_AT_sibling libdw walks through a
 * sibling's children instead of around them, which can only move forward.
 */
static uint8_t *
hide_siblings(uint8_t *p, const uint8_t *end)
{
    uint8_t *at;
    uint64_t name, form, value;

    while (p != NULL) {
        at = p;
        p = read_leb128(p, end, &name);
        p = p != NULL ? read_leb128(p, end, &form) : NULL;

        if (p != NULL && form == DW_FORM_implicit_const) {
            p = read_leb128(p, end, &value);
        }

        if (p == NULL || (name == 0 && form == 0)) {
            break;
        }

        if (name == DW_AT_sibling) {
            /* The number may be padded: 0x81 0x80 ... 0x00. */
            *at = (uint8_t) ((*at & 0x80) | AT_IGNORED);
        }
    }

    return p;
}


/*
 * Goes through all tables, one after the other, and marks where each begins:
 * a bit per byte of the section.
 */
static void
hide_all_siblings(uint8_t *from, const uint8_t *end, uint8_t *starts)
{
    size_t   at = 0;
    uint8_t *p = from;
    uint64_t code, tag;

    starts[0] |= 1;

    while (p != NULL && p < end) {
        p = read_leb128(p, end, &code);

        if (p != NULL && code == 0) {
            at = (size_t) (p - from);
            starts[at / 8] |= (uint8_t) (1 << at % 8);
            continue;
        }

        p = p != NULL ? read_leb128(p, end, &tag) : NULL;

        /* DW_CHILDREN_yes or _no */
        p = p != NULL && p < end ? hide_siblings(p + 1, end) : NULL;
    }
}


/* The unit header at p (DWARF 5, 7.5.1): its length and abbreviations. */
static int
read_unit(const uint8_t *p, uint64_t left, uint64_t *length, uint64_t *table)
{
    size_t   at = 4, width = 4;
    uint16_t version;

    *length = 0;
    *table = 0;

    if (left < 24) {
        return -1;
    }

    memcpy(length, p, 4);

    if (*length == 0xffffffff) {
        memcpy(length, p + 4, 8);
        at = 12;
        width = 8;
    }

    if (*length > left - at) {
        return -1;
    }

    memcpy(&version, p + at, sizeof(version));
    memcpy(table, p + at + (version >= 5 ? 4 : 2), width);
    *length += at;

    return 0;
}


/*
 * No unit may take its abbreviations from the middle of a table, where they
 * would read differently and bring back what was hidden.
 */
static int
check_units(const uint8_t *info, uint64_t size, const uint8_t *starts,
            uint64_t abbrev_size)
{
    uint64_t at = 0, length, table;

    while (at < size && read_unit(info + at, size - at, &length, &table) == 0) {
        if (table >= abbrev_size || !(starts[table / 8] & (1 << table % 8))) {
            return -ENOEXEC;
        }

        at += length;
    }

    return 0;
}


/* Lets libdw only walk forward through the DIEs, or refuses. */
static int
straighten(uint8_t *info, uint64_t info_size, uint8_t *abbrev,
           uint64_t abbrev_size)
{
    int                rc;
    uint8_t           *starts;
    struct block_arena arena = {0};

    starts = block_arena_alloc(&arena, abbrev_size / 8 + 1);
    if (starts == NULL) {
        return -ENOMEM;
    }

    hide_all_siblings(abbrev, abbrev + abbrev_size, starts);
    rc = check_units(info, info_size, starts, abbrev_size);

    block_arena_free(&arena);

    return rc;
}


static int
fill(char *image, const struct layout *layout, const struct elf_file *file,
     uint64_t sections)
{
    int               rc;
    size_t            i;
    const Elf64_Shdr *to, *s = layout->sections;

    for (i = 0; i < N_WANTED; i++) {
        if (layout->from[i] == NULL) {
            continue;
        }

        to = &s[i + 1];
        rc = elf_file_read(file, layout->from[i], image + to->sh_offset);
        if (rc != 0) {
            return rc;
        }
    }

    to = &s[N_WANTED + 1];
    memcpy(image + to->sh_offset, layout->names, sizeof(layout->names));
    memcpy(image + sections, s, sizeof(layout->sections));
    write_header(image, file, sections);

    return straighten((uint8_t *) image + s[1].sh_offset, s[1].sh_size,
                      (uint8_t *) image + s[2].sh_offset, s[2].sh_size);
}


int
debug_sections_load(struct debug_sections *debug, const struct elf_file *file)
{
    int           rc;
    uint64_t      sections;
    struct layout layout;

    *debug = (struct debug_sections){0};

    rc = lay_out(&layout, file);
    if (rc != 0) {
        return rc;
    }

    sections = reserve(&layout, sizeof(layout.sections));

    debug->size = layout.size;
    debug->image = mmap(NULL, debug->size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (debug->image == MAP_FAILED) {
        *debug = (struct debug_sections){0};
        return -ENOMEM;
    }

    rc = fill(debug->image, &layout, file, sections);
    if (rc != 0) {
        debug_sections_free(debug);
    }

    return rc;
}


void
debug_sections_free(struct debug_sections *debug)
{
    if (debug->image != NULL) {
        munmap(debug->image, debug->size);
    }

    *debug = (struct debug_sections){0};
}
