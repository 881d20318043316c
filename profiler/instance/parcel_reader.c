
/*
 * Reads parcels and trusts nothing in them; see stack_parcel.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "parcel_record.h"
#include "stack_parcel.h"


/* A descriptor's number is no larger. */
#define FD_MAX (1 << 30)


static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xff51afd7ed558ccdull;

    return hash ^ hash >> 32;
}


static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    uint64_t             word;
    const unsigned char *at = bytes;

    for (/* void */; n >= sizeof(word); n -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = mix(hash, word);
        at += sizeof(word);
    }

    word = n;
    memcpy(&word, at, n);

    return mix(hash, word ^ (uint64_t) n << 56);
}


/* False if there is none, or it has more than 64 bits. */
static bool
get_number(struct parcel_reader *r, uint64_t *number)
{
    unsigned shift;

    *number = 0;

    for (shift = 0; r->at < r->end && shift < 64; shift += 7) {
        *number |= (uint64_t) (*r->at & 0x7f) << shift;

        if (*r->at++ < 0x80) {
            return shift < 63 || r->at[-1] <= 1;
        }
    }

    return false;
}


/* One that is less than bound. */
static bool
get_below(struct parcel_reader *r, uint64_t bound, uint32_t *number)
{
    uint64_t n;

    if (!get_number(r, &n) || n >= bound) {
        return false;
    }

    *number = (uint32_t) n;

    return true;
}


static bool
get_signed(struct parcel_reader *r, int64_t *number)
{
    uint64_t n;

    if (!get_number(r, &n)) {
        return false;
    }

    *number = (int64_t) (n >> 1 ^ -(n & 1));

    return true;
}


static bool
get_text(struct parcel_reader *r, const char **text)
{
    uint32_t n;

    if (!get_below(r, PARCEL_TEXT_MAX, &n) || n >= (size_t) (r->end - r->at)
        || r->at[n] != '\0' || memchr(r->at, '\0', n) != NULL) {
        return false;
    }

    *text = (const char *) r->at;
    r->at += n + 1;

    return true;
}


/* Room for one more in an array of the reader's; -ENOMEM if memory lacks. */
#define room(r, rows, n, capacity) \
    ((rows) = room_for((r), (rows), (n), &(capacity), sizeof((rows)[0])))

static void *
room_for(struct parcel_reader *r, void *rows, uint32_t n, uint32_t *capacity,
         size_t size)
{
    return block_arena_room(&r->arena, rows, n, capacity, size);
}


/* The empty label set and the thread without a name have number 0. */
static int
tables_reset(struct parcel_reader *r)
{
    block_arena_free(&r->arena);

    r->n_modules = r->modules_room = 0;
    r->n_labels = r->labels_room = 0;
    r->label_hashes_room = r->label_depths_room = 0;
    r->n_threads = r->threads_room = r->thread_hashes_room = 0;
    r->modules = NULL;
    r->spans = NULL;
    r->spans_room = 0;

    r->labels = NULL;
    r->label_hashes = NULL;
    r->label_depths = NULL;
    r->threads = NULL;
    r->thread_hashes = NULL;

    if (room(r, r->labels, 0, r->labels_room) == NULL
        || room(r, r->label_hashes, 0, r->label_hashes_room) == NULL
        || room(r, r->label_depths, 0, r->label_depths_room) == NULL
        || room(r, r->threads, 0, r->threads_room) == NULL
        || room(r, r->thread_hashes, 0, r->thread_hashes_room) == NULL) {
        return -ENOMEM;
    }

    r->n_labels = 1;
    r->threads[0] = "";
    r->thread_hashes[0] = hash_bytes(0, "", 0);
    r->n_threads = 1;

    return 0;
}


int
parcel_read(struct parcel_reader *r, const void *bytes, size_t n)
{
    uint32_t             magic, version;
    const unsigned char *at = bytes;

    memset(r, 0, sizeof(*r));

    if (n < PARCEL_HEADER) {
        return -EBADMSG;
    }

    memcpy(&magic, at, sizeof(magic));
    memcpy(&version, at + 4, sizeof(version));
    memcpy(&r->worker, at + 8, sizeof(r->worker));
    memcpy(&r->pid, at + 16, sizeof(r->pid));

    if (magic != PARCEL_MAGIC || version != PARCEL_VERSION) {
        return -EBADMSG;
    }

    r->at = at + PARCEL_HEADER;
    r->end = at + n;
    /* no profile yet: a sample has nowhere to go */
    r->kind = PARCEL_KINDS_MAX;

    return 0;
}


