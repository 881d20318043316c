/*
 * Our reading of unwind data: for every entry of nginx, of libraries that it
 * is made of and of this program, the same as libdw's.
 */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>

#include "library_fixture.h"
#include "mapped_module.h"


#define PATH_SIZE 64

/* Entries of a file that are compared with libdw's rows in full. */
#define ROWS_COMPARED 3000


ParameterizedTestParameters(eh_frame, entries_agree_with_libdw)
{
    static char paths[][PATH_SIZE] = {
        "/proc/self/exe",
        "/usr/sbin/nginx",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/lib/x86_64-linux-gnu/libstdc++.so.6",
        "/lib/x86_64-linux-gnu/libpcre2-8.so.0",
        "/lib/x86_64-linux-gnu/libunwind-x86_64.so.8",
    };

    return cr_make_param_array(char[PATH_SIZE], paths,
                               sizeof(paths) / sizeof(paths[0]));
}


/* Whether libdw says that the frame has no return address, and that it is a
   signal's. */
static void
libdw_row(Dwarf_CFI *cfi, uint64_t address, bool *root, bool *signal)
{
    size_t       n_ops;
    Dwarf_Op     mem[3], *ops;
    Dwarf_Frame *frame;
    Dwarf_Addr   start, end;

    cr_assert_eq(dwarf_cfi_addrframe(cfi, address, &frame), 0, "%#lx: %s",
                 address, dwarf_errmsg(-1));
    cr_assert_geq(dwarf_frame_info(frame, &start, &end, signal), 0);
    cr_assert_eq(dwarf_frame_register(frame, 16, mem, &ops, &n_ops), 0);
    *root = n_ops == 0 && ops != NULL;
    free(frame);
}


static void
row_compare(struct mapped_module *module, Dwarf_CFI *cfi, uint64_t address,
            bool in_full, unsigned *roots)
{
    bool                root, signal;
    uint64_t            bias = module->info.dlpi_addr;
    struct eh_frame_row row;

    cr_assert(eh_frame_find(&module->loaded, bias + address, &row), "%#lx",
              address);
    cr_assert_leq(row.start, bias + address);
    cr_assert_gt(row.end, bias + address);

    if (in_full || row.root) {
        libdw_row(cfi, address, &root, &signal);
        cr_assert_eq(row.root, root, "%#lx", address);
        cr_assert_eq(row.signal, signal, "%#lx", address);
        *roots += root;
    }
}


static Elf_Data *
section_data(Elf *elf, const char *name, uint64_t *address)
{
    size_t    names;
    Elf_Scn  *section = NULL;
    GElf_Shdr header;

    elf_getshdrstrndx(elf, &names);

    while ((section = elf_nextscn(elf, section)) != NULL) {
        gelf_getshdr(section, &header);
        if (strcmp(elf_strptr(elf, names, header.sh_name), name) == 0) {
            *address = header.sh_addr;
            return elf_getdata(section, NULL);
        }
    }

    return NULL;
}


/* The range of an FDE whose pointers are relative to themselves, four bytes. */
static void
fde_range(const Elf_Data *data, uint64_t section, const Dwarf_CFI_Entry *entry,
          uint64_t *start, uint64_t *end)
{
    int32_t        relative;
    uint32_t       length;
    const uint8_t *at = entry->fde.start;

    memcpy(&relative, at, sizeof(relative));
    memcpy(&length, at + 4, sizeof(length));
    *start = section + (uint64_t) (at - (const uint8_t *) data->d_buf)
             + (uint64_t) (int64_t) relative;
    *end = *start + length;
}


/* Compares an entry at its edges and inside; returns false if it is empty. */
static bool
entry_compare(struct mapped_module *module, Dwarf_CFI *cfi, uint64_t start,
              uint64_t end, bool in_full, unsigned *roots)
{
    uint64_t            bias = module->info.dlpi_addr;
    struct eh_frame_row row;

    if (end <= start) {
        return false;
    }

    cr_assert(eh_frame_find(&module->loaded, bias + start, &row));
    cr_assert_eq(row.start - bias, start);
    cr_assert_eq(row.end - bias, end);

    row_compare(module, cfi, start, in_full, roots);
    row_compare(module, cfi, start + (end - start) / 2, in_full, roots);
    row_compare(module, cfi, end - 1, in_full, roots);

    if (eh_frame_find(&module->loaded, bias + end, &row)) {
        cr_assert_eq(row.start - bias, end);
    }

    return true;
}


ParameterizedTest(char path[PATH_SIZE], eh_frame, entries_agree_with_libdw)
{
    Elf_Data            *data;
    uint64_t             section = 0, start, end;
    unsigned             n = 0, roots = 0, stride;
    Dwarf_Off            at = 0, next;
    Dwarf_CFI           *cfi;
    Dwarf_CFI_Entry      entry;
    struct mapped_module module;

    mapped_module_open(&module, path);
    cr_assert_gt(module.loaded.fde_count, 0, "%s", path);

    cfi = dwarf_getcfi_elf(module.elf);
    cr_assert_not_null(cfi);
    data = section_data(module.elf, ".eh_frame", &section);
    stride = (unsigned) (module.loaded.fde_count / ROWS_COMPARED) + 1;

    for (/* void */;
         dwarf_next_cfi((const unsigned char *) elf_getident(module.elf, NULL),
                        data, true, at, &next, &entry)
         == 0;
         at = next) {
        if (!dwarf_cfi_cie_p(&entry)) {
            fde_range(data, section, &entry, &start, &end);
            n += entry_compare(&module, cfi, start, end, n % stride == 0,
                               &roots);
        }
    }

    cr_expect_geq(n + 8, module.loaded.fde_count, "%s: %u of %lu", path, n,
                  module.loaded.fde_count);
    /* libunwind and some libraries have no thread or program start in them */
    if (strstr(path, "nginx") != NULL || strstr(path, "libc.so") != NULL) {
        cr_expect_gt(roots, 0, "%s", path);
    }

    dwarf_cfi_end(cfi);
    mapped_module_close(&module);
}


