
/*
 * Opens the tables of a module (module_symbols.h). The export thread.
 */


#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "debug_file_search.h"
#include "module_symbols.h"


#define VDSO_PATH "[vdso]"

/* Larger than any; it is 2 pages. */
#define VDSO_SIZE_MAX (1024 * 1024)
#define PAGE_SIZE 4096


/*
 * This process's vDSO, whose image is in memory whole. Its size is that of its
 * mapping: the segments' end, rounded up to pages.
 */
static int
open_vdso(struct elf_file *file)
{
    uint32_t          i;
    uint64_t          end = 0;
    const char       *image;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;

    image = (const char *) getauxval(AT_SYSINFO_EHDR);
    if (image == NULL) {
        return -ENOENT;
    }

    header = (const Elf64_Ehdr *) image;
    segments = (const Elf64_Phdr *) (image + header->e_phoff);

    for (i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD
            && segments[i].p_offset + segments[i].p_filesz > end) {
            end = segments[i].p_offset + segments[i].p_filesz;
        }
    }

    end = (end + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;

    return elf_file_open_image(file, image,
                               end < VDSO_SIZE_MAX ? end : VDSO_SIZE_MAX);
}


/* Another build of the file may have taken its place, or another vDSO. */
static int
is_same_build(const struct elf_file        *file,
              const struct module_identity *identity)
{
    uint8_t id[MODULE_BUILD_ID_MAX];

    return identity->build_id_len == 0
           || (elf_file_build_id(file, id, sizeof(id)) == identity->build_id_len
               && memcmp(id, identity->build_id, identity->build_id_len) == 0);
}


/* The module's own file; 1 if it is open. */
static int
open_code(struct elf_file *file, const struct module_identity *identity)
{
    int rc = -ENOENT;

    if (strcmp(identity->path, VDSO_PATH) == 0) {
        rc = open_vdso(file);

    } else if (identity->fd >= 0) {
        rc = elf_file_open(file, identity->fd);
    }

    if (rc != 0) {
        return 0;
    }

    if (!is_same_build(file, identity)) {
        elf_file_close(file);
        return 0;
    }

    return 1;
}


static struct dwarf_lines *
open_lines(const struct elf_file *file, const char *debug_folder)
{
    int                 has_shared;
    struct debug_elf    shared;
    struct dwarf_lines *lines = NULL;

    if (file == NULL) {
        return NULL;
    }

    has_shared = debug_file_shared_by(&shared, debug_folder, file) == 0;

    if (dwarf_lines_open(&lines, file, has_shared ? &shared.elf : NULL) != 0) {
        lines = NULL;
    }

    if (has_shared) {
        debug_elf_close(&shared);
    }

    return lines;
}


static int
open_tables(struct module_symbols *module, const struct elf_file *code,
            const struct elf_file *debug, const char *debug_folder)
{
    int rc;

    rc = elf_symbols_open(&module->symbols, code, debug);
    if (rc != 0) {
        return rc;
    }

    module->lines = open_lines(code, debug_folder);

    if (module->lines == NULL) {
        module->lines = open_lines(debug, debug_folder);
    }

    if (code != NULL) {
        module->starts = unwind_starts_open(code);
    }

    return 0;
}


int
module_symbols_open(struct module_symbols        *module,
                    const struct module_identity *identity,
                    const char                   *debug_folder)
{
    int              rc, has_code, has_debug;
    struct elf_file  code;
    struct debug_elf debug;

    memset(module, 0, sizeof(*module));

    has_code = open_code(&code, identity);
    has_debug = debug_file_by_build_id(&debug, debug_folder, identity->build_id,
                                       identity->build_id_len)
                == 0;

    rc = open_tables(module, has_code ? &code : NULL,
                     has_debug ? &debug.elf : NULL, debug_folder);

    if (has_code) {
        elf_file_close(&code);
    }

    if (has_debug) {
        debug_elf_close(&debug);
    }

    return rc;
}


void
module_symbols_close(struct module_symbols *module)
{
    if (module->symbols != NULL) {
        elf_symbols_close(module->symbols);
    }

    if (module->lines != NULL) {
        dwarf_lines_close(module->lines);
    }

    if (module->starts != NULL) {
        unwind_starts_close(module->starts);
    }

    memset(module, 0, sizeof(*module));
}
