
/*
 * C++ and Rust names as people wrote them, by GNU libiberty.
 *
 * libstdc++'s demangler would bring a C++ run-time into the web server.
 */


#ifndef NPROF_DEMANGLED_NAME_H
#define NPROF_DEMANGLED_NAME_H


#include <stddef.h>


/* Longer mangled names stay as they are: their cost is stack. */
#define DEMANGLED_NAME_MAX_INPUT 2048


/*
 * Writes the demangled form of `name` to `to`, and returns `to`; returns NULL
 * if the name is not mangled, or its form has no room there (a short name can
 * stand for megabytes). Any thread with SYMBOLIZER_STACK_SIZE of stack
 * (symbolizer.h).
 */
const char *demangled_name(const char *name, char *to, size_t size);


#endif /* NPROF_DEMANGLED_NAME_H */
