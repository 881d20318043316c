
/*
 * GOT patching; see got_patch.h. The tables are walked as the System V ABI's
 * x86-64 supplement describes them: DT_JMPREL for calls through the PLT, and
 * DT_RELA for those compiled with -fno-plt.
 */


#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "got_patch.h"


struct got_patch {
    const struct got_redirect *redirects;
    size_t                     n_redirects;

    /* Only the main program's, which is the loader's first module. */
    bool program;

    /* Only those of the module that has this address; NULL if of all. */
    void *code;

    /* As got_patch_all() does. */
    bool all;

    int written;
    int error;
};


/* What DT_* entries of a module say, as addresses. */
struct module_dynamic {
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Rela) * rela;
    size_t rela_count;
    const ElfW(Rela) * plt;
    size_t plt_count;
};


static int  got_patch_visit(struct dl_phdr_info *info, size_t size, void *data);
static void got_patch_table(struct got_patch            *patch,
                            const struct dl_phdr_info   *info,
                            const struct module_dynamic *dynamic,
                            const ElfW(Rela) * rela, size_t count);
static void got_patch_slot(struct got_patch            *patch,
                           const struct dl_phdr_info   *info,
                           const struct module_dynamic *dynamic,
                           const ElfW(Rela) * rela);


static int
got_patch_run(struct got_patch *patch)
{
    dl_iterate_phdr(got_patch_visit, patch);

    return patch->error != 0 ? patch->error : patch->written;
}


int
got_patch(const char *symbol, void *target, void *replacement)
{
    const struct got_redirect redirect = {symbol, &target, replacement};
    struct got_patch patch = {.redirects = &redirect, .n_redirects = 1};

    return got_patch_run(&patch);
}


int
got_patch_program(const char *symbol, void *target, void *replacement)
{
    const struct got_redirect redirect = {symbol, &target, replacement};
    struct got_patch          patch
        = {.redirects = &redirect, .n_redirects = 1, .program = true};

    return got_patch_run(&patch);
}


int
got_patch_module(void *code, const char *symbol, void *target,
                 void *replacement)
{
    const struct got_redirect redirect = {symbol, &target, replacement};
    struct got_patch          patch
        = {.redirects = &redirect, .n_redirects = 1, .code = code};

    return got_patch_run(&patch);
}


int
got_patch_all(const struct got_redirect *redirects, size_t n)
{
    struct got_patch patch
        = {.redirects = redirects, .n_redirects = n, .all = true};

    return got_patch_run(&patch);
}


static bool
module_holds(const struct dl_phdr_info *info, uintptr_t address)
{
    size_t    i;
    uintptr_t start;

    for (i = 0; i < info->dlpi_phnum; i++) {
        start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && address >= start
            && address < start + info->dlpi_phdr[i].p_memsz) {
            return true;
        }
    }

    return false;
}


/* glibc relocates most d_ptr entries in place; the vDSO's it does not. */
static uintptr_t
dynamic_address(const struct dl_phdr_info *info, const ElfW(Dyn) * entry)
{
    return entry->d_un.d_ptr < info->dlpi_addr
               ? info->dlpi_addr + entry->d_un.d_ptr
               : entry->d_un.d_ptr;
}


static void
module_dynamic_read(const struct dl_phdr_info *info,
                    struct module_dynamic     *dynamic)
{
    size_t i;
    const ElfW(Dyn) * entry;

    memset(dynamic, 0, sizeof(*dynamic));

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            break;
        }
    }

    if (i == info->dlpi_phnum) {
        return;
    }

    entry = (const ElfW(Dyn) *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);

    for (/* void */; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            dynamic->symbols = (const void *) dynamic_address(info, entry);
            break;
        case DT_STRTAB:
            dynamic->strings = (const void *) dynamic_address(info, entry);
            break;
        case DT_RELA:
            dynamic->rela = (const void *) dynamic_address(info, entry);
            break;
        case DT_RELASZ:
            dynamic->rela_count = entry->d_un.d_val / sizeof(ElfW(Rela));
            break;
        case DT_JMPREL:
            dynamic->plt = (const void *) dynamic_address(info, entry);
            break;
        case DT_PLTRELSZ:
            dynamic->plt_count = entry->d_un.d_val / sizeof(ElfW(Rela));
            break;
        default:
            break;
        }
    }
}


