/*
 * Lines and inlined calls: against addr2line for our own code and for libc,
 * with the forms of DWARF that compilers make; and corrupt files, which must
 * neither crash nor hang.
 */

#include "symbol_fixture.h"

#include <errno.h>
#include <glob.h>
#include <sys/mman.h>
#include <time.h>

#include "symbolize/debug_sections.h"
#include "symbolize/symbolizer.h"


#define ADDRESSES 1000


struct place {
    char     function[300];
    char     file[300];
    uint32_t line;
};


struct places {
    struct place places[DWARF_LINES_MAX_FRAMES];
    unsigned     n;
};


static struct places oracle[ADDRESSES];


/* "a/./b/x/../c" is "a/b/c"; tools differ in how much of that they leave. */
static void
tidy(char *path)
{
    char *p, *from;

    while ((p = strstr(path, "/./")) != NULL) {
        memmove(p, p + 2, strlen(p + 2) + 1);
    }

    while ((p = strstr(path, "/../")) != NULL && p > path) {
        for (from = p; from > path && from[-1] != '/'; from--) {
            /* the folder before it */
        }
        memmove(from, p + 4, strlen(p + 4) + 1);
    }
}


/* Asks addr2line for all addresses at once: "0xADDR", then two lines a frame. */
static void
ask_addr2line(const char *path, const uint64_t *addresses, size_t n)
{
    char          line[4096], *colon;
    char          input[128];
    FILE         *file, *pipe;
    size_t        i;
    struct place *place;

    snprintf(input, sizeof(input), "%s/addresses", fixture_folder);
    file = fopen(input, "w");
    for (i = 0; i < n; i++) {
        fprintf(file, "%#lx\n", addresses[i]);
    }
    fclose(file);

    snprintf(line, sizeof(line), "addr2line -afi -e %s < %s", path, input);
    pipe = popen(line, "r");
    memset(oracle, 0, sizeof(oracle));

    for (i = (size_t) -1; fgets(line, sizeof(line), pipe) != NULL;) {
        line[strcspn(line, "\n")] = '\0';

        if (strncmp(line, "0x", 2) == 0) {
            i++;
            cr_assert_lt(i, n);
            cr_assert_eq(strtoull(line, NULL, 16), addresses[i]);
            continue;
        }

        place = &oracle[i].places[oracle[i].n++];
        snprintf(place->function, sizeof(place->function), "%.299s", line);

        cr_assert_not_null(fgets(line, sizeof(line), pipe));
        colon = strrchr(line, ':');
        *colon = '\0';
        place->line = (uint32_t) atoi(colon + 1);
        snprintf(place->file, sizeof(place->file), "%.299s", line);
        tidy(place->file);
    }

    cr_assert_eq(i, n - 1);
    pclose(pipe);
}


static void
full_path(char *to, size_t size, const struct dwarf_frame *frame)
{
    if (frame->folder != NULL) {
        snprintf(to, size, "%s/%s", frame->folder, frame->file);
    } else {
        snprintf(to, size, "%s", frame->file ? frame->file : "??");
    }

    tidy(to);
}


/* Draws addresses in .text, and asks addr2line for them. */
static void
ask_at_random(const char *path, uint64_t *addresses)
{
    size_t   i;
    uint64_t start, size, state = 5;

    fixture_text(path, &start, &size);

    for (i = 0; i < ADDRESSES; i++) {
        addresses[i] = start + fixture_random(&state) % size;
    }

    ask_addr2line(path, addresses, ADDRESSES);
}


/*
 * Returns how many answers name another file than addr2line. bfd gives lines
 * of an #include'd body the name of the including file, so that count may be
 * more than 0 for libc; lines and the number of frames have to be equal.
 */
static unsigned
compare_with_addr2line(const char *path)
{
    char                file[600];
    size_t              i;
    unsigned            j, n, other_file = 0, known = 0;
    uint64_t            addresses[ADDRESSES];
    struct dwarf_frame  frames[DWARF_LINES_MAX_FRAMES];
    struct dwarf_lines *lines = fixture_lines(path);

    ask_at_random(path, addresses);

    for (i = 0; i < ADDRESSES; i++) {
        n = dwarf_lines_find(lines, addresses[i], frames);

        if (n == 0 || frames[0].line == 0) {
            cr_assert_eq(oracle[i].places[0].line, 0, "%#lx", addresses[i]);
            continue;
        }

        known++;
        cr_assert_eq(n, oracle[i].n, "%s %#lx: %u, not %u", path, addresses[i],
                     n, oracle[i].n);

        for (j = 0; j < n; j++) {
            cr_assert_eq(frames[j].line, oracle[i].places[j].line,
                         "%s %#lx: line %u, not %u", path, addresses[i],
                         frames[j].line, oracle[i].places[j].line);

            full_path(file, sizeof(file), &frames[j]);
            other_file += strcmp(file, oracle[i].places[j].file) != 0;

            /* The function's own name is the symbol table's business. */
            if (j + 1 < n) {
                cr_assert_str_eq(frames[j].function,
                                 oracle[i].places[j].function);
            }
        }
    }

    cr_assert_gt(known, 50);
    dwarf_lines_close(lines);

    return other_file;
}


