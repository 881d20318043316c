/*
 * The symbolizer as its users see it: which name wins, debug files by build
 * id, the vDSO, demangling, the cache's bound, and files that are broken or
 * change under it.
 */

#include "symbol_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include "symbolize/demangled_name.h"
#include "symbolize/symbolizer.h"


#define BROKEN_FILES 2000


static const struct symbol_lines *
resolve(struct symbolizer *symbolizer, const struct module_identity *module,
        uint64_t address)
{
    const struct symbol_lines *lines = NULL;

    cr_assert_eq(symbolizer_resolve(symbolizer, module, address, &lines), 0);
    cr_assert_not_null(lines);
    cr_assert_gt(lines->n, 0);

    return lines;
}


static const char *
name_at(struct symbolizer *symbolizer, const struct module_identity *module,
        uint64_t address)
{
    const struct symbol_lines *lines = resolve(symbolizer, module, address);

    return lines->lines[lines->n - 1].function;
}


Test(symbolizer, an_address_outside_of_all_symbols_is_module_and_offset)
{
    struct symbolizer         *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity     nginx = fixture_identity(NGINX);
    const struct symbol_lines *lines = resolve(symbolizer, &nginx, 0x10);

    cr_expect_eq(lines->n, 1);
    cr_expect_eq(lines->named, 0);
    cr_expect_eq(lines->inlines_known, 0);
    cr_expect_str_eq(lines->lines[0].function, "nginx+0x10");
    cr_expect_str_eq(lines->lines[0].file, "");
    cr_expect_eq(lines->lines[0].line, 0);

    symbolizer_destroy(symbolizer);
}


Test(symbolizer, a_module_without_a_file_is_named_by_path)
{
    struct symbolizer     *symbolizer = symbolizer_create(NULL);
    struct module_identity module = {.path = "/gone/libsort_v1.so", .fd = -1};

    cr_expect_str_eq(name_at(symbolizer, &module, 0xabc),
                     "libsort_v1.so+0xabc");

    symbolizer_destroy(symbolizer);
}


/* Built as a package manager would: stripped, with a debug file by build id. */
static struct module_identity
split_fixture(struct symbolizer **symbolizer)
{
    size_t                 i;
    char                   id[2 * MODULE_BUILD_ID_MAX + 1];
    static char            path[128];
    struct module_identity module;

    snprintf(path, sizeof(path), "%s",
             fixture_compile("cc", "inlined_calls.c", ""));
    module = fixture_identity(path);
    close(module.fd);

    for (i = 0; i < module.build_id_len; i++) {
        sprintf(id + 2 * i, "%02x", module.build_id[i]);
    }

    fixture_run("cd %s && mkdir -p .build-id/%.2s && cp libfixture.so full.so"
                " && objcopy --only-keep-debug --compress-debug-sections"
                " full.so .build-id/%.2s/%s.debug && strip libfixture.so",
                fixture_folder, id, id, id + 2);

    *symbolizer = symbolizer_create(fixture_folder);

    return fixture_identity(path);
}


static uint64_t
full_address(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/full.so", fixture_folder);

    return fixture_address("nm", path, name);
}


Test(symbolizer, a_separate_debug_file_is_found_by_build_id,
     .init = fixture_setup, .fini = fixture_teardown)
{
    struct symbolizer         *symbolizer, *without;
    struct module_identity     module = split_fixture(&symbolizer);
    uint64_t                   address = full_address("separate") + 1;
    const struct symbol_lines *lines = resolve(symbolizer, &module, address);

    cr_expect_eq(lines->n, 1);
    cr_expect_eq(lines->named, 1);
    cr_expect_eq(lines->inlines_known, 1);
    cr_expect_str_eq(lines->lines[0].function, "separate");
    cr_expect_not_null(strstr(lines->lines[0].file, "inlined_calls.c"));
    cr_expect_gt(lines->lines[0].line, 0);

    without = symbolizer_create("/nonexistent");
    cr_expect_eq(resolve(without, &module, address)->named, 0);

    symbolizer_destroy(symbolizer);
    symbolizer_destroy(without);
}


