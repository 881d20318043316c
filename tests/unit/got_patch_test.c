/*
 * Patching of imports: what is redirected, what is left alone, and that the
 * protection of pages is afterwards what it was.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library_fixture.h"
#include "sample/got_patch.h"
#include "sample/mask_hook.h"
#include "sample/signal_handler.h"
#include "sample/signal_setup.h"


TestSuite(got_patch, .init = fixture_setup, .fini = fixture_teardown,
          .timeout = 30);


/* Calls through the PLT, or by -fno-plt; data next to what is patched. */
#define CALLER                                                              \
    "extern long a64l(const char *);\n"                                     \
    "extern long atol(const char *);\n"                                     \
    "int changed = 7;\n"                                                    \
    "const int *const table[] = { &changed };\n"                            \
    "int call(const char *text) { return (int) a64l(text) + *table[0]; }\n" \
    "long other(const char *text) { return atol(text); }\n"                 \
    "void write_data(void) { changed = 8; }\n"


static long
replacement(const char *text)
{
    return 1000 + strtol(text, NULL, 10);
}


/* The process's mappings as text, without those of the heap and of stacks. */
static char *
mappings(void)
{
    char   line[1024], *all = NULL;
    size_t size;
    FILE  *maps = fopen("/proc/self/maps", "re"),
         *out = open_memstream(&all, &size);

    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strchr(line, '/') != NULL) {
            fputs(line, out);
        }
    }

    fclose(maps);
    fclose(out);

    return all;
}


/* a64l() is one that nothing else in the process imports: "5" is 7 to it. */
typedef int (*call_function)(const char *);
typedef long (*other_function)(const char *);
typedef void (*write_function)(void);


/* Patches a64l() of a library that was built in one of several ways. */
static void
expect_patched(const char *name, const char *options)
{
    char          *path, *before, *after;
    void          *library;
    call_function  call;
    other_function other;
    write_function write_data;

    path = library_compile(name, options, CALLER);
    library = dlopen(path, strstr(options, "lazy") ? RTLD_LAZY : RTLD_NOW);
    cr_assert_not_null(library, "%s", dlerror());
    call = (call_function) (uintptr_t) library_address(library, "call");
    other = (other_function) (uintptr_t) library_address(library, "other");
    write_data
        = (write_function) (uintptr_t) library_address(library, "write_data");

    before = mappings();
    cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 1,
                 "%s", options);
    after = mappings();

    cr_expect_eq(call("5"), 1012, "%s: %d", options, call("5"));
    cr_expect_eq(other("5"), 5);
    cr_expect_str_eq(after, before);
    write_data();
    cr_expect_eq(call("5"), 1013);

    /* our own call is what it was */
    cr_expect_eq(a64l("5"), 7);

    /* again there is nothing left to do */
    cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 0);

    free(before);
    free(after);
    free(path);
    dlclose(library);
}


Test(got_patch, every_way_to_import_is_redirected)
{
    expect_patched("full", "-O2 -Wl,-z,relro,-z,now");
    expect_patched("noplt", "-O2 -fno-plt -Wl,-z,relro,-z,now");
    expect_patched("lazy", "-O2 -Wl,-z,relro,-z,lazy");
    expect_patched("norelro", "-O2 -Wl,-z,norelro");
    expect_patched("noplt_lazy", "-O2 -fno-plt -Wl,-z,relro,-z,lazy");
}


Test(got_patch, what_nobody_imports_is_not_found)
{
    char *before = mappings(), *after;

    cr_expect_eq(got_patch("no_such_function_at_all", (void *) a64l,
                           (void *) replacement),
                 0);
    after = mappings();
    cr_expect_str_eq(after, before);
    free(before);
    free(after);
}


/* The pointer is data that the program may have changed: then it stays. */
#define HOLDER                                                \
    "extern long a64l(const char *);\n"                       \
    "extern long atol(const char *);\n"                       \
    "long (*const fixed)(const char *) = a64l;\n"             \
    "long (*kept)(const char *) = a64l;\n"                    \
    "long (*changed)(const char *) = a64l;\n"                 \
    "__attribute__((constructor)) static void change(void)\n" \
    "{ changed = atol; }\n"                                   \
    "long call(const char *text)\n"                           \
    "{ return a64l(text) + fixed(text) + kept(text)\n"        \
    "         + changed(text); }\n"


