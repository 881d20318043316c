
/*
 * Demangling (demangled_name.h).
 */


#include <setjmp.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "demangled_name.h"


struct output {
    char  *to;
    size_t size;
    size_t used;

    /* Where to go when the room is used up. */
    jmp_buf full;
};


/*
 * Substitutions make the output grow exponentially, and the demangler has no
 * other way to be stopped. It holds nothing but its stack while it prints.
 */
static void
take(const char *text, size_t len, void *opaque)
{
    struct output *output = opaque;

    if (len >= output->size - output->used) {
        longjmp(output->full, 1);
    }

    memcpy(output->to + output->used, text, len);
    output->used += len;
}


/* Rust's older scheme is C++'s with a hash, so Rust is tried first. */
static int
print(const char *name, struct output *output)
{
    if (setjmp(output->full) != 0) {
        return 0;
    }

    return rust_demangle_callback(name, DMGL_PARAMS, take, output)
           || (strncmp(name, "_Z", 2) == 0
               && cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_ANSI,
                                             take, output));
}


const char *
demangled_name(const char *name, char *to, size_t size)
{
    struct output output;

    if (name[0] != '_' || (name[1] != 'Z' && name[1] != 'R')
        || strnlen(name, DEMANGLED_NAME_MAX_INPUT)
               == DEMANGLED_NAME_MAX_INPUT) {
        return NULL;
    }

    output.to = to;
    output.size = size;
    output.used = 0;

    if (!print(name, &output) || output.used == 0) {
        return NULL;
    }

    to[output.used] = '\0';

    return to;
}
