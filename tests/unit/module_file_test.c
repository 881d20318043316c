/*
 * The name of a module, and whether its file is still the one that was loaded.
 */

#include <criterion/criterion.h>

#include <stdlib.h>

#include "library_fixture.h"
#include "unwind/module_file.h"
#include "unwind/module_table.h"


#define SOURCE(value) "int probe(int x) { return x + " #value "; }\n"


static struct module_table table;


TestSuite(module_file, .init = fixture_setup, .fini = fixture_teardown);


/* The identity of the module of an address, its file opened. */
static struct module_identity *
identity_of(uint64_t address)
{
    const struct loaded_module *module;

    module_table_update(&table);
    module_table_open_files(&table);
    module = module_table_find(&table, address);
    cr_assert_not_null(module);

    return table.identities[module->identity];
}


static struct module_identity *
identity_of_library(const char *path)
{
    return identity_of(library_address(library_open(path), "probe"));
}


Test(module_file, spellings_of_a_path_are_one)
{
    void                   *library;
    size_t                  i;
    char                   *path, spelling[512];
    struct module_identity *identity;
    static const char      *forms[] = {
             "%s/././one.so", "%s//one.so",    "%s/.//.///./one.so",
             "//%s/one.so",   "/./.%s/one.so",
    };

    path = library_compile("one", "", SOURCE(1));

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(spelling, sizeof(spelling), forms[i], fixture_folder);
#pragma GCC diagnostic pop
        library = library_open(spelling);
        identity = identity_of(library_address(library, "probe"));
        cr_expect_str_eq(identity->path, path, "%s: %s", spelling,
                         identity->path);
        cr_expect_geq(identity->fd, 0);
        dlclose(library);
        module_table_update(&table);
        module_table_compact(&table);
    }

    free(path);
}


Test(module_file, the_program_and_the_vdso_have_names)
{
    char                    path[512] = {0};
    uint32_t                i;
    bool                    vdso = false;
    struct module_identity *identity;

    identity = identity_of((uintptr_t) module_table_find);
    cr_assert_gt(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
    cr_expect_str_eq(identity->path, path);
    cr_expect_geq(identity->fd, 0);
    cr_expect_eq(identity, table.identities[0]);

    for (i = 0; i < table.n_identities; i++) {
        if (strcmp(table.identities[i]->path, "[vdso]") == 0) {
            vdso = true;
            cr_expect_eq(table.identities[i]->fd, -1);
        }
    }

    cr_expect(vdso);
}


Test(module_file, a_file_that_was_replaced_is_not_opened)
{
    void *library;
    char *one = library_compile("one", "", SOURCE(1));
    char *two = library_compile("two", "", SOURCE(2));

    library = library_open(one);
    fixture_run("mv %s %s", two, one);
    cr_expect_eq(identity_of(library_address(library, "probe"))->fd, -1);

    free(one);
    free(two);
}


Test(module_file, a_copy_of_the_same_build_is_opened)
{
    void *library;
    char *one = library_compile("one", "", SOURCE(1));

    library = library_open(one);
    fixture_run("cp %s %s.new && mv %s.new %s", one, one, one, one);
    cr_expect_geq(identity_of(library_address(library, "probe"))->fd, 0);

    free(one);
}


/* Without a build id a copy can't be told from another file. */
Test(module_file, a_file_without_build_id_is_known_by_its_inode)
{
    void                         *library;
    char                         *one, *two;
    const struct module_identity *first, *second;

    one = library_compile("one", "-Wl,--build-id=none", SOURCE(1));
    two = library_compile("two", "-Wl,--build-id=none", SOURCE(2));

    library = library_open(one);
    first = identity_of(library_address(library, "probe"));
    cr_expect_eq(first->build_id_len, 0);
    cr_expect_geq(first->fd, 0);
    dlclose(library);
    module_table_update(&table);
    module_table_forget(&table);

    fixture_run("mv %s %s", two, one);
    library = library_open(one);
    second = identity_of(library_address(library, "probe"));
    cr_expect_neq(second, first, "another file of the same name");
    cr_expect_geq(second->fd, 0);
    dlclose(library);
    module_table_update(&table);
    module_table_compact(&table);

    /* replaced between its loading and its opening */
    library = library_open(one);
    fixture_run("cp %s %s.new && mv %s.new %s", one, one, one, one);
    cr_expect_eq(identity_of(library_address(library, "probe"))->fd, -1);

    free(one);
    free(two);
}


Test(module_file, what_is_no_such_file_is_not_opened, .timeout = 10)
{
    size_t             i;
    void              *library;
    char              *one;
    static const char *commands[] = {
        "rm %1$s",
        "rm %1$s; mkdir %1$s",
        "rm %1$s; mkfifo %1$s",
        "rm %1$s; ln -s /dev/null %1$s",
        "rm %1$s; ln -s /dev/zero %1$s",
        "rm %1$s; ln -s /bin/ls %1$s",
        "cp %1$s %1$s.n; truncate -s 100 %1$s.n; mv %1$s.n %1$s",
        "cp %1$s %1$s.n; truncate -s 0 %1$s.n; mv %1$s.n %1$s",
        "cp %1$s %1$s.n; objcopy -R .note.gnu.build-id %1$s.n; mv %1$s.n %1$s",
    };

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        one = library_compile("one", "", SOURCE(1));
        library = library_open(one);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
        fixture_run(commands[i], one);
#pragma GCC diagnostic pop
        cr_expect_eq(identity_of(library_address(library, "probe"))->fd, -1,
                     "%s", commands[i]);
        dlclose(library);
        module_table_update(&table);
        module_table_compact(&table);
        fixture_run("rm -rf %s", one);
        free(one);
    }
}


