/*
 * Following libraries that come and go, as plug-ins do on a reload.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "library_fixture.h"
#include "unwind/eh_frame.h"
#include "unwind/module_file.h"
#include "unwind/module_table.h"


#define CYCLES 500

#define ONE_FUNCTION(value) "int probe(int x) { return x + " #value "; }\n"

/* As many entries, of another code. */
#define MANY_FUNCTIONS                                                      \
    "int f1(int x) { return x * 3; } int f2(int x) { return f1(x) + x; }\n" \
    "int f3(int *x) { *x = f2(*x); return *x; }\n"                          \
    "int probe(int x) { int y = x; return f3(&y) + y; }\n"


static struct module_table table;


TestSuite(module_table, .init = fixture_setup, .fini = fixture_teardown,
          .timeout = 60);


static const struct module_identity *
identity_at(uint64_t address)
{
    const struct loaded_module *module = module_table_find(&table, address);

    return module == NULL ? NULL : table.identities[module->identity];
}


Test(module_table, what_is_loaded_is_found)
{
    size_t                      i;
    uint64_t                    addresses[3];
    struct eh_frame_row         row;
    const struct loaded_module *module;

    addresses[0] = (uintptr_t) malloc;
    addresses[1] = (uintptr_t) module_table_find;
    addresses[2] = (uintptr_t) dlopen;

    cr_assert(module_table_update(&table));
    cr_assert_not(module_table_update(&table));

    for (i = 0; i < 3; i++) {
        module = module_table_find(&table, addresses[i]);
        cr_assert_not_null(module);
        cr_expect_gt(module->fde_count, 0);
        cr_expect(eh_frame_find(module, addresses[i], &row));
        cr_expect_eq(row.start, addresses[i]);
        cr_expect_null(module_table_find(&table, module->start - 1) == module
                           ? module
                           : NULL);
    }

    cr_expect_eq(module_table_find(&table, addresses[1])->identity, 0,
                 "the program is the first");
    cr_expect_null(module_table_find(&table, 0));
    cr_expect_null(module_table_find(&table, UINT64_MAX));
    cr_expect_null(module_table_find(&table, (uintptr_t) &table));
}


Test(module_table, each_module_holds_its_range_and_no_more)
{
    uint32_t                    i;
    const struct loaded_module *module;

    module_table_update(&table);

    for (i = 0; i < table.n_modules; i++) {
        module = &table.modules[i];
        cr_expect_eq(module_table_find(&table, module->start), module);
        cr_expect_eq(module_table_find(&table, module->end - 1), module);
        cr_expect_neq(module_table_find(&table, module->end), module);
        cr_expect_neq(module_table_find(&table, module->start - 1), module);
        cr_assert(i == 0 || module[-1].end <= module->start);
    }
}


Test(module_table, a_library_that_went_is_known_until_forgotten)
{
    char                         *path;
    void                         *library;
    uint64_t                      probe;
    uint32_t                      identities;
    struct eh_frame_row           row;
    const struct loaded_module   *module;
    const struct module_identity *identity;

    path = library_compile("one", "-O2", ONE_FUNCTION(1));
    module_table_update(&table);

    library = library_open(path);
    probe = library_address(library, "probe");
    cr_expect_null(module_table_find(&table, probe));
    cr_expect(module_table_update(&table));
    identity = identity_at(probe);
    cr_assert_not_null(identity);
    cr_expect_str_eq(identity->path, path);
    cr_expect_eq(identity->build_id_len, 20);
    cr_expect_not(module_table_forget(&table));
    identities = table.n_identities;

    dlclose(library);
    cr_expect(module_table_update(&table));
    module = module_table_find(&table, probe);
    cr_assert_not_null(module);
    cr_expect(module->gone);
    /* its unwind data was unmapped, and is in our copies all the same */
    cr_expect(eh_frame_find(module, probe, &row));
    cr_expect_eq(row.start, probe);

    cr_expect(module_table_forget(&table));
    cr_expect_null(module_table_find(&table, probe));
    cr_expect_not(module_table_forget(&table));

    /* loaded again it is the same one */
    library = library_open(path);
    probe = library_address(library, "probe");
    cr_expect(module_table_update(&table));
    cr_expect_eq(identity_at(probe), identity);
    cr_expect_eq(table.n_identities, identities);
    dlclose(library);
    free(path);
}


