
/*
 * The symbolizer's cache, and what makes an answer of symbols and DWARF
 * (symbolizer.h). The export thread.
 */


#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block_arena.h"
#include "demangled_name.h"
#include "module_symbols.h"
#include "string_pool.h"
#include "symbolizer.h"


#define DEMANGLED_MAX 8192

/* Of an inlined call whose name is in a file that is not installed. */
#define NAMELESS_INLINED "[inlined]"


struct answer {
    uint64_t address;

    /* The module's key in the pool. */
    uint32_t module;

    struct symbol_lines *lines;
};


struct symbolizer {
    char *debug_folder;

    /* The answers and all their strings; dropped as a whole when full. */
    struct block_arena arena;
    struct string_pool strings;

    struct id_table ids;
    struct answer  *answers;
    uint32_t        capacity;

    /* The module whose tables are open: its key, or NULL. */
    char                 *open_key;
    struct module_symbols open;
};


static int
reset_cache(struct symbolizer *s)
{
    block_arena_free(&s->arena);

    s->ids = (struct id_table){.arena = &s->arena};
    s->answers = NULL;
    s->capacity = 0;

    return string_pool_init(&s->strings, &s->arena);
}


struct symbolizer *
symbolizer_create(const char *debug_folder)
{
    struct symbolizer *s;

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }

    s->debug_folder
        = strdup(debug_folder ? debug_folder : SYMBOLIZER_DEBUG_FOLDER);

    if (s->debug_folder == NULL || reset_cache(s) != 0) {
        symbolizer_destroy(s);
        return NULL;
    }

    return s;
}


void
symbolizer_trim(struct symbolizer *s)
{
    if (s->open_key != NULL) {
        module_symbols_close(&s->open);
        free(s->open_key);
        s->open_key = NULL;
    }
}


size_t
symbolizer_memory(const struct symbolizer *s)
{
    return s->arena.mapped;
}


void
symbolizer_destroy(struct symbolizer *s)
{
    symbolizer_trim(s);
    block_arena_free(&s->arena);
    free(s->debug_folder);
    free(s);
}


