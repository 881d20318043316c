/*
 * The loader: its error texts, and that a path means the file that is there
 * now. The files are copies of built plug-ins in a folder of their own.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sort_loader.h"


static char folder[] = "/tmp/sort_loader_test.XXXXXX";
static char path[PATH_MAX];
static char error[SORT_LOADER_ERROR];


static void
set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/plugin.so", folder);
}


static void
tear_down(void)
{
    (void) unlink(path);
    (void) rmdir(folder);
}


/* Puts a file at path by rename: a copy of a plug-in that was built. */
static void
install(const char *name)
{
    char        from[PATH_MAX], to[PATH_MAX + 8], buffer[65536];
    FILE       *in, *out;
    size_t      n;
    const char *build;

    build = getenv("BUILD");
    snprintf(from, sizeof(from), "%s/algorithms/%s", build ? build : "build",
             name);
    snprintf(to, sizeof(to), "%s.new", path);

    in = fopen(from, "rb");
    out = fopen(to, "wb");
    cr_assert(in != NULL && out != NULL, "%s", from);

    while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0) {
        cr_assert_eq(fwrite(buffer, 1, n, out), n);
    }

    (void) fclose(in);
    cr_assert_eq(fclose(out), 0);
    cr_assert_eq(rename(to, path), 0);
}


static void
check_refused(int err, const char *cause)
{
    sort_library_t library;

    cr_assert_eq(sort_loader_open(path, &library, error, sizeof(error)), -err,
                 "%s", error);
    cr_assert_null(library.handle);
    cr_assert_null(library.plugin);
    cr_assert_eq(error[0], '"');
    cr_assert_eq(strncmp(error + 1, path, strlen(path)), 0, "%s", error);
    cr_assert_not_null(strstr(error, cause), "%s", error);

    sort_loader_close(&library);
}


TestSuite(sort_loader, .init = set_up, .fini = tear_down);


Test(sort_loader, opens_and_closes)
{
    sort_library_t library;

    install("libsort_v1.so");
    cr_assert_eq(sort_loader_open(path, &library, error, sizeof(error)), 0);
    cr_assert_str_eq(library.plugin->name, "bubble");
    cr_assert_str_eq(library.plugin->version, "1.0.0");

    sort_loader_close(&library);
    cr_assert_null(library.plugin);
    sort_loader_close(&library);
}


Test(sort_loader, refuses_what_is_no_plugin)
{
    FILE *file;

    check_refused(ENOENT, "stat() failed (2: No such file");

    cr_assert_eq(mkfifo(path, 0600), 0);
    check_refused(EINVAL, "is not a regular file");
    cr_assert_eq(unlink(path), 0);

    file = fopen(path, "w");
    cr_assert_not_null(file);
    check_refused(ELIBBAD, "dlopen() failed (file too short)");
    fputs("no object of any kind, but long enough to be looked at by dlopen()",
          file);
    (void) fclose(file);
    check_refused(ELIBBAD, "dlopen() failed (");
}


Test(sort_loader, cuts_its_text)
{
    char           little[8] = "1234567";
    sort_library_t library;

    cr_assert_eq(sort_loader_open(path, &library, little, 4), -ENOENT);
    cr_assert_eq(strlen(little), 3);
    cr_assert_eq(little[4], '5');
}


Test(sort_loader, refuses_a_path_that_is_too_long)
{
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';

    cr_assert_eq(
        sort_loader_open(path, &(sort_library_t){0}, error, sizeof(error)),
        -ENAMETOOLONG);
    path[0] = '\0';
}


Test(sort_loader, opens_a_file_without_a_folder)
{
    sort_library_t library;

    install("libsort_v1.so");
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(sort_loader_open("plugin.so", &library, error, sizeof(error)),
                 0, "%s", error);
    sort_loader_close(&library);
}


Test(sort_loader, gives_the_same_library_for_the_same_file)
{
    sort_library_t one, two;

    install("libsort_v1.so");
    cr_assert_eq(sort_loader_open(path, &one, error, sizeof(error)), 0);
    cr_assert_eq(sort_loader_open(path, &two, error, sizeof(error)), 0);
    cr_assert_eq(one.handle, two.handle);

    sort_loader_close(&one);
    cr_assert_str_eq(two.plugin->name, "bubble");
    sort_loader_close(&two);
}


Test(sort_loader, opens_the_file_that_replaced_another)
{
    int64_t        values[] = {2, 1};
    sort_library_t one, two;

    install("libsort_v1.so");
    cr_assert_eq(sort_loader_open(path, &one, error, sizeof(error)), 0);

    install("libsort_v2.so");
    cr_assert_eq(sort_loader_open(path, &two, error, sizeof(error)), 0);

    cr_assert_str_eq(one.plugin->name, "bubble");
    cr_assert_str_eq(two.plugin->name, "qsort");

    one.plugin->sort(values, 2);
    cr_assert_eq(values[0], 1);

    sort_loader_close(&one);
    sort_loader_close(&two);
}
