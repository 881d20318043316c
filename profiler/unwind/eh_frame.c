
/*
 * Copies of unwind data and their lookup; see eh_frame.h.
 */


#include <stdlib.h>
#include <string.h>

#include "cfi_program.h"
#include "eh_frame.h"


/* The only form of .eh_frame_hdr that linkers write, and libunwind searches. */
#define HDR_VERSION 1
#define HDR_EH_FRAME_PTR 0x1b /* DW_EH_PE_pcrel | DW_EH_PE_sdata4 */
#define HDR_FDE_COUNT 0x03    /* DW_EH_PE_udata4 */
#define HDR_TABLE 0x3b        /* DW_EH_PE_datarel | DW_EH_PE_sdata4 */
#define HDR_SIZE 12

/* The 64-bit form of an entry's length; GNU ld writes none. */
#define EXTENDED_LENGTH 0xffffffffu


struct hdr_entry {
    int32_t start;
    int32_t fde;
};


static uint64_t eh_frame_size(uint64_t address, uint64_t limit);


static const ElfW(Phdr) * eh_frame_hdr_segment(const struct dl_phdr_info *info)
{
    size_t i;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME) {
            return &info->dlpi_phdr[i];
        }
    }

    return NULL;
}


/* The end of the loaded segment that address lies in, 0 if in none. */
static uint64_t
segment_end(const struct dl_phdr_info *info, uint64_t address)
{
    size_t   i;
    uint64_t start;

    for (i = 0; i < info->dlpi_phnum; i++) {
        start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && address >= start
            && address - start < info->dlpi_phdr[i].p_filesz) {
            return start + info->dlpi_phdr[i].p_filesz;
        }
    }

    return 0;
}


/*
 * libunwind reads whole aligned words, so the bytes around the section in its
 * first and last word are copied too; they are in the same page.
 */
static bool
section_copy(struct unwind_section *section, uint64_t address, uint64_t size)
{
    uint64_t start, end;

    start = address & ~(uint64_t) (sizeof(uint64_t) - 1);
    end = (address + size + sizeof(uint64_t) - 1)
          & ~(uint64_t) (sizeof(uint64_t) - 1);

    section->copy = malloc(end - start);
    if (section->copy == NULL) {
        return false;
    }

    memcpy(section->copy, (const void *) (uintptr_t) start, end - start);
    section->start = start;
    section->size = end - start;

    return true;
}


uint64_t
eh_frame_hdr_count(const unsigned char *hdr, uint64_t size)
{
    uint32_t count;

    if (size < HDR_SIZE || hdr[0] != HDR_VERSION || hdr[1] != HDR_EH_FRAME_PTR
        || hdr[2] != HDR_FDE_COUNT || hdr[3] != HDR_TABLE) {
        return 0;
    }

    memcpy(&count, hdr + 8, sizeof(count));

    return count <= (size - HDR_SIZE) / sizeof(struct hdr_entry) ? count : 0;
}


void
eh_frame_copy(struct loaded_module *module, const struct dl_phdr_info *info)
{
    int32_t  offset;
    uint64_t count, address, frames, limit, size;
    const ElfW(Phdr) * segment;
    const unsigned char *hdr;

    segment = eh_frame_hdr_segment(info);
    if (segment == NULL) {
        return;
    }

    address = info->dlpi_addr + segment->p_vaddr;
    hdr = (const unsigned char *) (uintptr_t) address;
    limit = segment_end(info, address);

    if (limit == 0 || limit - address < segment->p_memsz) {
        return;
    }

    count = eh_frame_hdr_count(hdr, segment->p_memsz);
    if (count == 0) {
        return;
    }

    memcpy(&offset, hdr + 4, sizeof(offset));

    frames = address + 4 + (uint64_t) (int64_t) offset;
    limit = segment_end(info, frames);
    size = limit == 0 ? 0 : eh_frame_size(frames, limit);

    if (size != 0
        && section_copy(&module->eh_frame_hdr, address, segment->p_memsz)
        && section_copy(&module->eh_frame, frames, size)) {
        module->hdr_address = address;
        module->hdr_size = segment->p_memsz;
        module->fde_count = count;
    }
}


/* Whether memory that belongs to the module is as it was when it was copied. */
static bool
section_unchanged(const struct unwind_section *section,
                  const struct dl_phdr_info   *info)
{
    uint64_t limit;

    limit = segment_end(info, section->start);

    /* the last word may reach over the end */
    return limit != 0
           && limit - section->start + sizeof(uint64_t) > section->size
           && memcmp((const void *) (uintptr_t) section->start, section->copy,
                     section->size)
                  == 0;
}


bool
eh_frame_unchanged(const struct loaded_module *module,
                   const struct dl_phdr_info  *info)
{
    const ElfW(Phdr) * segment;

    segment = eh_frame_hdr_segment(info);

    if (segment == NULL || module->fde_count == 0) {
        return module->fde_count == 0;
    }

    return info->dlpi_addr + segment->p_vaddr == module->hdr_address
           && segment->p_memsz == module->hdr_size
           && section_unchanged(&module->eh_frame_hdr, info)
           && section_unchanged(&module->eh_frame, info);
}


/* The bytes of the entries from address to the terminating zero or limit. */
static uint64_t
eh_frame_size(uint64_t address, uint64_t limit)
{
    uint32_t length;
    uint64_t at;

    for (at = address; limit - at >= sizeof(length); at += 4 + length) {
        memcpy(&length, (const void *) (uintptr_t) at, sizeof(length));

        if (length == 0) {
            return at + 4 - address;
        }

        if (length == EXTENDED_LENGTH || length > limit - at - 4) {
            return 0;
        }
    }

    return at - address;
}


static bool
section_read(const struct unwind_section *section, uint64_t address, void *to,
             uint64_t size)
{
    uint64_t offset;

    offset = address - section->start;

    if (address < section->start || offset > section->size
        || size > section->size - offset) {
        return false;
    }

    memcpy(to, section->copy + offset, size);

    return true;
}


bool
eh_frame_read(const struct loaded_module *module, uint64_t address, void *to,
              uint64_t size)
{
    return section_read(&module->eh_frame_hdr, address, to, size)
           || section_read(&module->eh_frame, address, to, size);
}


/* The last entry of the search table that starts at or before address. */
static bool
hdr_search(const struct loaded_module *module, uint64_t address,
           struct hdr_entry *found)
{
    int64_t                 relative;
    uint64_t                low, high, middle;
    const struct hdr_entry *table;

    table = (const struct hdr_entry *) (module->eh_frame_hdr.copy
                                        + (module->hdr_address
                                           - module->eh_frame_hdr.start)
                                        + HDR_SIZE);
    relative = (int64_t) (address - module->hdr_address);

    low = 0;
    high = module->fde_count;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (table[middle].start <= relative) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    if (low == 0) {
        return false;
    }

    *found = table[low - 1];

    return true;
}


bool
eh_frame_find(const struct loaded_module *module, uint64_t address,
              struct eh_frame_row *row)
{
    uint64_t         offset;
    struct hdr_entry entry;

    if (module->fde_count == 0 || !hdr_search(module, address, &entry)) {
        return false;
    }

    offset = module->hdr_address + (uint64_t) (int64_t) entry.fde
             - module->eh_frame.start;

    return cfi_find_row(&module->eh_frame, offset, address, row);
}
