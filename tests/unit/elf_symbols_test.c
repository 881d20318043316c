/*
 * Names within symbol bounds: against nm for the stripped nginx, libcrypto and
 * libc, aliases, PLT stubs, and files that are broken.
 */

#include "symbol_fixture.h"

#include <errno.h>
#include <sys/mman.h>

#include "symbolize/elf_symbols.h"


#define SYMBOLS_MAX 20000


struct nm_symbol {
    uint64_t start;
    uint64_t size;
    char     name[120];
};


static struct nm_symbol nm_symbols[SYMBOLS_MAX];
static size_t           n_nm_symbols;


/* Functions as `nm -DS` has them: address, size, type, name. */
static void
read_nm(const char *path)
{
    char              line[4096], name[4000], type;
    FILE             *pipe;
    struct nm_symbol *symbol;

    snprintf(line, sizeof(line), "nm -DS --defined-only %s", path);
    pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    n_nm_symbols = 0;

    while (fgets(line, sizeof(line), pipe) != NULL) {
        symbol = &nm_symbols[n_nm_symbols];

        if (sscanf(line, "%lx %lx %c %3999s", &symbol->start, &symbol->size,
                   &type, name)
                != 4
            || strchr("TtWwi", type) == NULL) {
            continue;
        }

        name[strcspn(name, "@")] = '\0';
        snprintf(symbol->name, sizeof(symbol->name), "%.119s", name);
        cr_assert_lt(++n_nm_symbols, SYMBOLS_MAX);
    }

    pclose(pipe);
    cr_assert_gt(n_nm_symbols, 100);
}


/* 1 if nm has a symbol of that name that holds the address; of any if NULL. */
static int
nm_holds(uint64_t address, const char *name)
{
    size_t i;

    for (i = 0; i < n_nm_symbols; i++) {
        if (address >= nm_symbols[i].start
            && address - nm_symbols[i].start < nm_symbols[i].size
            && (name == NULL || strcmp(nm_symbols[i].name, name) == 0)) {
            return 1;
        }
    }

    return 0;
}


static struct elf_symbols *
open_symbols(const char *path)
{
    int                 fd = open(path, O_RDONLY | O_CLOEXEC);
    struct elf_file     elf;
    struct elf_symbols *symbols;

    cr_assert_eq(elf_file_open(&elf, fd), 0, "%s", path);
    cr_assert_eq(elf_symbols_open(&symbols, &elf, NULL), 0);
    elf_file_close(&elf);
    close(fd);

    return symbols;
}


static void
compare_with_nm(const char *path)
{
    size_t              i;
    uint64_t            start, size, address, state = 99;
    const char         *name;
    struct elf_symbols *symbols;

    read_nm(path);
    fixture_text(path, &start, &size);
    symbols = open_symbols(path);

    for (i = 0; i < 5000; i++) {
        address = start + fixture_random(&state) % size;
        name = elf_symbols_find(symbols, address);
        cr_assert_eq(nm_holds(address, name), name != NULL, "%s %#lx: %s", path,
                     address, name ? name : "nothing");
    }

    for (i = 0; i < n_nm_symbols; i++) {
        address = nm_symbols[i].start;
        name = elf_symbols_find(symbols, address);
        cr_assert_eq(nm_holds(address, name), name != NULL, "%s", path);

        /* The byte behind a symbol is another's or nobody's. */
        address += nm_symbols[i].size;
        name = elf_symbols_find(symbols, address);
        cr_assert(name == NULL || strstr(name, "@plt")
                      || nm_holds(address, name),
                  "%s %#lx: %s", path, address, name);
    }

    elf_symbols_close(symbols);
}


Test(elf_symbols, nginx_has_the_names_that_nm_shows_and_no_others)
{
    compare_with_nm(NGINX);
}


Test(elf_symbols, libcrypto_has_the_names_that_nm_shows_and_no_others)
{
    compare_with_nm(CRYPTO);
}


Test(elf_symbols, libc_has_the_names_that_nm_shows_and_no_others)
{
    compare_with_nm(LIBC);
}


Test(elf_symbols, of_aliases_the_exported_one_without_underscores_is_taken)
{
    size_t              i;
    uint64_t            address;
    struct elf_symbols *symbols = open_symbols(LIBC);
    static const char  *names[] = {"qsort_r", "write", "malloc", "epoll_wait"};

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        address = fixture_address("nm -D", LIBC, names[i]);
        cr_assert_neq(address, 0);
        cr_expect_str_eq(elf_symbols_find(symbols, address), names[i]);
        cr_expect_str_eq(elf_symbols_find(symbols, address + 1), names[i]);
    }

    elf_symbols_close(symbols);
}