Test(module_file, build_ids_are_those_that_readelf_shows)
{
    size_t                  i, n = 0;
    char                   *one = library_compile("one", "", SOURCE(1));
    char                    line[256], hex[2 * MODULE_BUILD_ID_MAX + 1];
    FILE                   *pipe;
    struct module_identity *identity = identity_of_library(one);

    for (i = 0; i < identity->build_id_len; i++) {
        n += (size_t) snprintf(hex + n, sizeof(hex) - n, "%02x",
                               identity->build_id[i]);
    }

    snprintf(line, sizeof(line), "readelf -n %s | sed -n 's/.*Build ID: //p'",
             one);
    pipe = popen(line, "r");
    cr_assert_not_null(fgets(line, sizeof(line), pipe));
    pclose(pipe);
    line[strcspn(line, "\n")] = '\0';
    cr_expect_str_eq(hex, line);
    free(one);
}


Test(module_file, a_long_build_id_is_cut_and_still_matches)
{
    char                   *one;
    struct module_identity *identity;

    one = library_compile(
        "one",
        "-Wl,--build-id=0x"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        SOURCE(1));
    identity = identity_of_library(one);
    cr_expect_eq(identity->build_id_len, MODULE_BUILD_ID_MAX);
    cr_expect_geq(identity->fd, 0);
    free(one);
}


/*
 * Where code lies in the file at another place than in memory (lld, linker
 * scripts), an address less the module's start is no offset. Whoever reads the
 * file where the identity says finds the very code.
 */
Test(module_file, code_is_where_the_identity_says_in_the_file)
{
    char                          bytes[16];
    char                         *path;
    void                         *library;
    uint64_t                      probe, address;
    const struct loaded_module   *module;
    const struct module_identity *identity;

    path = library_compile("moved", "-Wl,-Ttext=0x543210", SOURCE(1));
    library = library_open(path);
    probe = library_address(library, "probe");
    identity = identity_of(probe);
    module = module_table_find(&table, probe);
    address = probe - module->bias;

    cr_assert_geq(address, 0x543210);
    cr_assert_neq(identity->text_start, identity->text_offset);
    cr_assert_geq(address, identity->text_start);
    cr_assert_lt(address, identity->text_end);
    cr_assert_eq(
        pread(identity->fd, bytes, sizeof(bytes),
              (off_t) (address - identity->text_start + identity->text_offset)),
        sizeof(bytes));
    cr_expect_eq(memcmp(bytes, (const void *) (uintptr_t) probe, sizeof(bytes)),
                 0);

    /* and tools that are asked for it name it */
    cr_expect_eq(fixture_address("nm -D", path, "probe"), address);
    free(path);
}
