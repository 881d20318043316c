
/*
 * Starts of functions (unwind_starts.h), by the unwinder's own lookup over a
 * module that is loaded at address 0. The export thread.
 */


#include <string.h>

#include "../unwind/eh_frame.h"
#include "unwind_starts.h"


struct unwind_starts {
    struct block_arena   arena;
    struct loaded_module module;
};


static int
load_section(const struct elf_file *file, const char *name,
             struct block_arena *arena, struct unwind_section *to)
{
    const Elf64_Shdr *section;

    section = elf_file_section(file, name);
    if (section == NULL) {
        return 0;
    }

    to->start = section->sh_addr;
    to->copy
        = elf_file_load(file, section, UNWIND_STARTS_MAX, arena, &to->size);

    return to->copy != NULL;
}


struct unwind_starts *
unwind_starts_open(const struct elf_file *file)
{
    struct block_arena    arena;
    struct loaded_module *module;
    struct unwind_starts *starts;

    memset(&arena, 0, sizeof(arena));

    starts = block_arena_alloc(&arena, sizeof(*starts));
    if (starts == NULL) {
        return NULL;
    }

    module = &starts->module;

    if (load_section(file, ".eh_frame_hdr", &arena, &module->eh_frame_hdr)
        && load_section(file, ".eh_frame", &arena, &module->eh_frame)) {
        module->hdr_address = module->eh_frame_hdr.start;
        module->hdr_size = module->eh_frame_hdr.size;
        module->fde_count
            = eh_frame_hdr_count(module->eh_frame_hdr.copy, module->hdr_size);
    }

    if (module->fde_count == 0) {
        block_arena_free(&arena);
        return NULL;
    }

    starts->arena = arena;

    return starts;
}


uint64_t
unwind_starts_find(const struct unwind_starts *starts, uint64_t address)
{
    struct eh_frame_row row;

    if (starts == NULL || !eh_frame_find(&starts->module, address, &row)) {
        return address;
    }

    return row.start;
}


void
unwind_starts_close(struct unwind_starts *starts)
{
    struct block_arena arena;

    /* which it is itself a part of */
    arena = starts->arena;
    block_arena_free(&arena);
}