/* Opens the library; the test is void if it has not the wished base. */
static void *
library_open_at(const char *path, uint64_t bias)
{
    void *library = library_open(path);

    cr_assert_eq(library_bias(library), bias,
                 "the loader put the library elsewhere");

    return library;
}


Test(module_table, two_that_claim_a_place_are_ambiguous)
{
    void    *library;
    char    *one = library_compile("one", "-O2", ONE_FUNCTION(1));
    char    *many = library_compile("many", "-O2", MANY_FUNCTIONS);
    uint64_t probe, bias;

    library = library_open(one);
    bias = library_bias(library);
    probe = library_address(library, "probe");
    module_table_update(&table);
    cr_expect_str_eq(identity_at(probe)->path, one);

    dlclose(library);
    library = library_open_at(many, bias);
    cr_expect(module_table_update(&table));
    cr_expect_null(identity_at(probe));

    cr_expect(module_table_forget(&table));
    cr_expect_str_eq(identity_at(probe)->path, many);
    dlclose(library);
    free(one);
    free(many);
}


/* A large library now lies where many small ones were. */
Test(module_table, a_place_that_many_claimed_is_ambiguous_too)
{
    unsigned             i, n = 20;
    uint64_t             address;
    struct module_table  from = {0};
    struct loaded_module large = {.start = 0x100000, .end = 0x200000};

    module_table_update(&from);

    for (i = 0; i < n; i++) {
        table.modules[i].start = 0x110000 + i * 0x2000;
        table.modules[i].end = table.modules[i].start + 0x1000;
        table.modules[i].seen = false;
    }

    table.modules[n] = large;
    table.n_modules = n + 1;
    table.adds = from.adds + 1;

    /* the real modules come on top; what was there is gone, but the large */
    module_table_update(&table);

    for (i = 0; i < table.n_modules; i++) {
        if (table.modules[i].start == large.start) {
            table.modules[i].gone = false;
            table.modules[i].doubtful = false;
        }
    }

    for (address = large.start; address < large.end; address += 0x800) {
        const struct loaded_module *module = module_table_find(&table, address);
        bool was_small = address >= 0x110000 && address < 0x110000 + n * 0x2000
                         && (address & 0x1fff) < 0x1000;

        cr_assert_eq(module == NULL, was_small, "%#lx", address);
        cr_assert(module == NULL || module->start == large.start);
    }

    module_table_forget(&table);

    for (address = large.start; address < large.end; address += 0x800) {
        cr_assert_eq(module_table_find(&table, address)->start, large.start);
    }

    for (i = 0; i < from.n_modules; i++) {
        from.modules[i].gone = true;
    }

    module_table_compact(&from);
}


/* The code differs in a constant: ranges and unwind data are equal. */
Test(module_table, a_rebuilt_library_at_the_place_of_the_old_is_another)
{
    void    *library;
    char    *one = library_compile("one", "-O2", ONE_FUNCTION(1));
    char    *two = library_compile("two", "-O2", ONE_FUNCTION(2));
    uint64_t probe, bias;

    const struct module_identity *first;

    library = library_open(one);
    bias = library_bias(library);
    probe = library_address(library, "probe");
    module_table_update(&table);
    first = identity_at(probe);

    dlclose(library);
    library = library_open_at(two, bias);
    cr_assert_eq(library_address(library, "probe"), probe);
    cr_expect(module_table_update(&table));
    cr_expect_null(identity_at(probe));
    module_table_forget(&table);
    cr_assert_not_null(identity_at(probe));
    cr_expect_str_eq(identity_at(probe)->path, two);

    /* replaced by rename, opened by the same name: the build id differs */
    dlclose(library);
    free(two);
    two = library_compile("three", "-O2", ONE_FUNCTION(3));
    fixture_run("mv %s %s", two, one);
    library = library_open_at(one, bias);
    cr_expect(module_table_update(&table));
    module_table_forget(&table);
    cr_expect_str_eq(identity_at(probe)->path, one);
    cr_expect_neq(identity_at(probe), first);
    dlclose(library);
    free(one);
    free(two);
}


