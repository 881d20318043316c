
/*
 * Following the dynamic loader; see module_table.h.
 */


#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "eh_frame.h"
#include "module_file.h"
#include "module_table.h"


/* A visit of all objects that are loaded. */
struct module_visit {
    struct module_table *table;

    /* Objects visited, and those of them that the table did not have. */
    uint32_t n_objects;
    uint32_t n_new;
};


static int      module_table_visit(struct dl_phdr_info *info, size_t size,
                                   void *data);
static void     module_table_doubt(struct module_table       *table,
                                   const struct module_visit *visit,
                                   unsigned long long         adds);
static int      module_table_counts(struct dl_phdr_info *info, size_t size,
                                    void *data);
static void     module_table_add(struct module_visit       *visit,
                                 const struct dl_phdr_info *info,
                                 struct module_identity    *identity);
static uint32_t module_table_identify(struct module_table    *table,
                                      struct module_identity *identity);


static void
loaded_module_free(struct loaded_module *module)
{
    free(module->eh_frame_hdr.copy);
    free(module->eh_frame.copy);
}


static int
module_compare(const void *one, const void *two)
{
    const struct loaded_module *a = one, *b = two;

    return (a->start > b->start) - (a->start < b->start);
}


static void
module_table_sort(struct module_table *table)
{
    uint32_t i;
    uint64_t max_end;

    qsort(table->modules, table->n_modules, sizeof(table->modules[0]),
          module_compare);

    max_end = 0;

    for (i = 0; i < table->n_modules; i++) {
        if (table->modules[i].end > max_end) {
            max_end = table->modules[i].end;
        }

        table->modules[i].max_end = max_end;
    }
}


bool
module_table_update(struct module_table *table)
{
    uint32_t            i;
    unsigned long long  counts[2], adds;
    struct module_visit visit = {.table = table};

    dl_iterate_phdr(module_table_counts, counts);

    if (table->n_modules != 0 && counts[0] == table->adds
        && counts[1] == table->subs) {
        return false;
    }

    adds = table->n_modules != 0 ? table->adds : counts[0];

    for (i = 0; i < table->n_modules; i++) {
        table->modules[i].seen = false;
    }

    dl_iterate_phdr(module_table_visit, &visit);

    for (i = 0; i < table->n_modules; i++) {
        table->modules[i].gone = !table->modules[i].seen;
    }

    module_table_doubt(table, &visit, table->adds - adds);
    module_table_sort(table);

    return true;
}


/*
 * If more objects were added than are new, some came and went unseen, or went
 * and came back. What was added last is at the end of the loader's list: all
 * that can have been added since the last update, and all that is gone, may
 * have shared its place with an object that nobody saw.
 */
static void
module_table_doubt(struct module_table *table, const struct module_visit *visit,
                   unsigned long long adds)
{
    uint32_t              i;
    struct loaded_module *module;

    if (adds <= visit->n_new) {
        return;
    }

    for (i = 0; i < table->n_modules; i++) {
        module = &table->modules[i];

        if (module->gone || module->position + adds >= visit->n_objects) {
            module->doubtful = true;
        }
    }
}


bool
module_table_forget(struct module_table *table)
{
    uint32_t i, kept, before;
    bool     doubted;

    before = table->n_modules;
    kept = 0;
    doubted = false;

    for (i = 0; i < before; i++) {
        if (table->modules[i].gone) {
            loaded_module_free(&table->modules[i]);
        } else {
            doubted |= table->modules[i].doubtful;
            table->modules[i].doubtful = false;
            table->modules[kept++] = table->modules[i];
        }
    }

    if (kept == before) {
        return doubted;
    }

    table->n_modules = kept;
    module_table_sort(table);

    return true;
}


void
module_table_compact(struct module_table *table)
{
    uint32_t i, m, kept;
    bool     loaded;

    (void) module_table_forget(table);
    kept = 0;

    for (i = 0; i < table->n_identities; i++) {
        loaded = false;

        for (m = 0; m < table->n_modules; m++) {
            if (table->modules[m].identity == i) {
                table->modules[m].identity = kept;
                loaded = true;
            }
        }

        if (loaded) {
            table->identities[kept++] = table->identities[i];
        } else {
            module_identity_free(table->identities[i]);
        }
    }

    table->n_identities = kept;
}


