
/*
 * Debug sections for libdw (debug_sections.h). The export thread.
 */


#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "debug_sections.h"


#define ALIGNMENT 16

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

    /* .debug_info, .debug_abbrev: the rest may be in a shared file. */
    return layout->from[0] && layout->from[1] ? 0 : -ENOENT;
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
        rc = elf_file_read(file, layout->from[i], image + to->sh_offset,
                           to->sh_size);
        if (rc != 0) {
            return rc;
        }
    }

    to = &s[N_WANTED + 1];
    memcpy(image + to->sh_offset, layout->names, sizeof(layout->names));
    memcpy(image + sections, s, sizeof(layout->sections));
    write_header(image, file, sections);

    return 0;
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
