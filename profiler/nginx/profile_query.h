
/*
 * What the query of a profile's URL asks for: as Go's net/http/pprof has it,
 * with ours beside. It trusts nothing in it, and is free of nginx. Any thread.
 *
 * A parameter counts where it is first given; its value is decoded. Parameters
 * that are not known are left alone, as are those without "=".
 */


#ifndef NGX_PROFILE_QUERY_H
#define NGX_PROFILE_QUERY_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nprof.h"


/* What a missing "seconds" means where it has to mean something. */
#define PROFILE_QUERY_SECONDS 30

/* The longest that "last" may be, seconds. */
#define PROFILE_QUERY_LAST 86400


enum profile_query_form {
    /* Of a window, 30 seconds or what is allowed of them if nothing else is said;
       there is no "debug". */
    PROFILE_QUERY_WINDOW = 0,

    /* Of all that was counted, unless a window is given. */
    PROFILE_QUERY_TOTAL
};


struct profile_query {
    /* How long the window is that begins now; 0: it is none of these. */
    uint32_t seconds;

    /* A text to be read is asked for; never of PROFILE_QUERY_WINDOW. */
    bool debug;

    /* With the labels below; it is no longer valid than this. */
    struct nprof_window window;

    struct nprof_label_match labels[NPROF_MATCHES_MAX];

    struct {
        char name[NPROF_LABEL_NAME_MAX];
        char value[NPROF_LABEL_VALUE_MAX];
    } texts[NPROF_MATCHES_MAX];
};


/* What the query is read by. */
struct profile_query_bounds {
    enum profile_query_form form;

    /* Of profiler_max_seconds. */
    int64_t max_seconds;

    /* CLOCK_REALTIME, nanoseconds. */
    int64_t now_ns;
};


/* Reads len bytes of a query. Returns NULL, or what is wrong with it: one line,
   static. */
const char *profile_query_read(struct profile_query              *query,
                               const struct profile_query_bounds *bounds,
                               const char *args, size_t len);


#endif /* NGX_PROFILE_QUERY_H */