/*
 * One name, no build id, and functions that begin where they began: only the
 * rules differ.
 */
Test(module_table, other_rules_of_the_same_functions_are_noticed)
{
    int                         i;
    void                       *library;
    char                       *path[2], live[128];
    uint64_t                    probe, bias = 0;
    struct eh_frame_row         row;
    const struct loaded_module *module;

    path[0]
        = library_compile("plain", "-O2 -Wl,--build-id=none",
                          "__asm__(\".globl probe\\nprobe: .cfi_startproc\\n"
                          ".cfi_def_cfa_offset 16\\nret\\n.cfi_endproc\\n\");");
    path[1]
        = library_compile("root", "-O2 -Wl,--build-id=none",
                          "__asm__(\".globl probe\\nprobe: .cfi_startproc\\n"
                          ".cfi_undefined rip\\nret\\n.cfi_endproc\\n\");");
    snprintf(live, sizeof(live), "%s/live.so", fixture_folder);

    for (i = 0; i < 4; i++) {
        fixture_run("cp %s %s.new && mv %s.new %s", path[i % 2], live, live,
                    live);
        library = i == 0 ? library_open(live) : library_open_at(live, bias);
        bias = library_bias(library);
        probe = library_address(library, "probe");
        module_table_update(&table);
        module_table_forget(&table);

        module = module_table_find(&table, probe);
        cr_assert_not_null(module);
        cr_assert(eh_frame_find(module, probe, &row));
        cr_expect_eq(row.root, i % 2 == 1);
        dlclose(library);
    }

    free(path[0]);
    free(path[1]);
}


Test(module_table, compact_renumbers_and_closes)
{
    int      fd;
    void    *first, *second;
    char    *one = library_compile("one", "-O2", ONE_FUNCTION(1));
    char    *many = library_compile("many", "-O2", MANY_FUNCTIONS);
    uint32_t before;
    unsigned files;
    uint64_t probe;

    module_table_update(&table);
    module_table_open_files(&table);
    before = table.n_identities;
    files = open_files();

    first = library_open(one);
    module_table_update(&table);
    second = library_open(many);
    module_table_update(&table);
    module_table_open_files(&table);
    cr_expect_eq(table.n_identities, before + 2);
    cr_expect_eq(open_files(), files + 2);

    probe = library_address(second, "probe");
    cr_expect_eq(module_table_find(&table, probe)->identity, before + 1);
    fd = identity_at(probe)->fd;

    dlclose(first);
    module_table_update(&table);
    module_table_compact(&table);
    cr_expect_eq(table.n_identities, before + 1);
    cr_expect_eq(module_table_find(&table, probe)->identity, before);
    cr_expect_str_eq(identity_at(probe)->path, many);
    cr_expect_eq(identity_at(probe)->fd, fd);
    cr_expect_eq(open_files(), files + 1);

    dlclose(second);
    module_table_update(&table);
    module_table_compact(&table);
    cr_expect_eq(table.n_identities, before);
    cr_expect_eq(open_files(), files);
    free(one);
    free(many);
}


static void
cycle(const char *path, bool compact)
{
    void    *library = library_open(path);
    uint64_t probe = library_address(library, "probe");

    cr_assert(module_table_update(&table));
    cr_assert_not_null(module_table_find(&table, probe));
    module_table_open_files(&table);
    dlclose(library);
    cr_assert(module_table_update(&table));

    if (compact) {
        module_table_compact(&table);
    } else {
        cr_assert(module_table_forget(&table));
    }

    cr_assert_null(module_table_find(&table, probe));
}


static size_t
memory_used(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 0;
#else
    return mallinfo2().uordblks;
#endif
}


Test(module_table, nothing_grows_over_many_loads)
{
    int      i;
    char    *path = library_compile("one", "-O2", ONE_FUNCTION(1));
    size_t   memory = 0;
    uint32_t identities = 0, modules = 0;
    unsigned files = 0;

    for (i = 0; i < CYCLES; i++) {
        /* as the master does it, and as a worker does */
        cycle(path, i % 2 == 0);

        if (i == 3) {
            memory = memory_used();
            files = open_files();
            identities = table.n_identities;
            modules = table.n_modules;
        }
    }

    cr_expect_eq(table.n_identities, identities);
    cr_expect_eq(table.n_modules, modules);
    cr_expect_eq(open_files(), files);
    cr_expect_leq(memory_used(), memory + 4096);
    free(path);
}