/* objdump names stubs "NAME@plt" too; it is asked for all of them. */
static void
compare_plt(const char *path)
{
    char                line[4096], name[4000];
    FILE               *pipe;
    size_t              n = 0;
    uint64_t            address;
    const char         *found;
    struct elf_symbols *symbols = open_symbols(path);

    snprintf(line, sizeof(line),
             "objdump -d --no-show-raw-insn %s | grep '@plt>:'", path);
    pipe = popen(line, "r");

    while (fgets(line, sizeof(line), pipe) != NULL) {
        cr_assert_eq(sscanf(line, "%lx <%3999[^>]", &address, name), 2);

        if (name[0] == '*' || strstr(name, "@plt") == NULL) {
            /* *ABS*+0x...: an address that objdump has no name for. */
            continue;
        }

        found = elf_symbols_find(symbols, address + 1);
        cr_assert_not_null(found, "%s: %s", path, name);
        cr_expect_str_eq(found, name, "%s", path);
        n++;
    }

    pclose(pipe);
    cr_expect_gt(n, 1, "%s", path);
    elf_symbols_close(symbols);
}


Test(elf_symbols, plt_stubs_have_the_names_that_objdump_shows,
     .init = fixture_setup, .fini = fixture_teardown)
{
    compare_plt(NGINX);
    compare_plt(LIBC);
    compare_plt(fixture_compile("cc", "inlined_calls.c", "-Wl,-z,now"));
    compare_plt(fixture_compile("cc", "inlined_calls.c", "-Wl,-z,lazy"));
    compare_plt(fixture_compile("cc", "inlined_calls.c",
                                "-fcf-protection -Wl,-z,ibtplt"));
}


/* strlen is an ifunc: calls inside libc go through a stub without a symbol. */
Test(elf_symbols, a_stub_of_an_ifunc_has_the_name_of_its_resolver)
{
    char                line[4096];
    FILE               *pipe;
    size_t              n = 0;
    uint64_t            address;
    const char         *found;
    struct elf_symbols *symbols = open_symbols(LIBC);

    pipe = popen("objdump -d --no-show-raw-insn " LIBC
                 " | grep '<\\*ABS\\*+0x[0-9a-f]*@plt>:'",
                 "r");

    while (fgets(line, sizeof(line), pipe) != NULL) {
        cr_assert_eq(sscanf(line, "%lx", &address), 1);
        found = elf_symbols_find(symbols, address);
        if (found != NULL) {
            cr_expect_str_eq(strchr(found, '@'), "@plt");
            n += strcmp(found, "strlen@plt") == 0;
        }
    }

    pclose(pipe);
    cr_expect_geq(n, 1);
    elf_symbols_close(symbols);
}


/* A module of n stubs that all call the function of one name. */
static struct elf_symbols *
open_stubs(unsigned n, unsigned name_length, uint64_t *first)
{
    char              path[256];
    int               fd;
    struct elf_file   elf;
    const Elf64_Shdr *stubs;

    fixture_run("cd %s && { echo '.section .plt.sec,\"ax\"'; echo '.rept %u'; "
                "printf 'jmp *a%%0*d@GOTPCREL(%%%%rip)\n' %u 0; "
                "printf '%%s\n' '.balign 16' .endr '.section .note.GNU-stack';"
                " } > stubs.s && cc -shared -o libstubs.so stubs.s",
                fixture_folder, n, name_length - 1);
    snprintf(path, sizeof(path), "%s/libstubs.so", fixture_folder);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(elf_file_open(&elf, fd), 0);
    stubs = elf_file_section(&elf, ".plt.sec");
    cr_assert_not_null(stubs);
    cr_assert_geq(stubs->sh_size, 16ul * n);
    *first = stubs->sh_addr;
    elf_file_close(&elf);
    close(fd);

    return open_symbols(path);
}


/* Each stub has a copy of the name: 64 MB of them here. */
Test(elf_symbols, stubs_that_share_a_long_name_are_bounded,
     .init = fixture_setup, .fini = fixture_teardown)
{
    uint64_t            first;
    const char         *name;
    struct elf_symbols *symbols = open_stubs(4096, 16000, &first);

    name = elf_symbols_find(symbols, first);
    cr_assert_not_null(name);
    cr_expect_eq(strlen(name), 16000 + strlen("@plt"));
    cr_expect_not_null(elf_symbols_find(symbols, first + 16 * 1000));
    cr_expect_null(elf_symbols_find(symbols, first + 16 * 4095));

    elf_symbols_close(symbols);
}


