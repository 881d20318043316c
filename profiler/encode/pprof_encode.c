
/*
 * The messages of a pprof file, by protobuf-c (pprof_encode.h). The export
 * thread.
 *
 * All messages of one profile are rows of a few arrays in one arena, and the
 * bytes go to gzip as they are made.
 */


#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "gzip_buffer.h"
#include "pprof_encode.h"
#include "pprof_requests.h"
#include "pprof_samples.h"
#include "profile.pb-c.h"


/* The mapping of frames that are in no module; brackets: there is no file. */
#define NO_MODULE_NAME "[synthetic]"

#define LABEL_VERSION "version"

/* Labels of a sample of a span. */
#define SPAN_LABELS 2


typedef Perftools__Profiles__Profile   profile_message;
typedef Perftools__Profiles__ValueType value_type_message;
typedef Perftools__Profiles__Sample    sample_message;
typedef Perftools__Profiles__Label     label_message;
typedef Perftools__Profiles__Mapping   mapping_message;
typedef Perftools__Profiles__Location  location_message;
typedef Perftools__Profiles__Line      line_message;
typedef Perftools__Profiles__Function  function_message;


struct encoder {
    const struct pprof_form *form;
    struct block_arena       arena;
    struct pprof_samples     samples;

    /* The first of the profiles, with the modules of all. */
    struct stack_profile profile;
    struct pprof_tables  tables;

    profile_message message;
};


/* protobuf-c's sink, with what it feeds. */
struct gzip_sink {
    ProtobufCBuffer    base;
    struct gzip_buffer gzip;
};


/*
 * n messages of a type, as the array of pointers that protobuf-c wants of
 * them; NULL if memory lacks.
 */
static void *
new_messages(struct encoder *e, size_t n,
             const ProtobufCMessageDescriptor *type)
{
    char  *rows;
    void **pointers;
    size_t i;

    pointers = block_arena_alloc(&e->arena, n * sizeof(*pointers));
    rows = block_arena_alloc(&e->arena, n * type->sizeof_message);

    if (pointers == NULL || rows == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        pointers[i] = rows + i * type->sizeof_message;
        protobuf_c_message_init(type, pointers[i]);
    }

    return pointers;
}


/* A text of a label; false if memory lacks. */
static bool
label_text(struct encoder *e, const char *text, int64_t *number)
{
    uint32_t id;

    id = pprof_tables_string(&e->tables, text);
    *number = id;

    return id != STRING_POOL_NONE;
}


/* A label's name, as the receiver has it; false if memory lacks. */
static bool
label_key(struct encoder *e, const char *name, int64_t *number)
{
    char buffer[PPROF_LABEL_NAME_SIZE];

    return label_text(e, pprof_label_name(e->form->names, name, buffer),
                      number);
}


/* Whether one of the labels has that key: two names may have become one. */
static bool
has_key(label_message *const *labels, label_message *const *end, int64_t key)
{
    for (; labels < end; labels++) {
        if ((*labels)->key == key) {
            return true;
        }
    }

    return false;
}


/* Whether the file says it of all samples. */
static bool
label_is_said(const struct encoder *e, const struct label *label)
{
    return e->form->version != NULL && strcmp(label->name, LABEL_VERSION) == 0
           && strcmp(label->value, e->form->version) == 0;
}


/* A request is one span, the first one here: the two ids are the same. */
static bool
make_span_labels(struct encoder *e, uint64_t span, label_message ***to)
{
    size_t                   i;
    static const char *const names[SPAN_LABELS]
        = {PPROF_LABEL_SPAN, PPROF_LABEL_ROOT_SPAN};

    for (i = 0; i < SPAN_LABELS; i++, (*to)++) {
        if (!label_key(e, names[i], &(**to)->key)) {
            return false;
        }

        (**to)->num = (int64_t) span;
    }

    return true;
}


static int
make_labels(struct encoder *e, const struct pprof_sample *sample,
            sample_message *message)
{
    size_t              n;
    label_message     **to;
    const struct label *label;

    n = (sample->thread != 0) + (sample->span == 0 ? 0 : SPAN_LABELS);

    for (label = stack_profile_label(sample->profile, sample->labels);
         label != NULL;
         label = stack_profile_label(sample->profile, label->rest)) {
        n += !label_is_said(e, label);
    }

    if (n == 0) {
        return 0;
    }

    to = new_messages(e, n, &perftools__profiles__label__descriptor);
    if (to == NULL) {
        return -ENOMEM;
    }

    message->label = to;

    if (sample->thread != 0) {
        if (!label_key(e, PPROF_LABEL_THREAD, &(*to)->key)) {
            return -ENOMEM;
        }

        (*to)->str = sample->thread;
        to++;
    }

    if (sample->span != 0 && !make_span_labels(e, sample->span, &to)) {
        return -ENOMEM;
    }

    for (label = stack_profile_label(sample->profile, sample->labels);
         label != NULL;
         label = stack_profile_label(sample->profile, label->rest)) {
        if (label_is_said(e, label)) {
            continue;
        }

        if (!label_key(e, label->name, &(*to)->key)
            || !label_text(e, label->value, &(*to)->str)) {
            return -ENOMEM;
        }

        to += !has_key(message->label, to, (*to)->key);
    }

    message->n_label = (size_t) (to - message->label);

    return 0;
}