Test(symbolizer, a_debug_file_of_another_build_is_not_used,
     .init = fixture_setup, .fini = fixture_teardown)
{
    struct symbolizer     *symbolizer;
    struct module_identity module = split_fixture(&symbolizer);

    fixture_run(
        "cp $(cc -O2 -g -fPIC -shared -Wl,--build-id=0x0123456789 " FIXTURES
        "inlined_calls.c -o %s/other.so && echo %s/other.so) "
        "$(ls %s/.build-id/*/*.debug)",
        fixture_folder, fixture_folder, fixture_folder);
    cr_expect_eq(
        resolve(symbolizer, &module, full_address("separate") + 1)->named, 0);

    symbolizer_destroy(symbolizer);
}


Test(symbolizer, a_file_of_another_build_is_not_used, .init = fixture_setup,
     .fini = fixture_teardown)
{
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity module
        = fixture_identity(fixture_compile("cc", "inlined_calls.c", ""));
    uint64_t address = fixture_address("nm", module.path, "fixture_sum");

    module.build_id[0] ^= 1;
    cr_expect_eq(resolve(symbolizer, &module, address)->named, 0);
    module.build_id[0] ^= 1;
    cr_expect_str_eq(name_at(symbolizer, &module, address), "fixture_sum");

    symbolizer_destroy(symbolizer);
}


/* dwz moves names that two files share to a third. */
Test(symbolizer, what_dwz_moved_to_a_shared_file_is_found,
     .init = fixture_setup, .fini = fixture_teardown)
{
    struct symbolizer         *symbolizer;
    struct module_identity     module;
    const struct symbol_lines *lines;
    uint64_t                   address;
    unsigned                   most = 0;

    if (system("command -v dwz > /dev/null") != 0) {
        cr_skip_test("SKIPPED: dwz is not installed");
    }

    module = split_fixture(&symbolizer);
    fixture_run("cd %s && mkdir .dwz && cp full.so a.so && cp full.so b.so && "
                "dwz -m .dwz/shared.debug -M %s/.dwz/shared.debug a.so b.so && "
                "objcopy --only-keep-debug a.so $(ls .build-id/*/*.debug)",
                fixture_folder, fixture_folder);

    for (address = full_address("fixture_sum"); most < 3; address++) {
        lines = resolve(symbolizer, &module, address);
        cr_assert_str_eq(lines->lines[lines->n - 1].function, "fixture_sum");
        most = lines->n > most ? lines->n : most;
    }

    cr_expect_str_eq(lines->lines[0].function, "innermost");
    cr_expect_str_eq(lines->lines[1].function, "middle");
    symbolizer_destroy(symbolizer);
}


Test(symbolizer, the_vdso_has_names)
{
    struct symbolizer     *symbolizer = symbolizer_create(NULL);
    struct module_identity vdso = {.path = "[vdso]", .fd = -1};
    void                  *handle, *function;

    vdso.bias = getauxval(AT_SYSINFO_EHDR);
    cr_assert_neq(vdso.bias, 0);

    handle = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    cr_assert_not_null(handle);
    function = dlsym(handle, "__vdso_clock_gettime");
    cr_assert_not_null(function);

    cr_expect_str_eq(
        name_at(symbolizer, &vdso, (uint64_t) function - vdso.bias),
        "clock_gettime");

    /* Another process's vDSO, of which there is no image here. */
    vdso.build_id_len = 20;
    cr_expect_str_eq(name_at(symbolizer, &vdso, 0xabc), "[vdso]+0xabc");

    symbolizer_destroy(symbolizer);
}


