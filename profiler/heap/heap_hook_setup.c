
/*
 * Installs the allocation hooks. It is apart from heap_hook.c, which may call
 * nothing that an allocation hook may not.
 */


#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

#include "../sample/got_patch.h"
#include "heap_hook.h"


/* Whether it is the main program's stub that calls the function, which is what
   its address is where a program without PIE takes it. */
static bool
is_stub(void *target)
{
    void   *found;
    Dl_info info;
    const ElfW(Sym) * symbol;

    found = NULL;

    if (dladdr1(target, &info, &found, RTLD_DL_SYMENT) == 0 || found == NULL) {
        return false;
    }

    symbol = found;

    return symbol->st_shndx == SHN_UNDEF;
}


const char *
heap_hook_missing(void)
{
    size_t                   i;
    static const char *const sanitizers[] = {
        "__asan_init", "__tsan_init",   "__msan_init",
        "__lsan_init", "__hwasan_init",
    };

    for (i = 0; i < sizeof(sanitizers) / sizeof(sanitizers[0]); i++) {
        if (dlsym(RTLD_DEFAULT, sanitizers[i]) != NULL) {
            return "a sanitizer has malloc()";
        }
    }

    for (i = 0; i < HEAP_HOOKS; i++) {
        if (is_stub(*heap_hooks[i].target)) {
            return "the program has a stub for malloc() or another of its kind";
        }
    }

    return NULL;
}


int
heap_hook_install(void)
{
    int rc;

    rc = got_patch_all(heap_hooks, HEAP_HOOKS);

    return rc < 0 ? rc : 0;
}