Test(got_patch, all_redirects_pointers_and_our_own_calls_too)
{
    char                            *path, *before, *after;
    void                            *library;
    other_function                   call;
    static void *const               target = (void *) a64l;
    static void *const               nobody = (void *) l64a;
    static const struct got_redirect redirects[] = {
        {"no_such_function_at_all", &nobody, (void *) replacement},
        {"a64l", &target, (void *) replacement},
    };

    path = library_compile("holder", "-O0 -Wl,-z,relro,-z,now", HOLDER);
    library = library_open(path);
    call = (other_function) (uintptr_t) library_address(library, "call");
    cr_expect_eq(call("5"), 7 + 7 + 7 + 5);

    before = mappings();
    /* its call, its two pointers, and the call of this program */
    cr_expect_eq(got_patch_all(redirects, 2), 4);
    after = mappings();

    cr_expect_eq(call("5"), 3 * 1005 + 5, "%ld", call("5"));
    cr_expect_eq(a64l("5"), 1005);
    cr_expect_str_eq(after, before);
    cr_expect_eq(got_patch_all(redirects, 2), 0);

    free(before);
    free(after);
    free(path);
    dlclose(library);
}


/* A slot of that name that holds something else is somebody's interposer. */
Test(got_patch, an_interposed_symbol_is_left_alone)
{
    char         *path = library_compile("one", "-O2 -Wl,-z,now", CALLER);
    call_function call;

    call = (call_function) (uintptr_t) library_address(library_open(path),
                                                       "call");
    cr_expect_eq(got_patch("a64l", (void *) atol, (void *) replacement), 0);
    cr_expect_eq(call("5"), 14);
    free(path);
}


#ifndef __SANITIZE_ADDRESS__ /* which refuses RTLD_DEEPBIND */
/* A module that defines the function itself calls its own. */
Test(got_patch, a_modules_own_definition_is_left_alone)
{
    int           flags;
    char         *path;
    void         *library;
    call_function call;

    path = library_compile("own", "-O2 -fno-builtin -fno-inline",
                           "long a64l(const char *text) { return *text; }\n"
                           "int call(const char *text)\n"
                           "{ return (int) a64l(text) + 1; }");

    for (flags = RTLD_LAZY; flags <= RTLD_NOW; flags++) {
        library = dlopen(path, flags | RTLD_DEEPBIND);
        cr_assert_not_null(library);
        call = (call_function) (uintptr_t) library_address(library, "call");
        cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 0);
        cr_expect_eq(call("A"), 'A' + 1);
        cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 0);
        cr_expect_eq(call("A"), 'A' + 1);
        dlclose(library);
    }

    free(path);
}


/* A module that has one function from a library of its own may get others from
   there, too, when it calls them first. */
Test(got_patch, a_module_that_binds_elsewhere_is_left_unbound)
{
    char                            *own, *path, options[512];
    void                            *library;
    call_function                    call;
    static void *const               targets[] = {(void *) a64l, (void *) l64a};
    static const struct got_redirect redirects[] = {
        {"a64l", &targets[0], (void *) replacement},
        {"l64a", &targets[1], (void *) replacement},
    };

    own = library_compile(
        "theirs", "-O2 -fno-builtin",
        "long a64l(const char *text) { return *text; }\n"
        "char *l64a(long value) { return (char *) value; }\n");
    snprintf(options, sizeof(options),
             "-O2 -fno-builtin -Wl,-z,lazy -Wl,--no-as-needed %s", own);
    path = library_compile("caller", options,
                           "extern long a64l(const char *);\n"
                           "extern char *l64a(long);\n"
                           "void *pointer(void) { return l64a; }\n"
                           "int call(const char *text)\n"
                           "{ return (int) a64l(text) + 1; }");
    library = dlopen(path, RTLD_LAZY | RTLD_DEEPBIND);
    cr_assert_not_null(library, "%s", dlerror());
    call = (call_function) (uintptr_t) library_address(library, "call");
    cr_expect_geq(got_patch_all(redirects, 2), 0);
    cr_expect_eq(call("A"), 'A' + 1);
    dlclose(library);
    free(own);
    free(path);
}
#endif