static int
make_samples(struct encoder *e)
{
    uint32_t             i;
    sample_message      *message;
    struct pprof_sample *sample;

    e->message.sample = new_messages(e, e->samples.ids.n,
                                     &perftools__profiles__sample__descriptor);
    if (e->message.sample == NULL) {
        return -ENOMEM;
    }

    e->message.n_sample = e->samples.ids.n;

    for (i = 0; i < e->samples.ids.n; i++) {
        sample = &e->samples.rows[i];
        message = e->message.sample[i];

        message->n_location_id = sample->n_locations;
        message->location_id = sample->location_ids;
        message->n_value = e->samples.n_value_types;
        message->value = sample->values;

        if (make_labels(e, sample, message) != 0) {
            return -ENOMEM;
        }
    }

    return 0;
}


/* A number of the string table; -1 if memory lacks. */
static int64_t
string_id(struct encoder *e, const char *text)
{
    uint32_t id;

    id = pprof_tables_string(&e->tables, text);

    return id == STRING_POOL_NONE ? -1 : (int64_t) id;
}


static int64_t
build_id_string(struct encoder *e, const struct module_identity *module)
{
    char              text[2 * MODULE_BUILD_ID_MAX + 1];
    uint32_t          i;
    static const char digits[] = "0123456789abcdef";

    for (i = 0; i < module->build_id_len && i < MODULE_BUILD_ID_MAX; i++) {
        text[2 * i] = digits[module->build_id[i] >> 4];
        text[2 * i + 1] = digits[module->build_id[i] & 15];
    }

    text[2 * i] = '\0';

    return string_id(e, text);
}


/*
 * Viewers stop looking for symbols if any of the flags is set, so the others
 * follow has_functions.
 */
static int
make_mapping(struct encoder *e, const struct pprof_mapping *mapping,
             mapping_message *message)
{
    const struct module_identity *module;

    message->memory_start = mapping->range.start;
    message->memory_limit = mapping->range.limit;

    if (mapping->module == STACK_FRAME_NO_MODULE) {
        message->filename = string_id(e, NO_MODULE_NAME);
        message->has_functions = 1;

        return message->filename == -1 ? -ENOMEM : 0;
    }

    module = e->profile.modules[mapping->module];

    message->file_offset = module->text_offset;
    message->filename = string_id(e, module->path);
    message->build_id = build_id_string(e, module);

    if (mapping->has_functions) {
        message->has_functions = 1;
        message->has_filenames = mapping->has_filenames;
        message->has_line_numbers = mapping->has_line_numbers;
        message->has_inline_frames = mapping->has_inline_frames;
    }

    return message->filename == -1 || message->build_id == -1 ? -ENOMEM : 0;
}


static int
make_mappings(struct encoder *e)
{
    int      rc = 0;
    uint32_t i;

    e->message.mapping = new_messages(
        e, e->tables.n_mappings, &perftools__profiles__mapping__descriptor);
    if (e->message.mapping == NULL) {
        return -ENOMEM;
    }

    e->message.n_mapping = e->tables.n_mappings;

    for (i = 0; rc == 0 && i < e->tables.n_mappings; i++) {
        e->message.mapping[i]->id = (uint64_t) i + 1;
        rc = make_mapping(e, &e->tables.mappings[i], e->message.mapping[i]);
    }

    return rc;
}


static int
make_lines(struct encoder *e, const struct pprof_location *location,
           location_message *message)
{
    uint32_t i;

    message->line = new_messages(e, location->n_lines,
                                 &perftools__profiles__line__descriptor);
    if (message->line == NULL) {
        return -ENOMEM;
    }

    message->n_line = location->n_lines;

    for (i = 0; i < location->n_lines; i++) {
        message->line[i]->function_id
            = (uint64_t) location->lines[i].function + 1;
        message->line[i]->line = location->lines[i].line;
    }

    return 0;
}


static int
make_locations(struct encoder *e)
{
    int                    rc = 0;
    uint32_t               i, n = e->tables.location_ids.n;
    location_message      *message;
    struct pprof_location *location;

    e->message.location
        = new_messages(e, n, &perftools__profiles__location__descriptor);
    if (e->message.location == NULL) {
        return -ENOMEM;
    }

    e->message.n_location = n;

    for (i = 0; rc == 0 && i < n; i++) {
        location = &e->tables.locations[i];
        message = e->message.location[i];

        message->id = (uint64_t) i + 1;
        message->mapping_id = (uint64_t) location->mapping + 1;
        message->address = location->address;
        rc = make_lines(e, location, message);
    }

    return rc;
}


