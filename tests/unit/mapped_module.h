/*
 * An ELF file mapped as the dynamic loader would map it, without being loaded:
 * its unwind data can be looked at wherever it comes from, nginx itself too.
 */

#ifndef TESTS_MAPPED_MODULE_H
#define TESTS_MAPPED_MODULE_H

#include <criterion/criterion.h>

#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unwind/eh_frame.h"


struct mapped_module {
    int  fd;
    Elf *elf;
    ElfW(Phdr) headers[32];
    struct dl_phdr_info  info;
    struct loaded_module loaded;

    /* Of the mapping at info.dlpi_addr. */
    size_t size;
};


static inline void
mapped_module_segment(struct mapped_module *module, const ElfW(Phdr) * segment)
{
    uint64_t start = segment->p_vaddr & ~4095ull;
    uint64_t slack = segment->p_vaddr - start;
    void    *at = (void *) (module->info.dlpi_addr + start);

    cr_assert_neq(mmap(at, segment->p_filesz + slack, PROT_READ,
                       MAP_PRIVATE | MAP_FIXED, module->fd,
                       (off_t) (segment->p_offset - slack)),
                  MAP_FAILED);
}


static inline void
mapped_module_open(struct mapped_module *module, const char *path)
{
    size_t   i, n;
    uint64_t end = 0;
    void    *base;

    memset(module, 0, sizeof(*module));
    elf_version(EV_CURRENT);
    module->fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(module->fd, 0, "%s", path);
    module->elf = elf_begin(module->fd, ELF_C_READ_MMAP, NULL);
    cr_assert_not_null(module->elf);
    cr_assert_eq(elf_getphdrnum(module->elf, &n), 0);
    cr_assert_leq(n, 32);

    for (i = 0; i < n; i++) {
        gelf_getphdr(module->elf, (int) i, &module->headers[i]);
        if (module->headers[i].p_type == PT_LOAD) {
            end = module->headers[i].p_vaddr + module->headers[i].p_memsz;
        }
    }

    base
        = mmap(NULL, end + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(base, MAP_FAILED);
    module->info.dlpi_addr = (ElfW(Addr)) base;
    module->info.dlpi_name = path;
    module->info.dlpi_phdr = module->headers;
    module->info.dlpi_phnum = (ElfW(Half)) n;

    for (i = 0; i < n; i++) {
        if (module->headers[i].p_type == PT_LOAD) {
            mapped_module_segment(module, &module->headers[i]);
        }
    }

    eh_frame_copy(&module->loaded, &module->info);
}


static inline void
mapped_module_close(struct mapped_module *module)
{
    free(module->loaded.eh_frame_hdr.copy);
    free(module->loaded.eh_frame.copy);
    munmap((void *) module->info.dlpi_addr, module->size);
    elf_end(module->elf);
    close(module->fd);
}


#endif /* TESTS_MAPPED_MODULE_H */
