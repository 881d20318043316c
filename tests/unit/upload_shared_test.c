/*
 * What is common to an instance's processes: ids of versions and numbers of
 * profiles.
 */

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "export/runtime_id.h"
#include "export/upload_shared.h"


Test(upload_shared, numbers_count_by_version)
{
    struct upload_shared *shared = upload_shared_get();

    cr_assert_not_null(shared);
    cr_assert_eq(upload_shared_sequence(shared, "1.0.0"), 0);
    cr_assert_eq(upload_shared_sequence(shared, "1.0.0"), 1);
    cr_assert_eq(upload_shared_sequence(shared, ""), 0);
    cr_assert_eq(upload_shared_sequence(shared, "2.0.0"), 0);
    cr_assert_eq(upload_shared_sequence(shared, "1.0.0"), 2);
}


Test(upload_shared, all_processes_count_together)
{
    int                   status;
    pid_t                 child;
    struct upload_shared *shared = upload_shared_get();

    cr_assert_not_null(shared);
    upload_shared_sequence(shared, "1.0.0");

    child = fork();
    if (child == 0) {
        _exit((int) upload_shared_sequence(upload_shared_get(), "1.0.0"));
    }

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(WEXITSTATUS(status), 1);
    cr_assert_eq(upload_shared_sequence(shared, "1.0.0"), 2);
}


Test(upload_shared, many_versions_find_a_number)
{
    int                   i;
    char                  version[16];
    struct upload_shared *shared = upload_shared_get();

    for (i = 0; i < 3 * UPLOAD_VERSIONS_MAX; i++) {
        snprintf(version, sizeof(version), "%d", i);
        upload_shared_sequence(shared, version);
    }

    cr_assert_eq(upload_shared_sequence(shared, "0"), 1);
}


Test(upload_shared, ids_are_those_of_the_version)
{
    char                  a[RUNTIME_ID_SIZE], b[RUNTIME_ID_SIZE];
    uuid_t                uuid;
    struct upload_shared *shared = upload_shared_get();

    runtime_id_print(shared->instance, "1.0.0", a);
    runtime_id_print(shared->instance, "1.0.0", b);
    cr_assert_str_eq(a, b);
    cr_assert_eq(strlen(a), 36);
    cr_assert_eq(uuid_parse(a, uuid), 0);

    runtime_id_print(shared->instance, "2.0.0", b);
    cr_assert_str_neq(a, b);

    runtime_id_print(shared->instance, "", b);
    cr_assert_str_neq(a, b);
}