const struct loaded_module *
module_table_find(const struct module_table *table, uint64_t address)
{
    uint32_t                    low, high, middle, i;
    const struct loaded_module *found;

    low = 0;
    high = table->n_modules;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (table->modules[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    /* modules that are gone overlap others, so one further before may do too */
    found = NULL;

    for (i = low; i > 0 && address < table->modules[i - 1].max_end; i--) {
        if (address < table->modules[i - 1].end) {
            if (found != NULL || table->modules[i - 1].doubtful) {
                return NULL;
            }
            found = &table->modules[i - 1];
        }
    }

    return found;
}


static int
module_table_counts(struct dl_phdr_info *info, size_t size, void *data)
{
    unsigned long long *counts = data;

    (void) size;

    counts[0] = info->dlpi_adds;
    counts[1] = info->dlpi_subs;

    return 1;
}


/*
 * A module at the place, of the name and build id and of the unwind data of one
 * that we have is that one: one that was unloaded and loaded again in between
 * is no different. Unwind data alone would not do: a plug-in that was built
 * anew takes the place of the old one and often has the same.
 */
static bool
module_is_same(const struct module_table    *table,
               const struct loaded_module   *module,
               const struct dl_phdr_info    *info,
               const struct module_identity *identity)
{
    return !module->gone && module->bias == info->dlpi_addr
           && module_identity_equal(table->identities[module->identity],
                                    identity)
           && eh_frame_unchanged(module, info);
}


/* The module of a segment if the table has it, or NULL. */
static struct loaded_module *
module_table_known(struct module_table *table, const struct dl_phdr_info *info,
                   const struct module_identity *identity)
{
    uint32_t i;

    for (i = 0; i < table->n_modules; i++) {
        if (module_is_same(table, &table->modules[i], info, identity)) {
            return &table->modules[i];
        }
    }

    return NULL;
}


/* Notes one executable segment of an object; whether it is new. */
static bool
module_table_segment(struct module_visit       *visit,
                     const struct dl_phdr_info *info, const ElfW(Phdr) * text)
{
    struct module_identity *identity;
    struct loaded_module   *module;

    identity = module_identity_create(info, text);
    if (identity == NULL) {
        return false;
    }

    module = module_table_known(visit->table, info, identity);

    if (module != NULL) {
        module->seen = true;
        module->position = visit->n_objects;
        module_identity_free(identity);
        return false;
    }

    module_table_add(visit, info, identity);

    return true;
}


/* Most objects have one executable segment; what BOLT has rewritten has two. */
static int
module_table_visit(struct dl_phdr_info *info, size_t size, void *data)
{
    size_t i;
    bool new;
    struct module_visit *visit = data;

    (void) size;

    visit->table->adds = info->dlpi_adds;
    visit->table->subs = info->dlpi_subs;
    new = false;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD
            && (info->dlpi_phdr[i].p_flags & PF_X)) {
            new |= module_table_segment(visit, info, &info->dlpi_phdr[i]);
        }
    }

    visit->n_objects++;
    visit->n_new += new;

    return 0;
}


/* Takes the identity over. */
static void
module_table_add(struct module_visit *visit, const struct dl_phdr_info *info,
                 struct module_identity *identity)
{
    struct module_table  *table = visit->table;
    struct loaded_module *module;

    if (table->n_modules == MODULE_TABLE_MAX) {
        module_identity_free(identity);
        return;
    }

    module = &table->modules[table->n_modules];
    memset(module, 0, sizeof(*module));
    module->bias = info->dlpi_addr;
    module->start = info->dlpi_addr + identity->text_start;
    module->end = info->dlpi_addr + identity->text_end;
    module->position = visit->n_objects;
    module->seen = true;

    module->identity = module_table_identify(table, identity);
    if (module->identity == MODULE_TABLE_MAX) {
        return;
    }

    eh_frame_copy(module, info);
    table->n_modules++;
}


/* The index of the identity; one that is known already is kept instead. */
static uint32_t
module_table_identify(struct module_table    *table,
                      struct module_identity *identity)
{
    uint32_t i;

    for (i = 0; i < table->n_identities; i++) {
        if (module_identity_equal(table->identities[i], identity)) {
            module_identity_free(identity);
            return i;
        }
    }

    if (i == MODULE_TABLE_MAX) {
        module_identity_free(identity);
        return MODULE_TABLE_MAX;
    }

    table->identities[i] = identity;
    table->n_identities++;

    return i;
}


void
module_table_open_files(struct module_table *table)
{
    uint32_t i;

    for (i = 0; i < table->n_identities; i++) {
        if (table->identities[i]->fd == MODULE_FILE_UNTRIED) {
            module_file_open(table->identities[i]);
        }
    }
}
