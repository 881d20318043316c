
/*
 * Names of labels as receivers of profiles want them. Any thread.
 */


#ifndef NPROF_PPROF_LABEL_H
#define NPROF_PPROF_LABEL_H


#include "../nprof.h"


/* A name, with one more character and the NUL. */
#define PPROF_LABEL_NAME_SIZE (NPROF_LABEL_NAME_MAX + 2)


/* Labels of samples that are in no set of labels: the name of the thread; and of
   the work of a span its id, twice, as numbers. */
#define PPROF_LABEL_THREAD "thread"
#define PPROF_LABEL_SPAN "span_id"
#define PPROF_LABEL_ROOT_SPAN "local_root_span_id"


enum pprof_label_names {
    /* As they are: `go tool pprof` takes any. */
    PPROF_NAMES_PLAIN = 0,

    /* Datadog's own names, which have spaces, where it has one. */
    PPROF_NAMES_DATADOG,

    /* Of series, as Pyroscope makes of labels: letters, digits, "_" and ".",
       no digit first. It refuses a profile for any other. */
    PPROF_NAMES_SERIES
};


/* The name: itself, static, or in the buffer. */
const char *pprof_label_name(enum pprof_label_names names, const char *name,
                             char buffer[PPROF_LABEL_NAME_SIZE]);


#endif /* NPROF_PPROF_LABEL_H */
