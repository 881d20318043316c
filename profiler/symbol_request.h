
/*
 * The body of a POST to /debug/pprof/symbol: "0xADDR+0xADDR...".
 */


#ifndef NPROF_SYMBOL_REQUEST_H
#define NPROF_SYMBOL_REQUEST_H


#include "aggregate/stack_profile.h"
#include "unwind/module_table.h"


/* More addresses than in 1 MiB of body there are not; the rest is ignored. */
#define SYMBOL_REQUEST_MAX (1024 * 1024 / 4)


/*
 * Makes a profile with a sample of one frame for each address of a known
 * module; the sample's value is the run-time address. What is no hexadecimal
 * number is skipped. NULL if there is no memory; freed by
 * stack_profile_free(). The profiler thread.
 */
struct stack_profile *symbol_request_parse(const struct module_table *modules,
                                           const char                *text);


#endif /* NPROF_SYMBOL_REQUEST_H */