void
parcel_read_end(struct parcel_reader *r)
{
    block_arena_free(&r->arena);
}


static int
read_profile(struct parcel_reader *r)
{
    int rc;

    rc = tables_reset(r);
    if (rc != 0) {
        return rc;
    }

    if (!get_below(r, PARCEL_KINDS_MAX, &r->kind)
        || !get_below(r, STACK_PROFILE_MAX_VALUES + 1, &r->n_values)) {
        return -EBADMSG;
    }

    return PARCEL_PROFILE;
}


/* A module is its build id or, where it has none, its path and file. */
static uint64_t
module_hash(const struct module_identity *module)
{
    if (module->build_id_len != 0) {
        return hash_bytes(module->text_start, module->build_id,
                          module->build_id_len);
    }

    return hash_bytes(module->inode, module->path, strlen(module->path));
}


static bool
get_module(struct parcel_reader *r, struct module_identity *module)
{
    uint32_t    n, fd;
    const char *path;

    if (!get_text(r, &path) || !get_below(r, MODULE_BUILD_ID_MAX + 1, &n)
        || n > (size_t) (r->end - r->at)) {
        return false;
    }

    /* never written to: identities are immutable */
    module->path = (char *) (uintptr_t) path;
    module->build_id_len = (uint8_t) n;
    memcpy(module->build_id, r->at, n);
    r->at += n;

    if (!get_number(r, &module->inode) || !get_number(r, &module->bias)
        || !get_number(r, &module->text_start)
        || !get_number(r, &module->text_end)
        || !get_number(r, &module->text_offset)
        || module->text_end < module->text_start
        || !get_below(r, FD_MAX, &fd)) {
        return false;
    }

    module->fd = (int) fd - 1;

    return true;
}


static int
read_module(struct parcel_reader *r)
{
    struct parcel_module *module;

    if (r->n_modules == PARCEL_MODULES_MAX) {
        return -EBADMSG;
    }

    if (room(r, r->modules, r->n_modules, r->modules_room) == NULL) {
        return -ENOMEM;
    }

    module = &r->modules[r->n_modules];
    memset(module, 0, sizeof(*module));

    if (!get_module(r, &module->identity)) {
        return -EBADMSG;
    }

    module->hash = module_hash(&module->identity);
    r->n_modules++;

    return 0;
}


static int
read_label(struct parcel_reader *r)
{
    uint64_t      hash;
    struct label *label;

    if (r->n_labels == PARCEL_LABELS_MAX) {
        return -EBADMSG;
    }

    if (room(r, r->labels, r->n_labels, r->labels_room) == NULL
        || room(r, r->label_hashes, r->n_labels, r->label_hashes_room) == NULL
        || room(r, r->label_depths, r->n_labels, r->label_depths_room)
               == NULL) {
        return -ENOMEM;
    }

    label = &r->labels[r->n_labels];

    if (!get_below(r, r->n_labels, &label->rest)
        || r->label_depths[label->rest] == PARCEL_LABEL_DEPTH
        || !get_text(r, &label->name) || !get_text(r, &label->value)) {
        return -EBADMSG;
    }

    hash = hash_bytes(1, label->name, strlen(label->name));
    hash = hash_bytes(hash, label->value, strlen(label->value));
    r->label_depths[r->n_labels] = r->label_depths[label->rest] + 1;
    /* a sum: the same set in another order is the same */
    r->label_hashes[r->n_labels++] = r->label_hashes[label->rest] + hash;

    return 0;
}


static int
read_thread(struct parcel_reader *r)
{
    const char *name;

    if (r->n_threads == PARCEL_THREADS_MAX || !get_text(r, &name)) {
        return -EBADMSG;
    }

    if (room(r, r->threads, r->n_threads, r->threads_room) == NULL
        || room(r, r->thread_hashes, r->n_threads, r->thread_hashes_room)
               == NULL) {
        return -ENOMEM;
    }

    r->threads[r->n_threads] = name;
    r->thread_hashes[r->n_threads++] = hash_bytes(0, name, strlen(name));

    return 0;
}


