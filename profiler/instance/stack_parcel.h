
/*
 * Profiles as bytes: what workers send each other, leave behind when they exit,
 * and what the history is made of.
 *
 * A parcel is a header (magic, version, the worker's id and pid) and records,
 * each a byte that says which, and numbers of 7 bits a byte, the last of which
 * has the top bit clear. A profile's record is followed by those of its
 * samples; a module, a set of labels and a thread's name have a record before
 * the first sample that refers to them, by number. So a parcel is written and
 * read in one pass. Frames are (module, offset) and labels are strings: nothing
 * in it means another thing in another process.
 *
 * The reader trusts nothing: every number has a bound, and what is no parcel is
 * refused. It works on the bytes in place; what it gives out lives as long.
 */


#ifndef NPROF_STACK_PARCEL_H
#define NPROF_STACK_PARCEL_H


#include <stddef.h>
#include <stdint.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/string_pool.h"
#include "../unwind/stack_unwind.h"


/* Bounds of what a reader takes. */
#define PARCEL_MODULES_MAX 4096
#define PARCEL_LABELS_MAX 524288
#define PARCEL_THREADS_MAX 65536

/* Labels of one set; a worker's have LABELS_MAX. Who follows a set to its end may
   call itself for each. */
#define PARCEL_LABEL_DEPTH 64

#define PARCEL_TEXT_MAX 4096
#define PARCEL_KINDS_MAX 32

/* Of one sample. */
#define PARCEL_SPANS_MAX 65536

/* The longest time of one, nanoseconds: 19 hours. No sum of them overflows. */
#define PARCEL_SPAN_NS_MAX (INT64_C(1) << 46)


/* Takes bytes as they are written. */
typedef void (*parcel_sink_pt)(void *data, const void *bytes, size_t n);


struct parcel_writer {
    parcel_sink_pt sink;
    void          *sink_data;

    /* Of the profile: what was written already, and under which number. */
    const struct stack_profile *profile;
    struct block_arena          arena;
    uint32_t                   *module_ids;
    uint32_t                   *label_ids;
    struct string_pool          threads;
    uint32_t                    n_modules;
    uint32_t                    n_labels;

    /* 0 or -ENOMEM; then what was written is no parcel. */
    int error;

    size_t        used;
    unsigned char buffer[8192];
};


/* Begins a parcel of the worker of that id (0: of no one worker) and pid. */
void parcel_begin(struct parcel_writer *writer, uint64_t worker, uint32_t pid,
                  parcel_sink_pt sink, void *data);

/* Adds a profile; kind says of what type it is. */
void parcel_add(struct parcel_writer *writer, unsigned kind,
                const struct stack_profile *profile);

/* Ends the parcel. 0 or -ENOMEM. */
int parcel_end(struct parcel_writer *writer);


struct parcel_module {
    /* fd is that of the process that wrote, or -1. */
    struct module_identity identity;
    uint64_t               hash;
};


struct parcel_sample {
    uint32_t thread;
    uint32_t labels;

    /* What tells its stack, thread and labels from all others. */
    uint64_t hash;

    uint32_t           n_frames;
    struct stack_frame frames[STACK_UNWIND_MAX + 2];

    int64_t values[STACK_PROFILE_MAX_VALUES];

    /* The reader's, until the next sample. */
    const struct profile_span *spans;
    uint32_t                   n_spans;
};


struct parcel_reader {
    uint64_t worker;
    uint32_t pid;

    /* Of the profile that is read. */
    unsigned              kind;
    uint32_t              n_values;
    struct block_arena    arena;
    struct parcel_module *modules;
    uint32_t              n_modules;
    uint32_t              modules_room;

    /* [0] is the empty set; the hash does not depend on the labels' order. */
    struct label *labels;
    uint64_t     *label_hashes;
    uint8_t      *label_depths;
    uint32_t      n_labels;
    uint32_t      labels_room;
    uint32_t      label_hashes_room;
    uint32_t      label_depths_room;

    /* [0] is "". */
    const char **threads;
    uint64_t    *thread_hashes;
    uint32_t     n_threads;
    uint32_t     threads_room;
    uint32_t     thread_hashes_room;

    /* Of the last sample. */
    struct profile_span *spans;
    uint32_t             spans_room;

    const unsigned char *at;
    const unsigned char *end;
};


enum parcel_event {
    PARCEL_END = 0,

    /* Samples of another profile follow. */
    PARCEL_PROFILE,

    PARCEL_SAMPLE
};


/*
 * Begins to read. Returns 0, -EBADMSG or -ENOMEM; parcel_read_end() is due in
 * any case.
 */
int parcel_read(struct parcel_reader *reader, const void *bytes, size_t n);

/*
 * What comes next, an enum parcel_event, or -EBADMSG or -ENOMEM. The sample is
 * filled where it is one.
 */
int parcel_next(struct parcel_reader *reader, struct parcel_sample *sample);

void parcel_read_end(struct parcel_reader *reader);


/* The hash of a thread's mark without labels, such as "[other]". */
uint64_t parcel_mark_hash(const char *thread, enum stack_frame_kind mark);


#endif /* NPROF_STACK_PARCEL_H */