Test(symbolizer, cplusplus_and_rust_names_are_demangled)
{
    size_t i;
    char   text[8192];
    struct {
        const char *mangled;
        const char *name;
    } cases[] = {
        {"_ZN5outer6NumberC2Ei", "outer::Number::Number(int)"},
        {"_ZNSt6vectorIiSaIiEE9push_backEOi",
         "std::vector<int, std::allocator<int> >::push_back(int&&)"},
        {"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
         "core::fmt::Formatter::pad"},
        {"_RNvC7mycrate3foo", "mycrate::foo"},
        {"bubble_sort", NULL},
        {"_start", NULL},
        {"_Z", NULL},
        {"_ZN", NULL},
        {"", NULL},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *name = demangled_name(cases[i].mangled, text, sizeof(text));

        if (cases[i].name == NULL) {
            cr_expect_null(name, "%s: %s", cases[i].mangled, name);
        } else {
            cr_expect(name != NULL && strcmp(name, cases[i].name) == 0,
                      "%s: %s", cases[i].mangled, name ? name : "(null)");
        }
    }
}


/* pair<pair<pair<...>>>: each level doubles the output, 30 make gigabytes. */
Test(symbolizer, a_demangling_bomb_is_left_mangled, .timeout = 20)
{
    int         i;
    char        name[1000], text[8192];
    const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    strcpy(name, "_Z1fSt4pairIiiE");
    cr_expect_str_eq(demangled_name(name, text, sizeof(text)),
                     "f(std::pair<int, int>)");

    for (i = 0; i < 30; i++) {
        sprintf(name + strlen(name), "S_IS%c_S%c_E", digits[i], digits[i]);
    }

    cr_expect_null(demangled_name(name, text, sizeof(text)));
    cr_expect_null(demangled_name("_Z1fi", text, 6));
    cr_expect_str_eq(demangled_name("_Z1fi", text, 7), "f(int)");
}


Test(symbolizer, cplusplus_functions_show_both_names, .init = fixture_setup,
     .fini = fixture_teardown)
{
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity module
        = fixture_identity(fixture_compile("c++", "mangled_names.cc", ""));
    const struct symbol_lines *lines;

    lines = resolve(symbolizer, &module,
                    fixture_address("nm", module.path, "_ZN5outer6NumberC2Ei"));
    cr_expect_str_eq(lines->lines[0].function, "outer::Number::Number(int)");
    cr_expect_eq(strncmp(lines->lines[0].system_name, "_ZN5outer", 9), 0);

    symbolizer_destroy(symbolizer);
}


Test(symbolizer, the_offset_and_the_descriptor_stay_the_callers)
{
    struct symbolizer     *symbolizer = symbolizer_create(NULL);
    struct module_identity nginx = fixture_identity(NGINX);

    lseek(nginx.fd, 777, SEEK_SET);
    resolve(symbolizer, &nginx, 0x30000);
    symbolizer_destroy(symbolizer);
    cr_expect_eq(lseek(nginx.fd, 0, SEEK_CUR), 777);
}


static size_t
mapped_kilobytes(void)
{
    char   line[256];
    size_t size = 0;
    FILE  *file = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "VmRSS: %zu", &size);
    }

    fclose(file);

    return size;
}


/* More answers than the cache holds, several times over. */
Test(symbolizer, the_cache_is_bounded)
{
    size_t                 before;
    uint64_t               address;
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity nginx = fixture_identity(NGINX);

    before = mapped_kilobytes();

    for (address = 0; address < 200000; address++) {
        resolve(symbolizer, &nginx, address);
    }

    cr_expect_str_eq(name_at(symbolizer, &nginx, 0x10), "nginx+0x10");
    symbolizer_trim(symbolizer);

    cr_expect_lt(mapped_kilobytes() - before, 2 * SYMBOLIZER_CACHE_MAX / 1024);
    symbolizer_destroy(symbolizer);
}


Test(symbolizer, an_answer_outlives_a_trim, .init = fixture_setup,
     .fini = fixture_teardown)
{
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity module
        = fixture_identity(fixture_compile("cc", "inlined_calls.c", ""));
    uint64_t address = fixture_address("nm", module.path, "fixture_sum");
    const struct symbol_lines *first, *second;

    first = resolve(symbolizer, &module, address);
    symbolizer_trim(symbolizer);
    cr_expect_str_eq(first->lines[first->n - 1].function, "fixture_sum");

    /* From the cache: the file is not needed any more. */
    cr_assert_eq(ftruncate(open(module.path, O_RDWR), 0), 0);
    second = resolve(symbolizer, &module, address);
    cr_expect_eq(first, second);

    symbolizer_destroy(symbolizer);
}