Test(module_table, beyond_its_bound_modules_are_unknown)
{
    int   i;
    char *path = library_compile("one", "-O2", ONE_FUNCTION(1)), name[256];
    void *library = NULL;

    module_table_update(&table);

    /* a worker never compacts, and each copy has a path of its own */
    for (i = 0; i < MODULE_TABLE_MAX + 8; i++) {
        snprintf(name, sizeof(name), "%s/%d.so", fixture_folder, i);
        cr_assert(link(path, name) == 0 || errno == EEXIST);
        library = library_open(name);
        module_table_update(&table);

        if (i < MODULE_TABLE_MAX + 7) {
            dlclose(library);
            module_table_update(&table);
            module_table_forget(&table);
        }
    }

    cr_expect_eq(table.n_identities, MODULE_TABLE_MAX);
    cr_expect_null(
        module_table_find(&table, library_address(library, "probe")));
    cr_expect_not_null(module_table_find(&table, (uintptr_t) malloc));
    free(path);
}


/*
 * What came and went between two looks may have been where another module is:
 * nobody can tell whose samples those are. What was there before is certain.
 */
Test(module_table, a_place_that_changed_hands_unseen_is_nobodys)
{
    char    *one_path, *two_path;
    void    *one;
    uint64_t probe, malloc_address = (uintptr_t) malloc;

    one_path = library_compile("one", "-O2", ONE_FUNCTION(1));
    two_path = library_compile("two", "-O2", MANY_FUNCTIONS);
    module_table_update(&table);

    one = library_open(one_path);
    probe = library_address(one, "probe");
    cr_expect(module_table_update(&table));
    cr_expect_not_null(module_table_find(&table, probe), "only that one came");
    cr_expect_not(module_table_forget(&table));

    /* back at its place after another one */
    dlclose(one);
    dlclose(library_open(two_path));
    one = library_open(one_path);
    cr_assert_eq(library_address(one, "probe"), probe);
    cr_expect(module_table_update(&table));
    cr_expect_null(module_table_find(&table, probe));
    cr_expect_not_null(module_table_find(&table, malloc_address));

    cr_expect(module_table_forget(&table), "what was derived is void");
    cr_expect_not_null(module_table_find(&table, probe));

    /* gone, and another one since */
    dlclose(one);
    dlclose(library_open(two_path));
    cr_expect(module_table_update(&table));
    cr_expect_null(module_table_find(&table, probe));
    cr_expect_not_null(module_table_find(&table, malloc_address));
    cr_expect(module_table_forget(&table));

    free(one_path);
    free(two_path);
}


Test(module_table, every_executable_segment_is_known)
{
    char                       *path;
    void                       *library;
    uint64_t                    cold, hot;
    struct eh_frame_row         row;
    const struct loaded_module *one, *other;

    path = library_compile(
        "segments", "-O2 -Wl,--section-start=.hot=0x400000",
        "__attribute__((section(\".hot\"))) int hot(int x) { return x + 1; }\n"
        "int cold(int x) { return x + 2; }\n");
    library = library_open(path);
    cold = library_address(library, "cold");
    hot = library_address(library, "hot");
    module_table_update(&table);

    one = module_table_find(&table, cold);
    other = module_table_find(&table, hot);
    cr_assert_not_null(one);
    cr_assert_not_null(other);
    cr_expect_neq(one, other);
    cr_expect(eh_frame_find(one, cold, &row));
    cr_expect_eq(row.start, cold);
    cr_expect(eh_frame_find(other, hot, &row));
    cr_expect_eq(row.start, hot);
    cr_expect_null(module_table_find(&table, (cold + hot) / 2));

    module_table_open_files(&table);
    cr_expect_geq(table.identities[one->identity]->fd, 0);
    cr_expect_geq(table.identities[other->identity]->fd, 0);

    dlclose(library);
    free(path);
}