static bool
get_frame(struct parcel_reader *r, struct stack_frame *frame, uint64_t *hash)
{
    uint32_t                    head, module;
    uint64_t                    offset;
    const struct parcel_module *of;

    if (!get_below(r, UINT32_MAX, &head)) {
        return false;
    }

    module = head >> PARCEL_KIND_BITS;
    frame->kind = head & ((1u << PARCEL_KIND_BITS) - 1);

    if (frame->kind >= STACK_FRAME_N_KINDS || module > r->n_modules) {
        return false;
    }

    if (module == 0) {
        frame->module = STACK_FRAME_NO_MODULE;
        frame->address = 0;
        *hash = mix(*hash, frame->kind);
        return true;
    }

    if (!get_number(r, &offset)) {
        return false;
    }

    of = &r->modules[module - 1];
    frame->module = module - 1;
    frame->address = of->identity.text_start + offset;
    *hash = mix(*hash, (of->hash ^ frame->kind) + offset);

    return true;
}


/* What follows a sample: its spans, if it has any. */
static int
read_spans(struct parcel_reader *r, struct parcel_sample *sample)
{
    uint32_t             i, n;
    struct profile_span *span;

    sample->n_spans = 0;

    if (r->at == r->end || *r->at != PARCEL_RECORD_SPANS) {
        return PARCEL_SAMPLE;
    }

    r->at++;

    if (!get_below(r, PARCEL_SPANS_MAX + 1, &n)) {
        return -EBADMSG;
    }

    for (i = 0; i < n; i++) {
        if (room(r, r->spans, i, r->spans_room) == NULL) {
            return -ENOMEM;
        }

        span = &r->spans[i];

        if (!get_number(r, &span->span) || !get_signed(r, &span->ns)
            || !get_signed(r, &span->time_ns) || span->span == 0
            || span->ns <= 0 || span->ns > PARCEL_SPAN_NS_MAX) {
            return -EBADMSG;
        }
    }

    sample->spans = r->spans;
    sample->n_spans = n;

    return PARCEL_SAMPLE;
}


static int
read_sample(struct parcel_reader *r, struct parcel_sample *sample)
{
    uint32_t i;

    if (r->kind == PARCEL_KINDS_MAX
        || !get_below(r, r->n_threads, &sample->thread)
        || !get_below(r, r->n_labels, &sample->labels)
        || !get_below(r, STACK_UNWIND_MAX + 3, &sample->n_frames)
        || sample->n_frames == 0) {
        return -EBADMSG;
    }

    sample->hash = mix(r->thread_hashes[sample->thread],
                       r->label_hashes[sample->labels]);

    for (i = 0; i < sample->n_frames; i++) {
        if (!get_frame(r, &sample->frames[i], &sample->hash)) {
            return -EBADMSG;
        }
    }

    memset(sample->values, 0, sizeof(sample->values));

    for (i = 0; i < r->n_values; i++) {
        if (!get_signed(r, &sample->values[i])) {
            return -EBADMSG;
        }
    }

    return read_spans(r, sample);
}


int
parcel_next(struct parcel_reader *r, struct parcel_sample *sample)
{
    int      rc;
    uint32_t record;

    for (rc = 0; rc == 0;) {
        if (!get_below(r, PARCEL_RECORD_SAMPLE + 1, &record)) {
            return -EBADMSG;
        }

        /* the tables are those of a profile */
        if (r->kind == PARCEL_KINDS_MAX && record != PARCEL_RECORD_PROFILE
            && record != PARCEL_RECORD_END) {
            return -EBADMSG;
        }

        switch (record) {
        case PARCEL_RECORD_END:
            return r->at == r->end ? PARCEL_END : -EBADMSG;
        case PARCEL_RECORD_PROFILE:
            rc = read_profile(r);
            break;
        case PARCEL_RECORD_MODULE:
            rc = read_module(r);
            break;
        case PARCEL_RECORD_LABEL:
            rc = read_label(r);
            break;
        case PARCEL_RECORD_THREAD:
            rc = read_thread(r);
            break;
        default:
            rc = read_sample(r, sample);
            break;
        }
    }

    return rc;
}


uint64_t
parcel_mark_hash(const char *thread, enum stack_frame_kind mark)
{
    return mix(mix(hash_bytes(0, thread, strlen(thread)), 0), mark);
}