/* Under a mapping this would be SIGBUS. */
Test(symbolizer, a_file_that_is_truncated_in_place_is_no_crash,
     .init = fixture_setup, .fini = fixture_teardown)
{
    int                    fd;
    struct symbolizer     *symbolizer = symbolizer_create("/nonexistent");
    struct module_identity module
        = fixture_identity(fixture_compile("cc", "inlined_calls.c", ""));
    uint64_t address = fixture_address("nm", module.path, "fixture_sum");

    fd = open(module.path, O_RDWR);
    resolve(symbolizer, &module, address);
    cr_assert_eq(ftruncate(fd, 100), 0);
    resolve(symbolizer, &module, address + 1);
    symbolizer_trim(symbolizer);
    cr_expect_eq(resolve(symbolizer, &module, address + 2)->named, 0);

    symbolizer_destroy(symbolizer);
    close(fd);
}


static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}


/*
 * Random bytes changed, and every other file cut short. Changes go to the
 * tables more often than to the code, and to one byte more often than to many.
 */
static void
break_file(int to, const uint8_t *bytes, size_t size, uint64_t *state)
{
    size_t   i, n, at, cut = size;
    uint8_t *copy = malloc(size);

    memcpy(copy, bytes, size);
    n = 1 + fixture_random(state) % (fixture_random(state) % 4 ? 4 : 300);

    for (i = 0; i < n; i++) {
        at = fixture_random(state) % 3
                 ? size / 2 + fixture_random(state) % (size - size / 2)
                 : fixture_random(state) % size;
        copy[at] = (uint8_t) (fixture_random(state) % 3
                                  ? fixture_random(state)
                                  : (uint64_t) copy[at]
                                        ^ (1u << fixture_random(state) % 8));
    }

    if (fixture_random(state) % 4 == 0) {
        cut = fixture_random(state) % size;
    }

    cr_assert_eq(ftruncate(to, 0), 0);
    cr_assert_eq(pwrite(to, copy, cut, 0), (ssize_t) cut);
    free(copy);
}


static void
resolve_broken(const char *path, unsigned rounds)
{
    int                    fd = open(path, O_RDONLY | O_CLOEXEC);
    double                 started, longest = 0;
    size_t                 i, size;
    uint8_t               *bytes;
    uint64_t               start, text_size, state = 1234567;
    unsigned               round;
    struct symbolizer     *symbolizer;
    struct module_identity module = {.path = (char *) path};

    fixture_text(path, &start, &text_size);
    size = (size_t) lseek(fd, 0, SEEK_END);
    bytes = malloc(size);
    cr_assert_eq(pread(fd, bytes, size, 0), (ssize_t) size);
    module.fd = memfd_create("broken", MFD_CLOEXEC);

    for (round = 0; round < rounds; round++) {
        break_file(module.fd, bytes, size, &state);

        symbolizer = symbolizer_create("/nonexistent");
        started = seconds();

        for (i = 0; i < 20; i++) {
            resolve(symbolizer, &module,
                    start + fixture_random(&state) % text_size);
        }

        started = seconds() - started;
        longest = started > longest ? started : longest;
        symbolizer_destroy(symbolizer);
    }

    cr_expect_lt(longest, 5.0, "%s: %.1f s", path, longest);
    close(module.fd);
    close(fd);
    free(bytes);
}


Test(symbolizer, broken_files_neither_crash_nor_hang, .init = fixture_setup,
     .fini = fixture_teardown, .timeout = 600)
{
    resolve_broken(fixture_compile("cc", "inlined_calls.c", ""), BROKEN_FILES);
    resolve_broken(fixture_compile("cc", "inlined_calls.c", "-gdwarf-4 -gz"),
                   BROKEN_FILES / 4);
    resolve_broken(fixture_compile("c++", "mangled_names.cc", ""),
                   BROKEN_FILES / 4);
}
