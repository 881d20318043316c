
/*
 * Sets of labels, each a name and a value, that samples carry: what the code
 * that was sampled worked for.
 *
 * A set is a number: a copy of it is all that a signal handler has to take.
 * Sets are made once and kept as long as the process, so that a number never
 * means another set. A set is another one with one label more, which makes
 * those of a location's requests share what they have in common.
 *
 * All of it is static memory with fixed bounds, of which only what is used is
 * resident: a label whose values are unbounded fills its share and is left out
 * from then on, and counted. No locks: any thread may make sets, at any time
 * but from a signal handler.
 */


#ifndef NPROF_LABEL_SET_H
#define NPROF_LABEL_SET_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../nprof.h"


/* The set without labels. */
#define LABEL_SET_NONE 0u

/* Sets, and those of them that may be made of values that come with requests:
   these leave room for what the configuration alone decides. */
#define LABEL_SETS 4096
#define LABEL_SETS_OF_REQUESTS 3072

/* Bytes of names and values in all, and likewise those of requests. */
#define LABEL_BYTES (512 * 1024)
#define LABEL_BYTES_OF_REQUESTS (384 * 1024)

/* Labels of a set. */
#define LABELS_MAX 16


/* The text of a name or value. It need not end with NUL; it ends at one. */
struct label_text {
    const char *data;
    size_t      len;
};


struct label {
    /* The set without this label. */
    uint32_t rest;

    /* NUL-terminated; as old as the process. */
    const char *name;
    const char *value;
};


struct label_counters {
    /* Sets in use, and labels that were left out for want of room. */
    uint64_t sets;
    uint64_t dropped;
};


/*
 * The set that has the labels of set, and that one, in place of one of the same
 * name. It is set itself where there is no room (which is counted), for an
 * empty or too long name, and for an empty value. of_request: the value comes
 * with a request; a set that is made of such a one counts as such, too.
 */
uint32_t label_set_with(uint32_t set, struct label_text name,
                        struct label_text value, bool of_request);

/*
 * One label of a set and, by its rest, the others; NULL for LABEL_SET_NONE, and
 * for what is no set. No two have the same name.
 */
const struct label *label_set_first(uint32_t set);

/* The value of the label of that name, as old as the process; NULL if the set
   has none. */
const char *label_set_value(uint32_t set, const char *name);

void label_set_count(struct label_counters *counters);


#endif /* NPROF_LABEL_SET_H */
