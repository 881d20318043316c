/*
 * Starts of functions by unwind data, held against the symbols of a stripped
 * program, which say the same of the functions that it exports.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/unwind_starts.h"

#define NGINX "/usr/sbin/nginx"


static struct unwind_starts *
open_starts(const char *path)
{
    int                   fd;
    struct elf_file       file;
    struct unwind_starts *starts;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(elf_file_open(&file, fd), 0);

    starts = unwind_starts_open(&file);

    elf_file_close(&file);
    close(fd);

    return starts;
}


Test(unwind_starts, agree_with_the_symbols_of_nginx)
{
    char                  line[512], kind;
    FILE                 *nm;
    unsigned              n = 0;
    uint64_t              start, size, at;
    struct unwind_starts *starts;

    starts = open_starts(NGINX);
    cr_assert_not_null(starts);

    nm = popen("nm -DS --defined-only " NGINX, "r");
    cr_assert_not_null(nm);

    while (fgets(line, sizeof(line), nm) != NULL) {
        if (sscanf(line, "%" SCNx64 " %" SCNx64 " %c", &start, &size, &kind)
                != 3
            || kind != 'T') {
            continue;
        }

        n++;
        for (at = start; at < start + size; at += 1 + size / 7) {
            cr_assert_eq(unwind_starts_find(starts, at), start,
                         "%#" PRIx64 " of %s", at, line);
        }
    }

    pclose(nm);
    cr_assert_gt(n, 500);
    unwind_starts_close(starts);
}


Test(unwind_starts, an_address_of_no_function_is_itself)
{
    struct unwind_starts *starts;

    starts = open_starts(NGINX);
    cr_assert_not_null(starts);
    cr_assert_eq(unwind_starts_find(starts, 0x10), 0x10);
    cr_assert_eq(unwind_starts_find(starts, UINT64_MAX), UINT64_MAX);
    unwind_starts_close(starts);

    cr_assert_eq(unwind_starts_find(NULL, 0x1234), 0x1234);
}


Test(unwind_starts, sections_that_are_nonsense_are_refused_or_harmless)
{
    FILE                 *program;
    static char           image[1 << 22];
    size_t                size, i;
    uint64_t              address;
    struct elf_file       file;
    const Elf64_Shdr     *section;
    struct unwind_starts *starts;

    program = fopen(NGINX, "re");
    cr_assert_not_null(program);
    size = fread(image, 1, sizeof(image), program);
    fclose(program);

    for (i = 0; i < 300; i++) {
        cr_assert_eq(elf_file_open_image(&file, image, size), 0);
        section
            = elf_file_section(&file, i % 2 ? ".eh_frame" : ".eh_frame_hdr");
        image[section->sh_offset + i * 7919 % section->sh_size]
            ^= (char) (1 + i);

        starts = unwind_starts_open(&file);
        for (address = 0; address < 0x100000; address += 4099) {
            cr_assert_leq(unwind_starts_find(starts, address), address);
        }

        if (starts != NULL) {
            unwind_starts_close(starts);
        }
        elf_file_close(&file);
    }
}