/* A function's address in the code itself can't be written to, wherever it is in
   an instruction. */
Test(got_patch, addresses_in_code_are_left_alone)
{
    char                            *path, *before, *after;
    void                            *library;
    uint64_t                        *word, held;
    const void                      *odd;
    static void *const               target = (void *) a64l;
    static const struct got_redirect redirect
        = {"a64l", &target, (void *) replacement};

    path = library_compile(
        "textrel", "-O2 -Wl,-z,notext",
        "__asm__(\".text\\n.globl word, odd\\n.balign 8\\n\"\n"
        "        \"word: .quad a64l\\n.byte 0\\n\"\n"
        "        \"odd: .quad a64l\\n\");");
    library = library_open(path);
    word = (uint64_t *) (uintptr_t) library_address(library, "word");
    odd = (const void *) (uintptr_t) library_address(library, "odd");
    held = *word;
    cr_assert_eq(held, (uintptr_t) a64l);

    before = mappings();
    cr_expect_geq(got_patch_all(&redirect, 1), 0);
    after = mappings();
    cr_expect_eq(*word, held);
    cr_expect_eq(memcmp(odd, word, sizeof(held)), 0);
    cr_expect_str_eq(after, before);

    free(before);
    free(after);
    free(path);
    dlclose(library);
}


/* Sets the size of PT_GNU_RELRO, so that it ends within a page. */
static void
relro_shorten(const char *path, uint64_t bytes)
{
    int        fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned   i;
    off_t      at;
    Elf64_Ehdr elf;
    Elf64_Phdr header;

    cr_assert_eq(pread(fd, &elf, sizeof(elf), 0), sizeof(elf));

    for (i = 0; i < elf.e_phnum; i++) {
        at = (off_t) (elf.e_phoff + i * sizeof(header));
        cr_assert_eq(pread(fd, &header, sizeof(header), at), sizeof(header));

        if (header.p_type == PT_GNU_RELRO) {
            header.p_memsz -= bytes;
            cr_assert_eq(pwrite(fd, &header, sizeof(header), at),
                         sizeof(header));
        }
    }

    close(fd);
}


/* The dynamic loader leaves a last page that is not full writable. */
Test(got_patch, a_page_that_relro_covers_in_part_stays_writable)
{
    char         *path = library_compile("one", "-O2 -Wl,-z,now", CALLER);
    char         *before, *after;
    void         *library;
    call_function call;

    relro_shorten(path, 8);
    library = library_open(path);
    call = (call_function) (uintptr_t) library_address(library, "call");

    before = mappings();
    cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 1);
    after = mappings();
    cr_expect_str_eq(after, before);
    cr_expect_eq(call("5"), 1012);
    free(before);
    free(after);
    free(path);
}


#define BLOCKER                                                       \
    "#include <pthread.h>\n"                                          \
    "#include <signal.h>\n"                                           \
    "int block(int how, int one) { sigset_t set; sigfillset(&set);\n" \
    "  if (one) { sigemptyset(&set); sigaddset(&set, one); }\n"       \
    "  return pthread_sigmask(how, &set, 0); }\n"                     \
    "int query(void *old) { return pthread_sigmask(SIG_BLOCK, 0, old); }\n"


typedef int (*block_function)(int how, int one);
typedef int (*query_function)(void *old);