Test(elf_symbols, a_stub_of_a_name_without_end_has_none, .init = fixture_setup,
     .fini = fixture_teardown)
{
    uint64_t            first;
    struct elf_symbols *symbols = open_stubs(2, 20000, &first);

    cr_expect_null(elf_symbols_find(symbols, first));
    elf_symbols_close(symbols);
}


Test(elf_symbols, a_symbol_without_a_size_names_nothing, .init = fixture_setup,
     .fini = fixture_teardown)
{
    uint64_t            bare, sized;
    const char         *path;
    struct elf_symbols *symbols;

    fixture_run("printf '%%s\\n' .text '.globl bare' '.type bare,@function' "
                "bare: '.fill 64,1,0x90' '.globl sized' "
                "'.type sized,@function' sized: nop nop '.size sized,2' "
                "'.fill 62,1,0x90' '.section .note.GNU-stack' > %s/bare.s",
                fixture_folder);
    path = "libbare.so";
    fixture_run("cc -shared -o %s/%s %s/bare.s", fixture_folder, path,
                fixture_folder);

    char full[256];
    snprintf(full, sizeof(full), "%s/%s", fixture_folder, path);
    bare = fixture_address("nm", full, "bare");
    sized = fixture_address("nm", full, "sized");
    symbols = open_symbols(full);

    cr_expect_null(elf_symbols_find(symbols, bare));
    cr_expect_null(elf_symbols_find(symbols, bare + 10));
    cr_expect_str_eq(elf_symbols_find(symbols, sized), "sized");
    cr_expect_str_eq(elf_symbols_find(symbols, sized + 1), "sized");
    cr_expect_null(elf_symbols_find(symbols, sized + 2));

    elf_symbols_close(symbols);
}


Test(elf_file, what_is_no_elf_file_is_refused)
{
    int             fd;
    struct elf_file elf;

    fd = open("/etc/passwd", O_RDONLY);
    cr_expect_eq(elf_file_open(&elf, fd), -ENOEXEC);
    close(fd);

    fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    cr_expect_eq(elf_file_open(&elf, fd), -ENOEXEC);
    close(fd);

    cr_expect_eq(elf_file_open(&elf, 9999), -EBADF);

    fd = memfd_create("empty", 0);
    cr_expect_eq(elf_file_open(&elf, fd), -ENOEXEC);
    close(fd);
}


Test(elf_file, the_offset_of_a_shared_descriptor_stays)
{
    int                 fd = open(NGINX, O_RDONLY);
    struct elf_file     elf;
    struct elf_symbols *symbols;

    cr_assert_eq(lseek(fd, 12345, SEEK_SET), 12345);
    cr_assert_eq(elf_file_open(&elf, fd), 0);
    cr_assert_eq(elf_symbols_open(&symbols, &elf, NULL), 0);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), 12345);

    elf_symbols_close(symbols);
    elf_file_close(&elf);
    close(fd);
}


static void
claim_size(int fd, const Elf64_Shdr *section, uint64_t size)
{
    cr_assert_eq(
        pwrite(fd, &size, sizeof(size),
               (off_t) (section->sh_offset + offsetof(Elf64_Chdr, ch_size))),
        sizeof(size));
}


/* The size of a compressed section is in the file: who writes there between
   two readings of it must not have more written than there is room for. */
Test(elf_file, a_section_that_grew_is_not_read, .init = fixture_setup,
     .fini = fixture_teardown)
{
    int               fd;
    size_t            i;
    uint8_t          *to;
    uint64_t          size, room = 64;
    struct elf_file   elf;
    const Elf64_Shdr *info;

    fd = open(fixture_compile("cc", "inlined_calls.c", "-gz"), O_RDWR);
    cr_assert_eq(elf_file_open(&elf, fd), 0);
    info = elf_file_section(&elf, ".debug_info");
    cr_assert(info->sh_flags & SHF_COMPRESSED);
    size = elf_file_section_size(&elf, info);
    cr_assert_gt(size, room);

    to = malloc(size);
    memset(to, 0xa5, size);
    claim_size(fd, info, room);
    cr_assert_eq(elf_file_section_size(&elf, info), room);
    claim_size(fd, info, size);

    cr_expect_eq(elf_file_read(&elf, info, to, room), -ENOEXEC);
    for (i = room; i < size; i++) {
        cr_assert_eq(to[i], 0xa5, "%zu bytes, in room for %lu", i, room);
    }

    cr_expect_eq(elf_file_read(&elf, info, to, size), 0);
    claim_size(fd, info, room);
    cr_expect_eq(elf_file_read(&elf, info, to, size), -ENOEXEC);

    free(to);
    elf_file_close(&elf);
    close(fd);
}