static int
make_functions(struct encoder *e)
{
    uint32_t               i, n = e->tables.function_ids.n;
    function_message      *message;
    struct pprof_function *function;

    e->message.function
        = new_messages(e, n, &perftools__profiles__function__descriptor);
    if (e->message.function == NULL) {
        return -ENOMEM;
    }

    e->message.n_function = n;

    for (i = 0; i < n; i++) {
        function = &e->tables.functions[i];
        message = e->message.function[i];

        message->id = (uint64_t) i + 1;
        message->name = function->name;
        message->system_name = function->system_name;
        message->filename = function->file;
        message->start_line = function->start_line;
    }

    return 0;
}


static int
make_value_type(struct encoder *e, const struct profile_value_type *type,
                value_type_message *message)
{
    message->type = string_id(e, type->type);
    message->unit = string_id(e, type->unit);

    return message->type == -1 || message->unit == -1 ? -ENOMEM : 0;
}


static int
make_header(struct encoder *e)
{
    uint32_t                    i, j, n;
    const struct stack_profile *p = &e->profile;
    value_type_message        **types;

    types = new_messages(e, e->samples.n_value_types + 1,
                         &perftools__profiles__value_type__descriptor);
    if (types == NULL) {
        return -ENOMEM;
    }

    n = 0;

    for (i = 0; i < e->samples.n_profiles; i++) {
        for (j = 0; j < e->samples.profiles[i]->n_value_types; j++) {
            if (make_value_type(e, &e->samples.profiles[i]->value_types[j],
                                types[n++])
                != 0) {
                return -ENOMEM;
            }
        }
    }

    e->message.n_sample_type = n;
    e->message.sample_type = types;
    e->message.period_type = types[n];
    e->message.period = p->period;
    e->message.time_nanos = p->time_ns;
    e->message.duration_nanos = p->duration_ns;

    if (p->default_value_type < p->n_value_types) {
        e->message.default_sample_type = types[p->default_value_type]->type;
    }

    return make_value_type(e, &p->period_type, e->message.period_type);
}


static int
make_comments(struct encoder *e)
{
    return e->form->requests == NULL
               ? 0
               : pprof_requests(e->form->requests, &e->tables,
                                &e->message.comment, &e->message.n_comment);
}


static int
make_message(struct encoder *e, struct symbolizer *symbolizer)
{
    int    rc;
    size_t i;
    static int (*const steps[])(struct encoder * e)
        = {make_header,    make_samples,   make_mappings,
           make_locations, make_functions, make_comments};

    rc = pprof_samples_init(&e->samples);

    if (rc == 0) {
        e->profile.modules = e->samples.modules;
        e->profile.n_modules = e->samples.n_modules;
        rc = pprof_tables_init(&e->tables, &e->profile, &e->arena);
    }

    if (rc == 0) {
        rc = pprof_samples_read(&e->samples, &e->tables);
    }

    if (rc == 0) {
        rc = pprof_tables_name(&e->tables, symbolizer);
    }

    for (i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        rc = steps[i](e);
    }

    /* Last, because all steps add strings. */
    e->message.n_string_table = e->tables.strings.ids.n;
    e->message.string_table = e->tables.strings.texts;

    return rc;
}


static void
sink_bytes(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
    gzip_buffer_add(&((struct gzip_sink *) buffer)->gzip, data, len);
}


static int
write_message(const profile_message *message, int gzip_level, uint8_t **out,
              size_t *out_len)
{
    int              rc;
    struct gzip_sink sink;

    sink.base.append = sink_bytes;

    rc = gzip_buffer_init(&sink.gzip, gzip_level);
    if (rc != 0) {
        return rc;
    }

    perftools__profiles__profile__pack_to_buffer(message, &sink.base);

    return gzip_buffer_finish(&sink.gzip, out, out_len);
}


int
pprof_encode_all(const struct stack_profile *const *profiles, uint32_t n,
                 const struct pprof_form *form, struct symbolizer *symbolizer,
                 uint8_t **out, size_t *out_len)
{
    int            rc;
    struct encoder e = {.form = form, .profile = *profiles[0]};

    e.samples.profiles = profiles;
    e.samples.n_profiles = n;
    e.samples.arena = &e.arena;
    perftools__profiles__profile__init(&e.message);

    rc = make_message(&e, symbolizer);

    if (symbolizer != NULL) {
        symbolizer_trim(symbolizer);
    }

    if (rc == 0) {
        rc = write_message(&e.message, form->gzip_level, out, out_len);
    }

    block_arena_free(&e.arena);

    return rc;
}


int
pprof_encode(const struct stack_profile *profile, struct symbolizer *symbolizer,
             int gzip_level, uint8_t **out, size_t *out_len)
{
    struct pprof_form form = {.gzip_level = gzip_level};

    return pprof_encode_all(&profile, 1, &form, symbolizer, out, out_len);
}
