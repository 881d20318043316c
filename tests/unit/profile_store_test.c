/*
 * Two instances that store profiles in one folder, as while nginx is upgraded.
 */

#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/instance_memory.h"
#include "instance/profile_store.h"
#include "profile_types.h"


#define PERIODS 100


static struct module_identity nginx = {
    .path = "/nginx",
    .text_start = 0x1000,
    .text_end = 0x9000,
    .fd = -1,
};


static char folder[] = "/tmp/profile_store_test.XXXXXX";


static void
count_error(void *data, const char *path, int error)
{
    (void) data;
    (void) path;
    cr_assert(false, "error %d", error);
}


/* Ends once each period of an instance is stored. */
static void
periods_store(uint64_t instance_id)
{
    int64_t                 i;
    struct module_identity *modules[1] = {&nginx};
    struct stack_profile    profile = {.modules = modules, .n_modules = 1};
    struct period           period = {.instance_id = instance_id};
    struct nprof_config     config = {.rate = 100};
    struct profile_store    store = {
           .path = folder,
           .max_size = 1 << 30,
           .keep_seconds = 3600,
           .notify = count_error,
    };

    profile_type_describe(&profile, NPROF_JOB_CPU, 0, &config);
    period.profiles[NPROF_JOB_CPU] = &profile;

    for (i = 1; i <= PERIODS; i++) {
        period.start_ns = i * 1000000000;
        period.end_ns = period.start_ns + 1000000000;
        profile_store_period(&store, &period);
    }
}


/* Files of the folder, which are removed. */
static unsigned
files_remove(void)
{
    DIR           *stream = opendir(folder);
    unsigned       n = 0;
    struct dirent *entry;

    while ((entry = readdir(stream)) != NULL) {
        n += entry->d_name[0] != '.';
        (void) unlinkat(dirfd(stream), entry->d_name, 0);
    }

    closedir(stream);

    return n;
}


Test(profile_store, instances_that_share_a_folder)
{
    int   status, fd;
    char  left[64];
    pid_t child;

    const struct timespec old[2] = {{1, 0}, {1, 0}};

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(instance_join(), 0);

    /* of an instance that was killed as it wrote, long ago */
    snprintf(left, sizeof(left), "%s/.part-00000077.pb.gz", folder);
    fd = open(left, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(futimens(fd, old), 0);
    close(fd);

    child = fork();
    periods_store(child == 0 ? 1 : 2);

    if (child == 0) {
        _exit(0);
    }

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_neq(access(left, F_OK), 0);

    cr_assert_eq(atomic_load(&instance.directory->store_errors), 0);
    cr_assert_eq(atomic_load(&instance.directory->stored), 2 * PERIODS);
    cr_assert_eq(files_remove(), 2 * PERIODS);
    cr_assert_eq(rmdir(folder), 0);
}