struct note {
    Elf64_Nhdr header;
    char       name[4];
    uint32_t   description;
};


/* An ELF file of notes only: many sections of one note, then the build id. */
struct note_file {
    Elf64_Ehdr  header;
    struct note other;
    struct note id;
    Elf64_Shdr  sections[1002];
};


static void
make_notes(struct note_file *image, unsigned n_before)
{
    unsigned i;

    *image = (struct note_file){
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                               ELFDATA2LSB},
                   .e_type = ET_DYN,
                   .e_shoff = offsetof(struct note_file, sections),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = (Elf64_Half) (n_before + 2)},
        .other = {{4, 4, NT_GNU_ABI_TAG}, "GNU", 1},
        .id = {{4, 4, NT_GNU_BUILD_ID}, "GNU", 0x12345678},
    };

    for (i = 1; i <= n_before + 1; i++) {
        image->sections[i].sh_type = SHT_NOTE;
        image->sections[i].sh_size = sizeof(struct note);
        image->sections[i].sh_offset = i <= n_before
                                           ? offsetof(struct note_file, other)
                                           : offsetof(struct note_file, id);
    }
}


/* Section headers may all name the same bytes, so that a small file has more
   notes than there is memory. */
Test(elf_file, a_build_id_is_not_looked_for_without_end)
{
    uint32_t         id = 0;
    struct elf_file  elf;
    struct note_file image;

    make_notes(&image, 20);
    cr_assert_eq(elf_file_open_image(&elf, &image, sizeof(image)), 0);
    cr_expect_eq(elf_file_build_id(&elf, (uint8_t *) &id, sizeof(id)), 4);
    cr_expect_eq(id, 0x12345678);
    elf_file_close(&elf);

    make_notes(&image, 1000);
    cr_assert_eq(elf_file_open_image(&elf, &image, sizeof(image)), 0);
    cr_expect_eq(elf_file_build_id(&elf, (uint8_t *) &id, sizeof(id)), 0);
    elf_file_close(&elf);
}


/* An address in all of local, hidden, underscored and plain names. */
Test(elf_symbols, an_exported_name_beats_a_shorter_one, .init = fixture_setup,
     .fini = fixture_teardown)
{
    char                path[256];
    uint64_t            address;
    struct elf_symbols *symbols;

    fixture_run("printf '%%s\\n' .text '.type a,@function' "
                "'.type __bc,@function' '.type plain_name,@function' "
                "'.type hid,@function' '.globl __bc, plain_name, hid' "
                "'.hidden hid' a: __bc: hid: plain_name: '.fill 8,1,0x90' "
                "'.size a,8' '.size __bc,8' '.size hid,8' "
                "'.size plain_name,8' '.section .note.GNU-stack' > %s/alias.s "
                "&& cc -shared -o %s/libalias.so %s/alias.s",
                fixture_folder, fixture_folder, fixture_folder);
    snprintf(path, sizeof(path), "%s/libalias.so", fixture_folder);

    address = fixture_address("nm", path, "plain_name");
    cr_assert_eq(fixture_address("nm", path, "a"), address);
    symbols = open_symbols(path);
    cr_expect_str_eq(elf_symbols_find(symbols, address + 7), "plain_name");

    elf_symbols_close(symbols);
}


/* Whatever an image claims, nothing is read behind its end. */
Test(elf_file, an_image_is_not_left, .init = fixture_setup,
     .fini = fixture_teardown)
{
    int      fd = open(fixture_compile("cc", "inlined_calls.c", ""), O_RDONLY);
    char    *map, *image;
    size_t   cut, i, size = (size_t) lseek(fd, 0, SEEK_END);
    size_t   room = (size + 4095) / 4096 * 4096;
    uint64_t state = 17;
    struct elf_file     elf;
    struct elf_symbols *symbols;

    /* A page that can't be read follows. */
    map = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_eq(mprotect(map + room, 4096, PROT_NONE), 0);

    for (i = 0; i < 3000; i++) {
        cut = i % 3 ? size : fixture_random(&state) % size;
        image = map + room - cut;
        cr_assert_eq(pread(fd, image, cut, 0), (ssize_t) cut);

        if (cut == size) {
            /* A section's offset and size are in its header, at the end. */
            image[size - 1 - fixture_random(&state) % 2400]
                = (char) fixture_random(&state);
        }

        if (elf_file_open_image(&elf, image, cut) == 0) {
            cr_assert_eq(elf_symbols_open(&symbols, &elf, NULL), 0);
            elf_symbols_close(symbols);
            elf_file_close(&elf);
        }
    }

    munmap(map, room + 4096);
    close(fd);
}
