/*
 * The container's id, from what /proc/self/cgroup has in containers of several
 * kinds.
 */

#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/entity_id.h"


#define HOST_NAMESPACE UINT64_C(0xEFFFFFFB)
#define OTHER_NAMESPACE UINT64_C(0xF0000001)

#define HEX64 "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376"
#define UUID "34dc0b5e-626f-2c5c-4c51-70e34b10e765"


static struct entity_id
read_text(const char *text, uint64_t namespace_inode, const char *root)
{
    FILE            *file;
    struct entity_id id;

    file = fmemopen((void *) text, strlen(text), "r");
    cr_assert_not_null(file);
    entity_id_read(&id, file, namespace_inode, root);
    fclose(file);

    return id;
}


Test(entity_id, finds_containers)
{
    size_t           i;
    struct entity_id id;

    static const char *const cases[][2] = {
        {"13:name=systemd:/docker/" HEX64 "\n", HEX64},
        {"3:cpuset:/kubepods/besteffort/pod" UUID "/" HEX64 "\n", HEX64},
        {"0::/system.slice/docker-" HEX64 ".scope\n", HEX64},
        {"0::/machine.slice/libpod-" HEX64 ".scope/container\n", HEX64},
        {"1:name=systemd:/ecs/55091c13/" HEX64 "\n", HEX64},
        {"1:cpu:/ecs/34dc0b5e626f2c5c4c5170e34b10e765-1234567890\n",
         "34dc0b5e626f2c5c4c5170e34b10e765-1234567890"},
        {"1:cpu:/" UUID "\n", UUID},
        {"1:cpu:/garden/34dc0b5e-626f-2c5c-4c51-70e3\n",
         "34dc0b5e-626f-2c5c-4c51-70e3"},
        {"2:cpu:/nothing\n1:cpu:/docker/" HEX64 "  \n", HEX64},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        id = read_text(cases[i][0], OTHER_NAMESPACE, "/nowhere");
        cr_expect_str_eq(id.container, cases[i][1], "%s", cases[i][0]);
        cr_expect(strncmp(id.entity, "ci-", 3) == 0);
        cr_expect_str_eq(id.entity + 3, cases[i][1]);
    }
}


Test(entity_id, takes_nothing_else)
{
    size_t           i;
    struct entity_id id;

    static const char *const cases[] = {
        "0::/\n",
        "1:cpu:/user.slice/user-0.slice\n",
        "nonsense\n",
        "1:cpu\n",
        "1:cpu:/docker/" HEX64 "/more\n",
        "1:cpu:/docker/"
        "34DC0B5E626F2C5C4C5170E34B10E7654CE36F0FCD532739F4445BAABEA03376\n",
        "",
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i][0] == '\0') {
            continue;
        }

        id = read_text(cases[i], OTHER_NAMESPACE, "/nowhere");
        cr_expect_str_eq(id.container, "", "%s", cases[i]);
        cr_expect_str_eq(id.entity, "", "%s", cases[i]);
    }
}


/* In a cgroup namespace of its own a container does not see its id: the inode
   of its cgroup stands for it. */
Test(entity_id, falls_back_to_the_inode)
{
    char             folder[] = "/tmp/entity_id.XXXXXX", path[64], wanted[64];
    struct stat      v1, v2;
    struct entity_id id;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/memory", folder);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(stat(path, &v1), 0);
    cr_assert_eq(stat(folder, &v2), 0);

    id = read_text("0::/\n", OTHER_NAMESPACE, folder);
    snprintf(wanted, sizeof(wanted), "in-%" PRIu64, (uint64_t) v2.st_ino);
    cr_expect_str_eq(id.entity, wanted);
    cr_expect_str_eq(id.container, "");

    id = read_text("4:cpu,memory:/\n0::/\n", OTHER_NAMESPACE, folder);
    snprintf(wanted, sizeof(wanted), "in-%" PRIu64, (uint64_t) v1.st_ino);
    cr_expect_str_eq(id.entity, wanted);

    id = read_text("0::/\n", HOST_NAMESPACE, folder);
    cr_expect_str_eq(id.entity, "", "the host is no container");

    rmdir(path);
    rmdir(folder);
}