static void
got_patch_tables(struct got_patch *patch, const struct dl_phdr_info *info)
{
    struct module_dynamic dynamic;

    module_dynamic_read(info, &dynamic);

    if (dynamic.symbols == NULL || dynamic.strings == NULL) {
        return;
    }

    if (dynamic.rela != NULL) {
        got_patch_table(patch, info, &dynamic, dynamic.rela,
                        dynamic.rela_count);
    }

    if (dynamic.plt != NULL) {
        got_patch_table(patch, info, &dynamic, dynamic.plt, dynamic.plt_count);
    }
}


/* Whether the module has the replacements: it is libnprof. */
static bool
patch_is_from(const struct got_patch *patch, const struct dl_phdr_info *info)
{
    return module_holds(info, (uintptr_t) patch->redirects->replacement);
}


static int
got_patch_visit(struct dl_phdr_info *info, size_t size, void *data)
{
    struct got_patch *patch = data;

    (void) size;

    if (patch->code != NULL && !module_holds(info, (uintptr_t) patch->code)) {
        return 0;
    }

    if (patch->all || !patch_is_from(patch, info)) {
        got_patch_tables(patch, info);
    }

    /* anything but 0 ends the loader's list */
    return patch->program ? 1 : 0;
}


/*
 * Whether the page is read-only by PT_GNU_RELRO. The dynamic loader rounds the
 * segment's end down: a last page that it fills in part stays writable, and
 * must stay so, for data are in it.
 */
static bool
page_in_relro(const struct dl_phdr_info *info, uintptr_t page, size_t page_size)
{
    size_t    i;
    uintptr_t start, end;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
            start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            end = start + info->dlpi_phdr[i].p_memsz;
            return page >= (start & ~(page_size - 1))
                   && page < (end & ~(page_size - 1));
        }
    }

    return false;
}


/*
 * Whether the slot can be written to now. The kernel finds out, by an atomic
 * operation that changes nothing: nobody waits for a slot as for a futex.
 */
static bool
slot_is_writable(uintptr_t *slot)
{
    return syscall(SYS_futex, slot, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0,
                   slot, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0))
           >= 0;
}


/*
 * Returns the number of slots that were written, or -errno. A module is in the
 * loader's list before it is relocated and its RELRO pages are protected: until
 * then they are the loader's, who would die of a page that we protected. What is
 * read-only for another reason (addresses in code, DT_TEXTREL) stays as it is.
 */
static int
slot_write(const struct dl_phdr_info *info, uintptr_t *slot, uintptr_t value)
{
    void  *page;
    size_t page_size;

    page_size = (size_t) sysconf(_SC_PAGESIZE);
    page = (void *) ((uintptr_t) slot & ~(page_size - 1));

    if (page_in_relro(info, (uintptr_t) page, page_size)) {
        if (slot_is_writable(slot)) {
            return 0;
        }

        if (mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0) {
            return -errno;
        }

        __atomic_store_n(slot, value, __ATOMIC_RELEASE);

        return mprotect(page, page_size, PROT_READ) != 0 ? -errno : 1;
    }

    if (!slot_is_writable(slot) && errno == EFAULT) {
        return 0;
    }

    __atomic_store_n(slot, value, __ATOMIC_RELEASE);

    return 1;
}


/* Whether a relocation's word is the address of a function that is to be
   redirected. Of our own data that is what the replacements call. */
static bool
relocation_fits(const struct got_patch *patch, const struct dl_phdr_info *info,
                const ElfW(Rela) * rela)
{
    switch (ELF64_R_TYPE(rela->r_info)) {
    case R_X86_64_JUMP_SLOT:
    case R_X86_64_GLOB_DAT:
        return true;
    case R_X86_64_64:
        return patch->all && rela->r_addend == 0 && !patch_is_from(patch, info);
    default:
        return false;
    }
}


static const struct got_redirect *
redirect_find(const struct got_patch *patch, const char *symbol)
{
    size_t i;

    for (i = 0; i < patch->n_redirects; i++) {
        if (strcmp(symbol, patch->redirects[i].symbol) == 0) {
            return &patch->redirects[i];
        }
    }

    return NULL;
}