/* What tells a module from all others: build id and path, else the inode. */
static void
write_key(char *key, size_t size, const struct module_identity *module)
{
    size_t      i, at;
    struct stat st;

    for (i = 0, at = 0; i < module->build_id_len && at + 3 < size; i++) {
        at += (size_t) sprintf(key + at, "%02x", module->build_id[i]);
    }

    if (at == 0 && module->fd >= 0 && fstat(module->fd, &st) == 0) {
        at = (size_t) snprintf(
            key, size, "%ju.%ju.%jd.%jd.%ld", (uintmax_t) st.st_dev,
            (uintmax_t) st.st_ino, (intmax_t) st.st_size,
            (intmax_t) st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }

    snprintf(key + at, size - at, ":%s", module->path);
}


static int
is_answer(const void *rows, uint32_t id, const void *key)
{
    const struct answer *answers = rows, *wanted = key;

    return answers[id].module == wanted->module
           && answers[id].address == wanted->address;
}


static int
open_module(struct symbolizer *s, const char *key,
            const struct module_identity *module)
{
    int rc;

    if (s->open_key != NULL && strcmp(s->open_key, key) == 0) {
        return 0;
    }

    symbolizer_trim(s);

    s->open_key = strdup(key);
    if (s->open_key == NULL) {
        return -ENOMEM;
    }

    rc = module_symbols_open(&s->open, module, s->debug_folder);
    if (rc != 0) {
        free(s->open_key);
        s->open_key = NULL;
    }

    return rc;
}


/* The pool's copy of a text; NULL if memory lacks. */
static const char *
keep(struct symbolizer *s, const char *text)
{
    uint32_t i;

    i = string_pool_add(&s->strings, text);

    return i == STRING_POOL_NONE ? NULL : s->strings.texts[i];
}


static const char *
keep_path(struct symbolizer *s, const struct dwarf_frame *frame)
{
    char path[PATH_MAX];

    if (frame->file == NULL || frame->folder == NULL) {
        return keep(s, frame->file);
    }

    snprintf(path, sizeof(path), "%s/%s", frame->folder, frame->file);

    return keep(s, path);
}


static int
fill_line(struct symbolizer *s, struct symbol_line *line,
          const struct dwarf_frame *frame, const char *name,
          const char *system_name)
{
    char        text[DEMANGLED_MAX];
    const char *demangled;

    demangled = demangled_name(name, text, sizeof(text));

    line->system_name = keep(s, system_name);
    line->function = keep(s, demangled ? demangled : name);
    line->file = keep_path(s, frame);
    line->line = frame->line;
    line->start_line = frame->start_line;

    return line->system_name && line->function && line->file ? 0 : -ENOMEM;
}


/* "nginx+0x54170", where the function starts */
static const char *
offset_name(char *to, size_t size, const struct module_identity *module,
            uint64_t address)
{
    const char *base;

    base = strrchr(module->path, '/');
    snprintf(to, size, "%.255s+0x%" PRIx64, base ? base + 1 : module->path,
             address);

    return to;
}


/*
 * Names the function that is really called at an address. The symbol is what
 * other tools and people call it; but where the compiler split or cloned a
 * function ("parse.part.0"), the name in the source is the debug information's.
 */
static int
fill_function(struct symbolizer *s, const struct module_identity *module,
              uint64_t address, const struct dwarf_frame *frame,
              struct symbol_lines *lines)
{
    char        text[320];
    size_t      len;
    const char *symbol, *name;

    symbol = elf_symbols_find(s->open.symbols, address);
    name = symbol ? symbol : frame->function;
    lines->named = name != NULL;

    if (name == NULL) {
        name = offset_name(text, sizeof(text), module,
                           unwind_starts_find(s->open.starts, address));

    } else if (frame->function != NULL) {
        len = strlen(frame->function);

        if (strncmp(name, frame->function, len) == 0 && name[len] == '.') {
            name = frame->function;
        }
    }

    return fill_line(s, &lines->lines[lines->n - 1], frame, name,
                     symbol ? symbol : name);
}


/* From the open module. NULL if memory lacks. */
static struct symbol_lines *
make_answer(struct symbolizer *s, const struct module_identity *module,
            uint64_t address)
{
    unsigned             i, n = 0;
    const char          *name;
    struct dwarf_frame   frames[DWARF_LINES_MAX_FRAMES];
    struct symbol_lines *lines;

    if (s->open.lines != NULL) {
        n = dwarf_lines_find(s->open.lines, address, frames);
    }

    lines = block_arena_alloc(
        &s->arena, sizeof(*lines) + (n ? n : 1) * sizeof(lines->lines[0]));
    if (lines == NULL) {
        return NULL;
    }

    lines->inlines_known = n > 0;
    lines->n = n > 0 ? n : 1;

    if (n == 0) {
        memset(&frames[0], 0, sizeof(frames[0]));
    }

    for (i = 0; i + 1 < lines->n; i++) {
        name = frames[i].function ? frames[i].function : NAMELESS_INLINED;
        if (fill_line(s, &lines->lines[i], &frames[i], name, name) != 0) {
            return NULL;
        }
    }

    return fill_function(s, module, address, &frames[i], lines) == 0 ? lines
                                                                     : NULL;
}


/* Adds a row, which is complete only when it has its lines. */
static struct answer *
add_answer(struct symbolizer *s, const struct answer *key, uint32_t hash)
{
    struct answer *answers;

    answers = block_arena_room(&s->arena, s->answers, s->ids.n, &s->capacity,
                               sizeof(*answers));
    if (answers == NULL) {
        return NULL;
    }

    s->answers = answers;
    answers[s->ids.n] = *key;

    return id_table_add(&s->ids, hash) == ID_TABLE_NONE
               ? NULL
               : &answers[s->ids.n - 1];
}


static int
resolve_new(struct symbolizer *s, const char *module_key,
            const struct module_identity *module, struct answer *key,
            uint32_t hash)
{
    int rc;

    rc = open_module(s, module_key, module);
    if (rc != 0) {
        return rc;
    }

    key->lines = make_answer(s, module, key->address);

    return key->lines != NULL && add_answer(s, key, hash) != NULL ? 0 : -ENOMEM;
}


int
symbolizer_resolve(struct symbolizer *s, const struct module_identity *module,
                   uint64_t address, const struct symbol_lines **lines)
{
    int           rc;
    char          text[2 * MODULE_BUILD_ID_MAX + 64 + PATH_MAX];
    uint32_t      hash, id;
    uint64_t      hashed[2];
    struct answer key = {.address = address};

    write_key(text, sizeof(text), module);

    if (s->arena.mapped > SYMBOLIZER_CACHE_MAX && reset_cache(s) != 0) {
        return -ENOMEM;
    }

    key.module = string_pool_add(&s->strings, text);
    if (key.module == STRING_POOL_NONE) {
        return -ENOMEM;
    }

    hashed[0] = key.module;
    hashed[1] = address;
    hash = id_table_hash(hashed, sizeof(hashed));

    id = id_table_find(&s->ids, hash, is_answer, s->answers, &key);

    if (id == ID_TABLE_NONE) {
        rc = resolve_new(s, text, module, &key, hash);
        *lines = key.lines;
        return rc;
    }

    *lines = s->answers[id].lines;

    return 0;
}