extern void _start(void);


Test(eh_frame, the_start_is_a_root_and_functions_are_none)
{
    uint64_t             pc, state = 7;
    unsigned             i, found = 0;
    struct eh_frame_row  row;
    struct mapped_module module;
    struct link_map     *map = dlopen(NULL, RTLD_NOW);

    mapped_module_open(&module, "/proc/self/exe");
    pc = (uint64_t) (uintptr_t) _start - map->l_addr + module.info.dlpi_addr;

    cr_assert(eh_frame_find(&module.loaded, pc, &row));
    cr_expect(row.root);
    cr_expect(eh_frame_find(&module.loaded, pc + 20, &row));
    cr_expect(row.root);

    mapped_module_close(&module);
    mapped_module_open(&module, LIBC);

    for (i = 0; i < 20000; i++) {
        pc = module.info.dlpi_addr + 0x28000
             + fixture_random(&state) % 0x140000;
        if (eh_frame_find(&module.loaded, pc, &row) && row.root) {
            /* clone(), clone3(), __start_context(): small and in assembly */
            cr_expect_lt(row.end - row.start, 256);
            found++;
        }
    }

    cr_expect_lt(found, 20);
    mapped_module_close(&module);
}


Test(eh_frame, reads_its_copies_only)
{
    uint64_t               word, at;
    struct mapped_module   module;
    struct unwind_section *section;

    mapped_module_open(&module, NGINX);
    section = &module.loaded.eh_frame;

    for (at = section->start - 16; at < section->start + section->size + 16;
         at++) {
        bool inside = at >= section->start
                      && at + sizeof(word) <= section->start + section->size;

        if (at + 8 > module.loaded.eh_frame_hdr.start
            && at < module.loaded.eh_frame_hdr.start
                        + module.loaded.eh_frame_hdr.size) {
            continue;
        }

        cr_assert_eq(eh_frame_read(&module.loaded, at, &word, sizeof(word)),
                     inside);
        if (inside) {
            cr_assert_eq(memcmp(&word, (void *) at, sizeof(word)), 0);
        }
    }

    cr_expect_not(eh_frame_read(&module.loaded, 0, &word, 8));
    cr_expect_not(eh_frame_read(&module.loaded, UINT64_MAX - 3, &word, 8));
    cr_expect_not(
        eh_frame_read(&module.loaded, section->start, &word, UINT64_MAX));
    mapped_module_close(&module);
}


/* A module's image of one page, with a page behind it that can't be read. */
struct small_image {
    unsigned char *page;
    ElfW(Phdr) headers[2];
    struct dl_phdr_info info;
};


static void
small_image_make(struct small_image *image, const struct mapped_module *from)
{
    int32_t  offset = 0x800 - 4;
    uint32_t count = 200;

    memset(image, 0, sizeof(*image));
    image->page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(image->page + 4096, 4096, PROT_NONE);

    image->page[0] = 1;
    image->page[1] = 0x1b;
    image->page[2] = 0x03;
    image->page[3] = 0x3b;
    memcpy(image->page + 4, &offset, 4);
    memcpy(image->page + 8, &count, 4);
    memcpy(image->page + 12, from->loaded.eh_frame_hdr.copy + 12, 0x800 - 12);
    memcpy(image->page + 0x800, from->loaded.eh_frame.copy, 0x7f0);

    image->headers[0].p_type = PT_LOAD;
    image->headers[0].p_filesz = image->headers[0].p_memsz = 4096;
    image->headers[1].p_type = PT_GNU_EH_FRAME;
    image->headers[1].p_memsz = image->headers[1].p_filesz = 12 + 8 * count;
    image->info.dlpi_addr = (ElfW(Addr)) image->page;
    image->info.dlpi_phdr = image->headers;
    image->info.dlpi_phnum = 2;
}


static void
image_look(struct small_image *image, uint64_t *state)
{
    unsigned             i;
    struct eh_frame_row  row;
    struct loaded_module module = {0};

    eh_frame_copy(&module, &image->info);
    cr_assert(module.fde_count == 0
              || eh_frame_unchanged(&module, &image->info));

    for (i = 0; i < 8; i++) {
        (void) eh_frame_find(&module,
                             module.hdr_address - 0x10000
                                 + fixture_random(state) % 0x20000,
                             &row);
    }

    free(module.eh_frame.copy);
    free(module.eh_frame_hdr.copy);
}


Test(eh_frame, survives_any_header, .timeout = 60)
{
    unsigned             i, flips;
    uint64_t             state = 99;
    unsigned char        saved[4096];
    struct small_image   image;
    struct mapped_module from;

    mapped_module_open(&from, NGINX);
    small_image_make(&image, &from);
    memcpy(saved, image.page, sizeof(saved));

    for (i = 0; i < 20000; i++) {
        for (flips = 1 + fixture_random(&state) % 4; flips > 0; flips--) {
            /* the header, or anything */
            image.page[fixture_random(&state) % (flips % 2 ? 12 : 4096)]
                = (unsigned char) fixture_random(&state);
        }

        image.headers[1].p_memsz = fixture_random(&state) % 5000;
        image_look(&image, &state);
        memcpy(image.page, saved, sizeof(saved));
    }

    mapped_module_close(&from);
}
