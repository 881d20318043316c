
/*
 * Locations, functions and mappings of a pprof file (pprof_tables.h). The
 * export thread.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pprof_tables.h"
#include "utf8_text.h"


/* The names of frames by kind; code is named by its symbols. */
static const char *const kind_names[STACK_FRAME_N_KINDS] = {
    [STACK_FRAME_CODE] = "[unknown]",
    [STACK_FRAME_ROOT_MAIN] = "_start",
    [STACK_FRAME_ROOT_THREAD] = "start_thread",
    [STACK_FRAME_LOST] = "[lost]",
    [STACK_FRAME_TRUNCATED] = "[truncated]",
    [STACK_FRAME_JIT] = "[jit]",
    [STACK_FRAME_OTHER] = "[other]",
};


int
pprof_tables_init(struct pprof_tables        *tables,
                  const struct stack_profile *profile,
                  struct block_arena         *arena)
{
    memset(tables, 0, sizeof(*tables));

    tables->profile = profile;
    tables->arena = arena;
    tables->location_ids.arena = arena;
    tables->function_ids.arena = arena;

    return string_pool_init(&tables->strings, arena);
}


uint32_t
pprof_tables_string(struct pprof_tables *tables, const char *text)
{
    const char *valid;

    valid = utf8_text(text != NULL ? text : "", tables->arena);

    return valid ? string_pool_add(&tables->strings, valid) : STRING_POOL_NONE;
}


/* Only what makes a difference: a kind without code has no address. */
static struct stack_frame
normalize(const struct stack_profile *profile, const struct stack_frame *frame)
{
    struct stack_frame normal = *frame;

    if (normal.kind >= STACK_FRAME_N_KINDS) {
        normal.kind = STACK_FRAME_CODE;
        normal.module = STACK_FRAME_NO_MODULE;
    }

    if (normal.kind >= STACK_FRAME_LOST
        || normal.module >= profile->n_modules) {
        normal.module = STACK_FRAME_NO_MODULE;
        normal.address = 0;
    }

    return normal;
}


static int
is_location(const void *rows, uint32_t id, const void *key)
{
    const struct stack_frame    *wanted = key;
    const struct pprof_location *locations = rows;

    return locations[id].frame.address == wanted->address
           && locations[id].frame.module == wanted->module
           && locations[id].frame.kind == wanted->kind;
}


uint32_t
pprof_tables_location(struct pprof_tables *t, const struct stack_frame *frame)
{
    uint32_t               hash, id;
    struct stack_frame     normal;
    struct pprof_location *locations;

    normal = normalize(t->profile, frame);
    hash = id_table_hash(&normal, sizeof(normal));

    id = id_table_find(&t->location_ids, hash, is_location, t->locations,
                       &normal);
    if (id != ID_TABLE_NONE) {
        return id;
    }

    locations = block_arena_room(t->arena, t->locations, t->location_ids.n,
                                 &t->locations_capacity, sizeof(*locations));
    if (locations == NULL) {
        return ID_TABLE_NONE;
    }

    t->locations = locations;
    locations[t->location_ids.n].frame = normal;

    return id_table_add(&t->location_ids, hash);
}


static int
is_function(const void *rows, uint32_t id, const void *key)
{
    const struct pprof_function *functions = rows, *wanted = key;

    return functions[id].name == wanted->name
           && functions[id].file == wanted->file;
}


/* The number of a function; ID_TABLE_NONE if memory lacks. */
static uint32_t
add_function(struct pprof_tables *t, const struct symbol_line *line)
{
    uint32_t              hash, id, key[2];
    struct pprof_function function, *functions;

    function.name = pprof_tables_string(t, line->function);
    function.system_name = pprof_tables_string(t, line->system_name);
    function.file = pprof_tables_string(t, line->file);
    function.start_line = line->start_line;

    if (function.name == STRING_POOL_NONE
        || function.system_name == STRING_POOL_NONE
        || function.file == STRING_POOL_NONE) {
        return ID_TABLE_NONE;
    }

    key[0] = function.name;
    key[1] = function.file;
    hash = id_table_hash(key, sizeof(key));

    id = id_table_find(&t->function_ids, hash, is_function, t->functions,
                       &function);
    if (id != ID_TABLE_NONE) {
        return id;
    }

    functions = block_arena_room(t->arena, t->functions, t->function_ids.n,
                                 &t->functions_capacity, sizeof(*functions));
    if (functions == NULL) {
        return ID_TABLE_NONE;
    }

    t->functions = functions;
    functions[t->function_ids.n] = function;

    return id_table_add(&t->function_ids, hash);
}


