/*
 * A module's tables where memory lacks: each mapping fails once.
 */

#include "symbol_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "symbolize/module_symbols.h"


/* Bytes that the code under test has mapped, and the call that fails. */
static size_t   mapped;
static unsigned calls;
static unsigned failing;


/* Those of the C library, for what is linked with the test. */
void *
mmap(void *address, size_t size, int protection, int flags, int fd,
     off_t offset)
{
    void *at;

    if (++calls == failing) {
        errno = ENOMEM;
        return MAP_FAILED;
    }

    at = (void *) syscall(SYS_mmap, address, size, protection, flags, fd,
                          offset);
    mapped += at != MAP_FAILED ? size : 0;

    return at;
}


int
munmap(void *address, size_t size)
{
    mapped -= size;

    return (int) syscall(SYS_munmap, address, size);
}


Test(module_symbols, nothing_is_held_where_memory_lacks, .init = fixture_setup,
     .fini = fixture_teardown)
{
    int                    rc;
    unsigned               refused = 0;
    struct module_symbols  module;
    struct module_identity identity
        = fixture_identity(fixture_compile("cc", "inlined_calls.c", ""));

    failing = 0;

    do {
        calls = 0;
        mapped = 0;
        failing++;

        rc = module_symbols_open(&module, &identity, "/nonexistent");

        if (rc == 0) {
            module_symbols_close(&module);
        } else {
            cr_expect_eq(rc, -ENOMEM);
            refused++;
        }

        cr_expect_eq(mapped, 0, "%zu bytes, of mapping %u", mapped, failing);
    } while (calls >= failing);

    /* the last had all it asked for */
    cr_expect_eq(rc, 0);
    cr_expect_gt(refused, 0);
    cr_expect_gt(failing, refused);
    close(identity.fd);
}
