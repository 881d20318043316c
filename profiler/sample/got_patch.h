
/*
 * Redirects calls of an imported function, in all loaded modules, by writing
 * their global offset tables.
 *
 * Each process does it for itself, in a worker after fork, never in the master.
 * libnprof is never unloaded, so a replacement stays valid whatever is.
 */


#ifndef NPROF_GOT_PATCH_H
#define NPROF_GOT_PATCH_H


#include <stddef.h>


/*
 * Points each slot of the global offset tables that names symbol and holds
 * target, or is not bound yet, at replacement; libnprof's own are left alone, and
 * so is what is not bound yet in a module that has bound symbol, by another slot,
 * to another function. RELRO pages are opened and closed again; other read-only
 * ones stay, and so do words that are not aligned. A module that is being loaded
 * at this moment is left alone: call it again a while after one came. Returns the
 * number of slots that were written, or -errno of the first page that could not
 * be opened. Takes the dynamic loader's lock; not from a signal handler.
 */
int got_patch(const char *symbol, void *target, void *replacement);

/* The same for the main program alone. */
int got_patch_program(const char *symbol, void *target, void *replacement);

/* The same for the one module that has the code at that address. */
int got_patch_module(void *code, const char *symbol, void *target,
                     void *replacement);


/* What is redirected: calls of what *target says. */
struct got_redirect {
    const char  *symbol;
    void *const *target;
    void        *replacement;
};

/*
 * The same for several functions, at one walk, and more thoroughly: libnprof's
 * own calls are redirected, too, so a replacement must not call what it stands
 * for by name; and so are pointers to the functions in other modules' data.
 */
int got_patch_all(const struct got_redirect *redirects, size_t n);


#endif /* NPROF_GOT_PATCH_H */
