
/*
 * Writes parcels; see stack_parcel.h.
 */


#include <errno.h>
#include <string.h>

#include "parcel_record.h"
#include "stack_parcel.h"


static void
put_bytes(struct parcel_writer *w, const void *bytes, size_t n)
{
    if (w->used + n > sizeof(w->buffer)) {
        w->sink(w->sink_data, w->buffer, w->used);
        w->used = 0;
    }

    if (n > sizeof(w->buffer)) {
        w->sink(w->sink_data, bytes, n);
        return;
    }

    memcpy(w->buffer + w->used, bytes, n);
    w->used += n;
}


static void
put_number(struct parcel_writer *w, uint64_t number)
{
    size_t        n = 0;
    unsigned char bytes[10];

    while (number >= 0x80) {
        bytes[n++] = (unsigned char) (number | 0x80);
        number >>= 7;
    }

    bytes[n++] = (unsigned char) number;
    put_bytes(w, bytes, n);
}


static void
put_signed(struct parcel_writer *w, int64_t number)
{
    put_number(w, (uint64_t) number << 1 ^ (uint64_t) (number >> 63));
}


/* With its NUL, so that the reader has it in place. */
static void
put_text(struct parcel_writer *w, const char *text)
{
    size_t n = strnlen(text, PARCEL_TEXT_MAX - 1);

    put_number(w, n);
    put_bytes(w, text, n);
    put_bytes(w, "", 1);
}


void
parcel_begin(struct parcel_writer *w, uint64_t worker, uint32_t pid,
             parcel_sink_pt sink, void *data)
{
    const uint32_t magic = PARCEL_MAGIC, version = PARCEL_VERSION;

    w->sink = sink;
    w->sink_data = data;
    w->error = 0;
    w->used = 0;

    put_bytes(w, &magic, sizeof(magic));
    put_bytes(w, &version, sizeof(version));
    put_bytes(w, &worker, sizeof(worker));
    put_bytes(w, &pid, sizeof(pid));
}


static void
put_module(struct parcel_writer *w, const struct module_identity *module)
{
    int fd = module->fd;

    put_number(w, PARCEL_RECORD_MODULE);
    put_text(w, module->path);
    put_number(w, module->build_id_len);
    put_bytes(w, module->build_id, module->build_id_len);
    put_number(w, module->inode);
    put_number(w, module->bias);
    put_number(w, module->text_start);
    put_number(w, module->text_end);
    put_number(w, module->text_offset);
    put_number(w, fd >= 0 ? (uint64_t) fd + 1 : 0);
}


/* The number of a module; its record is written before its first use. */
static uint32_t
module_number(struct parcel_writer *w, uint32_t module)
{
    if (w->module_ids[module] == 0) {
        put_module(w, w->profile->modules[module]);
        w->module_ids[module] = ++w->n_modules;
    }

    return w->module_ids[module];
}


static uint32_t
label_number(struct parcel_writer *w, uint32_t set)
{
    uint32_t            rest;
    const struct label *label;

    label = stack_profile_label(w->profile, set);

    if (label == NULL) {
        return 0;
    }

    if (w->label_ids[set] == 0) {
        rest = label_number(w, label->rest);
        put_number(w, PARCEL_RECORD_LABEL);
        put_number(w, rest);
        put_text(w, label->name);
        put_text(w, label->value);
        w->label_ids[set] = ++w->n_labels;
    }

    return w->label_ids[set];
}


static uint32_t
thread_number(struct parcel_writer *w, const char *thread)
{
    uint32_t id, known;

    known = w->threads.ids.n;
    id = string_pool_add(&w->threads, thread);

    if (id == STRING_POOL_NONE) {
        w->error = -ENOMEM;
        return 0;
    }

    if (id == known) {
        put_number(w, PARCEL_RECORD_THREAD);
        put_text(w, thread);
    }

    return id;
}


static void
put_frame(struct parcel_writer *w, const struct stack_frame *frame)
{
    if (frame->module >= w->profile->n_modules) {
        put_number(w, frame->kind);
        return;
    }

    put_number(w, (uint64_t) w->module_ids[frame->module] << PARCEL_KIND_BITS
                      | frame->kind);
    put_number(w,
               frame->address - w->profile->modules[frame->module]->text_start);
}


static void
put_spans(struct parcel_writer *w, const struct profile_sample *sample)
{
    uint32_t i, n;

    n = sample->n_spans < PARCEL_SPANS_MAX ? sample->n_spans : PARCEL_SPANS_MAX;

    put_number(w, PARCEL_RECORD_SPANS);
    put_number(w, n);

    for (i = 0; i < n; i++) {
        put_number(w, sample->spans[i].span);
        put_signed(w, sample->spans[i].ns < PARCEL_SPAN_NS_MAX
                          ? sample->spans[i].ns
                          : PARCEL_SPAN_NS_MAX);
        put_signed(w, sample->spans[i].time_ns);
    }
}


static void
put_sample(struct parcel_writer *w, const struct profile_sample *sample)
{
    uint32_t i, n, thread, labels;

    n = sample->n_frames;
    if (n > STACK_UNWIND_MAX + 2) {
        n = STACK_UNWIND_MAX + 2;
    }

    /* what the record refers to comes before it */
    thread = thread_number(w, sample->thread);
    labels = label_number(w, sample->labels);

    for (i = 0; i < n; i++) {
        if (sample->frames[i].module < w->profile->n_modules) {
            (void) module_number(w, sample->frames[i].module);
        }
    }

    put_number(w, PARCEL_RECORD_SAMPLE);
    put_number(w, thread);
    put_number(w, labels);
    put_number(w, n);

    for (i = 0; i < n; i++) {
        put_frame(w, &sample->frames[i]);
    }

    for (i = 0; i < w->profile->n_value_types; i++) {
        put_signed(w, sample->values[i]);
    }

    if (sample->n_spans != 0) {
        put_spans(w, sample);
    }
}


void
parcel_add(struct parcel_writer *w, unsigned kind,
           const struct stack_profile *profile)
{
    size_t   i;
    uint32_t n_sets;

    if (w->error != 0) {
        return;
    }

    n_sets = profile->label_sets != NULL ? profile->n_label_sets : LABEL_SETS;

    memset(&w->arena, 0, sizeof(w->arena));
    memset(&w->threads, 0, sizeof(w->threads));
    w->profile = profile;
    w->n_modules = 0;
    w->n_labels = 0;
    w->module_ids = block_arena_alloc(&w->arena, (profile->n_modules + 1)
                                                     * sizeof(*w->module_ids));
    w->label_ids
        = block_arena_alloc(&w->arena, (n_sets + 1) * sizeof(*w->label_ids));

    if (w->module_ids == NULL || w->label_ids == NULL
        || string_pool_init(&w->threads, &w->arena) != 0) {
        w->error = -ENOMEM;
    }

    put_number(w, PARCEL_RECORD_PROFILE);
    put_number(w, kind);
    put_number(w, profile->n_value_types);

    for (i = 0; i < profile->n_samples && w->error == 0; i++) {
        put_sample(w, &profile->samples[i]);
    }

    block_arena_free(&w->arena);
}


int
parcel_end(struct parcel_writer *w)
{
    put_number(w, PARCEL_RECORD_END);
    w->sink(w->sink_data, w->buffer, w->used);
    w->used = 0;

    return w->error;
}