static const ElfW(Sym)
    * relocation_symbol(const struct module_dynamic *dynamic,
                        const ElfW(Rela) * rela)
{
    return &dynamic->symbols[ELF64_R_SYM(rela->r_info)];
}


/* What the relocation's function is redirected to, or NULL. */
static const struct got_redirect *
relocation_redirect(const struct got_patch      *patch,
                    const struct module_dynamic *dynamic,
                    const ElfW(Rela) * rela)
{
    return redirect_find(
        patch, dynamic->strings + relocation_symbol(dynamic, rela)->st_name);
}


static void
got_patch_table(struct got_patch *patch, const struct dl_phdr_info *info,
                const struct module_dynamic *dynamic, const ElfW(Rela) * rela,
                size_t                       count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (relocation_fits(patch, info, &rela[i])) {
            got_patch_slot(patch, info, dynamic, &rela[i]);
        }
    }
}


/* Whether a function that the module does not have is bound, lazily, to the
   module's own PLT still. */
static bool
slot_is_unbound(const struct dl_phdr_info *info, const ElfW(Rela) * rela,
                const ElfW(Sym) * symbol)
{
    const uintptr_t *slot;

    slot = (const uintptr_t *) (info->dlpi_addr + rela->r_offset);

    return ELF64_R_TYPE(rela->r_info) == R_X86_64_JUMP_SLOT
           && symbol->st_shndx == SHN_UNDEF && module_holds(info, *slot);
}


static bool
table_binds_elsewhere(const struct got_patch      *patch,
                      const struct dl_phdr_info   *info,
                      const struct module_dynamic *dynamic,
                      const ElfW(Rela) * rela, size_t count)
{
    size_t    i;
    unsigned  type;
    uintptr_t bound;
    const ElfW(Sym) * symbol;
    const struct got_redirect *redirect;

    for (i = 0; i < count; i++) {
        type = ELF64_R_TYPE(rela[i].r_info);
        symbol = relocation_symbol(dynamic, &rela[i]);

        if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
            || symbol->st_shndx != SHN_UNDEF
            || slot_is_unbound(info, &rela[i], symbol)) {
            continue;
        }

        redirect = relocation_redirect(patch, dynamic, &rela[i]);
        bound = *(const uintptr_t *) (info->dlpi_addr + rela[i].r_offset);

        if (redirect != NULL && bound != 0
            && bound != (uintptr_t) *redirect->target
            && bound != (uintptr_t) redirect->replacement) {
            return true;
        }
    }

    return false;
}


/*
 * Whether a function of the redirects is another one to the module than to the
 * process, as RTLD_DEEPBIND has it. Then those that are not bound yet may be,
 * too: a free() of ours would give one allocator's block to another.
 */
static bool
module_binds_elsewhere(const struct got_patch      *patch,
                       const struct dl_phdr_info   *info,
                       const struct module_dynamic *dynamic)
{
    return (dynamic->rela != NULL
            && table_binds_elsewhere(patch, info, dynamic, dynamic->rela,
                                     dynamic->rela_count))
           || (dynamic->plt != NULL
               && table_binds_elsewhere(patch, info, dynamic, dynamic->plt,
                                        dynamic->plt_count));
}


static void
got_patch_slot(struct got_patch *patch, const struct dl_phdr_info *info,
               const struct module_dynamic *dynamic, const ElfW(Rela) * rela)
{
    int                        rc;
    uintptr_t                 *slot;
    const struct got_redirect *redirect;

    redirect = relocation_redirect(patch, dynamic, rela);
    if (redirect == NULL) {
        return;
    }

    slot = (uintptr_t *) (info->dlpi_addr + rela->r_offset);

    /* calls read it meanwhile: it has to change at once */
    if ((uintptr_t) slot % sizeof(*slot) != 0) {
        return;
    }

    /* a module that defines the function may be bound to its own */
    if (*slot != (uintptr_t) *redirect->target
        && (!slot_is_unbound(info, rela, relocation_symbol(dynamic, rela))
            || module_binds_elsewhere(patch, info, dynamic))) {
        return;
    }

    rc = slot_write(info, slot, (uintptr_t) redirect->replacement);
    if (rc >= 0) {
        patch->written += rc;

    } else if (patch->error == 0) {
        patch->error = rc;
    }
}