Test(dwarf_lines, our_code_is_as_addr2line_has_it, .init = fixture_setup,
     .fini = fixture_teardown)
{
    size_t             i;
    static const char *options[]
        = {"",    "-gdwarf-4", "-gdwarf-5 -gz", "-O3 -funroll-loops",
           "-O0", "-g1",       "-Og",           "-ffunction-sections"};

    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        cr_expect_eq(compare_with_addr2line(
                         fixture_compile("cc", "inlined_calls.c", options[i])),
                     0, "%s", options[i]);
    }

    cr_expect_eq(
        compare_with_addr2line(fixture_compile("c++", "mangled_names.cc", "")),
        0);
}


/* Whether the names are of one function: the file's may have what the compiler
   appended to it (".part.0"). */
static bool
same_function(const char *system_name, const char *dwarf)
{
    size_t len = strlen(dwarf);

    return strncmp(system_name, dwarf, len) == 0
           && (system_name[len] == '\0' || system_name[len] == '.');
}


/* Whether it is the name of this very address: it is in no function, by symbols
   and unwind data. The padding after one is, which has its last line. */
static bool
in_no_function(const char *name, const char *path, uint64_t address)
{
    char expected[300];

    snprintf(expected, sizeof(expected), "%s+%#lx", strrchr(path, '/') + 1,
             address);

    return strcmp(name, expected) == 0;
}


/* The outermost function, which comes from the symbol table, and the lines of
   all are addr2line's, as a profile has them. */
static void
compare_resolved(const char *path)
{
    size_t                     i, j;
    unsigned                   named = 0;
    uint64_t                   addresses[ADDRESSES];
    struct places             *places;
    struct symbolizer         *symbolizer = symbolizer_create(NULL);
    struct module_identity     module = fixture_identity(path);
    const struct symbol_lines *lines;

    ask_at_random(path, addresses);

    for (i = 0; i < ADDRESSES; i++) {
        cr_assert_eq(
            symbolizer_resolve(symbolizer, &module, addresses[i], &lines), 0);
        places = &oracle[i];

        /* the C run-time's: addr2line takes the nearest symbol there */
        if (places->places[0].line == 0) {
            continue;
        }

        if (lines->named == 0
            && in_no_function(lines->lines[lines->n - 1].function, path,
                              addresses[i])) {
            continue;
        }

        named++;
        cr_assert_eq(lines->n, places->n, "%s %#lx", path, addresses[i]);
        cr_expect(same_function(lines->lines[lines->n - 1].system_name,
                                places->places[places->n - 1].function),
                  "%s %#lx: %s, not %s", path, addresses[i],
                  lines->lines[lines->n - 1].system_name,
                  places->places[places->n - 1].function);

        for (j = 0; j < lines->n; j++) {
            cr_expect_eq(lines->lines[j].line, places->places[j].line,
                         "%s %#lx", path, addresses[i]);
        }
    }

    cr_expect_gt(named, ADDRESSES / 10, "%s: %u", path, named);
    symbolizer_destroy(symbolizer);
    close(module.fd);
}


Test(dwarf_lines, our_modules_are_as_addr2line_has_them, .init = fixture_setup,
     .fini = fixture_teardown)
{
    char        pattern[512];
    size_t      i;
    glob_t      found;
    const char *build = getenv("BUILD");

#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("SKIPPED: a sanitizer adds functions that DWARF has not");
#endif

    build = build != NULL ? build : "build";
    snprintf(pattern, sizeof(pattern), "%s/{modules,algorithms}/*.so", build);
    cr_assert_eq(glob(pattern, GLOB_BRACE, NULL, &found), 0, "%s", pattern);

    /* the glue, the library, the count module, and two plug-ins or three */
    cr_assert_geq(found.gl_pathc, 5);

    for (i = 0; i < found.gl_pathc; i++) {
        cr_expect_eq(compare_with_addr2line(found.gl_pathv[i]), 0, "%s",
                     found.gl_pathv[i]);
        compare_resolved(found.gl_pathv[i]);
    }

    globfree(&found);
}