static int
set_lines(struct pprof_tables *t, struct pprof_location *location,
          const struct symbol_line *lines, uint32_t n)
{
    uint32_t i;

    location->n_lines = n;
    location->lines = block_arena_alloc(t->arena, n * sizeof(*location->lines));
    if (location->lines == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < n; i++) {
        location->lines[i].line = lines[i].line;
        location->lines[i].function = add_function(t, &lines[i]);

        if (location->lines[i].function == ID_TABLE_NONE) {
            return -ENOMEM;
        }
    }

    return 0;
}


/* Names that the profiler gives: roots, and what is no code. */
static int
name_by_kind(struct pprof_tables *t, struct pprof_location *location,
             const struct symbol_line *known)
{
    const char        *name = kind_names[location->frame.kind];
    struct symbol_line line
        = {.function = name, .system_name = name, .file = ""};

    if (known != NULL && strcmp(known->function, name) == 0) {
        line = *known;
    }

    return set_lines(t, location, &line, 1);
}


/* What is true of a mapping has to be true of all its locations. */
static void
account(struct pprof_mapping *mapping, const struct symbol_lines *found)
{
    uint32_t i;

    if (mapping->n_locations++ == 0) {
        mapping->has_functions = 1;
        mapping->has_filenames = 1;
        mapping->has_line_numbers = 1;
        mapping->has_inline_frames = 1;
    }

    mapping->has_functions &= found->named;
    mapping->has_inline_frames &= found->inlines_known;

    for (i = 0; i < found->n; i++) {
        mapping->has_filenames &= found->lines[i].file[0] != '\0';
        mapping->has_line_numbers &= found->lines[i].line != 0;
    }
}


static int
name_location(struct pprof_tables *t, struct pprof_location *location,
              struct symbolizer *symbolizer)
{
    int                           rc;
    struct pprof_mapping         *mapping = &t->mappings[location->mapping];
    const struct symbol_lines    *found;
    const struct module_identity *module;

    if (mapping->module == STACK_FRAME_NO_MODULE) {
        location->address = mapping->range.start + location->frame.kind;
        return name_by_kind(t, location, NULL);
    }

    module = t->profile->modules[mapping->module];
    location->address
        = location->frame.address - module->text_start + mapping->range.start;

    rc = symbolizer_resolve(symbolizer, module, location->frame.address,
                            &found);
    if (rc != 0) {
        return rc;
    }

    if (location->frame.kind != STACK_FRAME_CODE) {
        return name_by_kind(t, location, &found->lines[found->n - 1]);
    }

    account(mapping, found);

    return set_lines(t, location, found->lines, found->n);
}


/* By module: numbers of modules order the mappings. */
static int
compare(const void *a, const void *b)
{
    const struct pprof_location *const *x = a, *const *y = b;

    return (*x)->frame.module < (*y)->frame.module
               ? -1
               : (*x)->frame.module > (*y)->frame.module;
}


/*
 * A mapping for each module that has locations; the first module has one in
 * any case, because viewers take [0] for the program.
 */
static int
make_mappings(struct pprof_tables *t, struct pprof_location **sorted)
{
    uint32_t              i, module, n_modules = t->profile->n_modules;
    struct mapping_range *ranges;

    ranges = mapping_layout(t->profile->modules, n_modules, t->arena);
    t->mappings
        = block_arena_alloc(t->arena, (n_modules + 1) * sizeof(*t->mappings));

    if (ranges == NULL || t->mappings == NULL) {
        return -ENOMEM;
    }

    if (n_modules > 0) {
        t->mappings[t->n_mappings++].range = ranges[0];
    }

    for (i = 0; i < t->location_ids.n; i++) {
        module = sorted[i]->frame.module;

        if (t->n_mappings == 0
            || t->mappings[t->n_mappings - 1].module != module) {
            t->mappings[t->n_mappings].module = module;
            t->mappings[t->n_mappings++].range
                = ranges[module == STACK_FRAME_NO_MODULE ? n_modules : module];
        }

        sorted[i]->mapping = t->n_mappings - 1;
    }

    return 0;
}


int
pprof_tables_name(struct pprof_tables *t, struct symbolizer *symbolizer)
{
    int                     rc;
    uint32_t                i, n = t->location_ids.n;
    struct pprof_location **sorted;

    sorted = block_arena_alloc(t->arena, n * sizeof(*sorted));
    if (sorted == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < n; i++) {
        sorted[i] = &t->locations[i];
    }

    qsort(sorted, n, sizeof(*sorted), compare);

    rc = make_mappings(t, sorted);

    for (i = 0; rc == 0 && i < n; i++) {
        rc = name_location(t, sorted[i], symbolizer);
    }

    return rc;
}