Test(got_patch, a_full_mask_leaves_the_samplers_signal_out)
{
    char          *path = library_compile("blocker", "-O2", BLOCKER);
    void          *library = library_open(path);
    sigset_t       mask, set;
    block_function block;
    query_function query;

    block = (block_function) (uintptr_t) library_address(library, "block");
    query = (query_function) (uintptr_t) library_address(library, "query");
    cr_assert_eq(signal_setup(), SIGPROF);
    cr_assert_eq(mask_hook_install(), 0);

    cr_expect_eq(block(SIG_BLOCK, 0), 0);
    cr_expect_eq(query(&mask), 0);
    cr_expect_not(sigismember(&mask, SIGPROF));
    cr_expect(sigismember(&mask, SIGTERM));
    cr_expect(sigismember(&mask, SIGVTALRM));

    cr_expect_eq(block(SIG_SETMASK, 0), 0);
    query(&mask);
    cr_expect_not(sigismember(&mask, SIGPROF));
    cr_expect(sigismember(&mask, SIGHUP));

    cr_expect_eq(block(SIG_BLOCK, SIGPROF), 0);
    query(&mask);
    cr_expect_not(sigismember(&mask, SIGPROF));

    cr_expect_eq(block(SIG_UNBLOCK, 0), 0);
    query(&mask);
    cr_expect_not(sigismember(&mask, SIGTERM));
    cr_expect_eq(block(12345, 0), EINVAL);

    /* whoever owns the hook may block it: our threads do, at their start */
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    query(&mask);
    cr_expect(sigismember(&mask, SIGPROF));

    /* one that is not ours any more is their affair */
    cr_expect_eq(block(SIG_SETMASK, SIGTERM), 0);
    query(&mask);
    cr_expect_not(sigismember(&mask, SIGPROF));
    atomic_store(&signal_state.lost, true);
    cr_expect_eq(block(SIG_BLOCK, 0), 0);
    query(&mask);
    cr_expect(sigismember(&mask, SIGPROF));
    free(path);
}


/* Many relocations in the page that holds the slot: loading takes a while. */
#define SLOW_CALLER                                                          \
    "extern long a64l(const char *);\n"                                      \
    "#define FOR_ALL(X) X(accept) X(acct) X(alarm) X(asctime) X(bsearch) "   \
    "X(catclose) X(catgets) X(catopen) X(chroot) X(clearerr) X(closelog) "   \
    "X(ctermid) X(daemon) X(dirfd) X(ecvt) X(endpwent) X(fchdir) X(fcvt) "   \
    "X(ftok) X(gcvt) X(getgid) X(getpid) X(getpwnam) X(hcreate) X(hsearch) " \
    "X(iconv) X(insque) X(kill) X(lfind) X(lockf) X(lsearch) X(mkstemp) "    \
    "X(mktime) X(nice) X(openlog) X(pause) X(pipe) X(poll) X(psignal) "      \
    "X(qsort) X(readdir) X(regcomp) X(remque) X(rewind) X(scandir) "         \
    "X(setenv) X(sleep) X(swab) X(sync) X(tdelete) X(tfind) X(times) "       \
    "X(tsearch) X(ttyname) X(ulimit) X(umask) X(usleep) X(utime) X(wait)\n"  \
    "#define DECLARE(name) extern char name[];\n"                            \
    "#define ADDRESS(name) name,\n"                                          \
    "FOR_ALL(DECLARE)\n"                                                     \
    "char *const table[] = { FOR_ALL(ADDRESS) };\n"                          \
    "long call(const char *text) { return a64l(text); }\n"

/* So many, or what there is time for: whoever patches without a pause leaves the
   loader's lock to nobody else for long. */
#define LOADS 2000
#define LOAD_SECONDS 10


static _Atomic bool loads_done;


static void *
load_again_and_again(void *path)
{
    int    i;
    time_t end = time(NULL) + LOAD_SECONDS;

    for (i = 0; i < LOADS && time(NULL) < end; i++) {
        dlclose(library_open(path));
    }

    atomic_store(&loads_done, true);

    return NULL;
}


/*
 * The dynamic loader lists a module before it has relocated it: to protect its
 * page then would end the loader, and the process.
 */
Test(got_patch, a_module_that_is_being_loaded_is_left_to_the_loader)
{
    char         *path;
    void         *library;
    pthread_t     loader;
    call_function call;

    path = library_compile("slow", "-w -O1 -fno-plt -Wl,-z,now", SLOW_CALLER);
    cr_assert_eq(pthread_create(&loader, NULL, load_again_and_again, path), 0);

    while (!atomic_load(&loads_done)) {
        cr_assert_geq(got_patch("a64l", (void *) a64l, (void *) replacement),
                      0);
    }

    pthread_join(loader, NULL);

    library = library_open(path);
    cr_expect_eq(got_patch("a64l", (void *) a64l, (void *) replacement), 1);
    call = (call_function) (uintptr_t) library_address(library, "call");
    cr_expect_eq(call("5"), 1005);
    dlclose(library);
    free(path);
}