/* addr2line calls the file "<artificial>". */
Test(dwarf_lines, link_time_optimization_has_the_same_lines,
     .init = fixture_setup, .fini = fixture_teardown)
{
    compare_with_addr2line(fixture_compile("cc", "inlined_calls.c", "-flto"));
}


/* No .debug_aranges, no DW_AT_sibling. */
Test(dwarf_lines, what_clang_makes_is_as_addr2line_has_it,
     .init = fixture_setup, .fini = fixture_teardown)
{
    if (system("command -v clang-14 > /dev/null") != 0) {
        cr_skip_test("SKIPPED: clang-14 is not installed");
    }

    cr_expect_eq(compare_with_addr2line(
                     fixture_compile("clang-14", "inlined_calls.c", "")),
                 0);
    cr_expect_eq(compare_with_addr2line(fixture_compile(
                     "clang-14", "inlined_calls.c", "-gdwarf-4 -O1")),
                 0);
}


Test(dwarf_lines, libc_is_as_addr2line_has_it, .init = fixture_setup,
     .fini = fixture_teardown)
{
    char                   path[256];
    size_t                 i, at;
    struct module_identity libc = fixture_identity(LIBC);

    at = (size_t) sprintf(path, "/usr/lib/debug/.build-id/%02x/",
                          libc.build_id[0]);
    for (i = 1; i < libc.build_id_len; i++) {
        at += (size_t) sprintf(path + at, "%02x", libc.build_id[i]);
    }
    sprintf(path + at, ".debug");

    if (access(path, R_OK) != 0) {
        cr_skip_test("SKIPPED: libc6-dbg is not installed");
    }

    /* A debug file has the bounds of .text, but not its bytes. */
    cr_expect_lt(compare_with_addr2line(path), ADDRESSES / 5);
}


Test(dwarf_lines, inlined_calls_come_innermost_first, .init = fixture_setup,
     .fini = fixture_teardown)
{
    uint64_t            start, size, at;
    unsigned            n, most = 0;
    const char         *path = fixture_compile("cc", "inlined_calls.c", "");
    struct dwarf_frame  frames[DWARF_LINES_MAX_FRAMES];
    struct dwarf_lines *lines = fixture_lines(path);

    fixture_text(path, &start, &size);

    for (at = start; at < start + size; at++) {
        n = dwarf_lines_find(lines, at, frames);
        most = n > most ? n : most;

        if (n == 3) {
            cr_expect_str_eq(frames[0].function, "innermost");
            cr_expect_str_eq(frames[1].function, "middle");
            cr_expect_str_eq(frames[2].function, "fixture_sum");
            cr_expect_gt(frames[0].start_line, 0);
            cr_expect_lt(frames[0].line, frames[1].line);
            cr_expect_lt(frames[1].line, frames[2].line);
        }
    }

    cr_expect_eq(most, 3);
    cr_expect_eq(dwarf_lines_find(lines, 1ull << 40, frames), 0);
    dwarf_lines_close(lines);
}


Test(dwarf_lines, without_debug_information_there_are_no_lines)
{
    int                 fd = open(NGINX, O_RDONLY | O_CLOEXEC);
    struct elf_file     elf;
    struct dwarf_lines *lines;

    cr_assert_eq(elf_file_open(&elf, fd), 0);
    cr_expect_eq(dwarf_lines_open(&lines, &elf, NULL), -ENOENT);
    elf_file_close(&elf);
    close(fd);
}


/* A section that claims to inflate to gigabytes is not believed. */
Test(dwarf_lines, a_compression_bomb_is_refused, .init = fixture_setup,
     .fini = fixture_teardown)
{
    int                 fd;
    uint64_t            claim = 1ull << 40;
    struct elf_file     elf;
    const Elf64_Shdr   *info;
    struct dwarf_lines *lines;

    fd = open(fixture_compile("cc", "inlined_calls.c", "-gz"), O_RDWR);
    cr_assert_eq(elf_file_open(&elf, fd), 0);
    info = elf_file_section(&elf, ".debug_info");
    cr_assert(info->sh_flags & SHF_COMPRESSED);
    cr_assert_eq(pwrite(fd, &claim, 8, (off_t) info->sh_offset + 8), 8);

    cr_expect_eq(elf_file_section_size(&elf, info), 0);
    cr_expect_lt(dwarf_lines_open(&lines, &elf, NULL), 0);

    claim = DEBUG_SECTIONS_MAX + 1ull;
    cr_assert_eq(pwrite(fd, &claim, 8, (off_t) info->sh_offset + 8), 8);
    cr_expect_lt(dwarf_lines_open(&lines, &elf, NULL), 0);

    elf_file_close(&elf);
    close(fd);
}
