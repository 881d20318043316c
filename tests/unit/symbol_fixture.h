/*
 * What the tests of the symbolizer share: shared objects compiled on the spot
 * into a folder that goes with the test, identities of files, and the output
 * of the tools that answers are compared with.
 */

#ifndef TESTS_SYMBOL_FIXTURE_H
#define TESTS_SYMBOL_FIXTURE_H

#include <criterion/criterion.h>

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolize/dwarf_lines.h"
#include "symbolize/elf_file.h"
#include "unwind/module_identity.h"


#define FIXTURES "tests/unit/fixtures/"
#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define CRYPTO "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
#define NGINX "/usr/sbin/nginx"


static char fixture_folder[] = "/tmp/symbol_fixture.XXXXXX";


static inline void
fixture_setup(void)
{
    cr_assert_not_null(mkdtemp(fixture_folder));
}


static inline void
fixture_teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", fixture_folder);
    cr_expect_eq(system(command), 0);
}


/* Runs a shell command; its output goes where the test's does. */
static inline void __attribute__((format(printf, 1, 2)))
fixture_run(const char *format, ...)
{
    char    command[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);

    cr_assert_eq(system(command), 0, "%s", command);
}


/* Compiles a fixture; returns the path of the shared object. */
static inline const char *
fixture_compile(const char *compiler, const char *source, const char *options)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/libfixture.so", fixture_folder);
    fixture_run("%s -O2 -g -fPIC -shared -Wl,--build-id %s -o %s " FIXTURES
                "%s",
                compiler, options, path, source);

    return path;
}


/* The identity of a file as the unwinder would make it, with bias 0. */
static inline struct module_identity
fixture_identity(const char *path)
{
    uint32_t               i;
    struct elf_file        elf;
    struct module_identity module = {.path = (char *) path};

    module.fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(module.fd, 0, "%s", path);
    cr_assert_eq(elf_file_open(&elf, module.fd), 0, "%s", path);

    module.build_id_len = (uint8_t) elf_file_build_id(&elf, module.build_id,
                                                      sizeof(module.build_id));

    for (i = 1; i < elf.n_sections; i++) {
        if (strcmp(elf.names + elf.sections[i].sh_name, ".text") == 0) {
            module.text_start = elf.sections[i].sh_addr & ~4095ull;
            module.text_end
                = (elf.sections[i].sh_addr + elf.sections[i].sh_size + 4095)
                  & ~4095ull;
            module.text_offset = elf.sections[i].sh_offset & ~4095ull;
        }
    }

    elf_file_close(&elf);

    return module;
}


/* Bounds of .text. */
static inline void
fixture_text(const char *path, uint64_t *start, uint64_t *size)
{
    int               fd = open(path, O_RDONLY | O_CLOEXEC);
    struct elf_file   elf;
    const Elf64_Shdr *text;

    cr_assert_eq(elf_file_open(&elf, fd), 0);
    text = elf_file_section(&elf, ".text");
    cr_assert_not_null(text);
    *start = text->sh_addr;
    *size = text->sh_size;
    elf_file_close(&elf);
    close(fd);
}


/* The debug information of a file. */
static inline struct dwarf_lines *
fixture_lines(const char *path)
{
    int                 fd = open(path, O_RDONLY | O_CLOEXEC);
    struct elf_file     elf;
    struct dwarf_lines *lines;

    cr_assert_eq(elf_file_open(&elf, fd), 0, "%s", path);
    cr_assert_eq(dwarf_lines_open(&lines, &elf, NULL), 0, "%s", path);
    elf_file_close(&elf);
    close(fd);

    return lines;
}


/* The address of a symbol by nm, 0 if there is none. */
static inline uint64_t
fixture_address(const char *nm, const char *path, const char *name)
{
    char     line[4096], found[4000];
    FILE    *pipe;
    uint64_t value, address = 0;

    snprintf(line, sizeof(line), "%s %s", nm, path);
    pipe = popen(line, "r");
    cr_assert_not_null(pipe);

    while (fgets(line, sizeof(line), pipe) != NULL) {
        if (sscanf(line, "%lx %*c %3999s", &value, found) == 2) {
            found[strcspn(found, "@")] = '\0';
            if (strcmp(found, name) == 0) {
                address = value;
            }
        }
    }

    pclose(pipe);

    return address;
}


/* A repeatable stream of numbers. */
static inline uint64_t
fixture_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;

    return *state * 0x2545f4914f6cdd1du;
}


#endif /* TESTS_SYMBOL_FIXTURE_H */
