
/*
 * The modules of all workers: each has one place, and what finds none shares
 * one that is nobody's.
 */


#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "instance/module_registry.h"


static struct module_registry registry;


static struct module_identity *
find(uint64_t number, pid_t pid)
{
    struct module_identity identity = {
        .path = "/usr/lib/plugin.so",
        .build_id_len = sizeof(number),
        .fd = -1,
    };

    memcpy(identity.build_id, &number, sizeof(number));

    return module_registry_find(&registry, &identity, pid);
}


Test(module_registry, has_each_module_once)
{
    struct module_identity *first = find(1, 0);

    cr_assert_neq(first, find(2, 0));
    cr_assert_eq(first, find(1, getpid()));
    cr_assert_eq(registry.n, 2);
    module_registry_destroy(&registry);
}


Test(module_registry, takes_no_module_for_another_where_it_is_full)
{
    uint64_t                i;
    struct module_identity *others;

    for (i = 0; i < MODULE_REGISTRY_MAX - 1; i++) {
        cr_assert_str_eq(find(i, 0)->path, "/usr/lib/plugin.so");
    }

    others = find(i, 0);
    cr_assert_str_eq(others->path, MODULE_REGISTRY_OTHERS);
    cr_assert_eq(others->build_id_len, 0);
    cr_assert_eq(find(i + 1, 0), others);
    cr_assert_eq(find(i, 0), others);

    module_registry_open_files(&registry);
    cr_assert_lt(others->fd, 0);
    module_registry_destroy(&registry);
}
