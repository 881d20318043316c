
/*
 * libunwind over copied stacks; see stack_unwind.h.
 */


#include <dlfcn.h>
#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>

#include "eh_frame.h"
#include "stack_unwind.h"


/* Lookups of the frames' unwind data that are kept; a power of two. */
#define ROW_CACHE_SIZE 4096

/* libunwind's cache of register rules, log2 of its entries. */
#define LIBUNWIND_CACHE_LOG2 12


/*
 * Exported by libunwind for the local unwinders of other programs; it has no
 * prototype in a public header. di is of the format UNW_INFO_FORMAT_REMOTE_TABLE.
 */
extern int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t as,
                                              unw_word_t ip, unw_dyn_info_t *di,
                                              unw_proc_info_t *pi,
                                              int need_unwind_info, void *arg);


struct row_cache_entry {
    /* The looked-up address, 0 if the entry is free. */
    uint64_t address;

    /* NULL if no module, or no entry of it, holds the address. */
    const struct loaded_module *module;

    bool found;
    bool root;
    bool signal;
};


struct stack_unwinder {
    struct module_table *table;
    unw_addr_space_t     space;

    /* What the accessors serve. */
    const struct sample_record *record;

    struct row_cache_entry rows[ROW_CACHE_SIZE];
};


static int  access_find_proc_info(unw_addr_space_t space, unw_word_t ip,
                                  unw_proc_info_t *info, int need_unwind_info,
                                  void *data);
static void access_put_unwind_info(unw_addr_space_t space,
                                   unw_proc_info_t *info, void *data);
static int  access_dyn_info_list(unw_addr_space_t space, unw_word_t *list,
                                 void *data);
static int  access_mem(unw_addr_space_t space, unw_word_t address,
                       unw_word_t *value, int write, void *data);
static int  access_reg(unw_addr_space_t space, unw_regnum_t number,
                       unw_word_t *value, int write, void *data);
static int  access_fpreg(unw_addr_space_t space, unw_regnum_t number,
                         unw_fpreg_t *value, int write, void *data);
static int  access_resume(unw_addr_space_t space, unw_cursor_t *cursor,
                          void *data);
static int  access_proc_name(unw_addr_space_t space, unw_word_t address,
                             char *name, size_t size, unw_word_t *offset,
                             void *data);


static unw_accessors_t accessors = {
    .find_proc_info = access_find_proc_info,
    .put_unwind_info = access_put_unwind_info,
    .get_dyn_info_list_addr = access_dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = access_resume,
    .get_proc_name = access_proc_name,
};


/*
 * unw_accessors_t grew in 1.7 and in 1.8 under the same SONAME, and the library
 * copies its own size of it. What it exports tells which one it is.
 */
static bool
libunwind_is_of_headers(void)
{
    int   minor;
    void *library;

    library = dlopen("libunwind-x86_64.so.8", RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL) {
        return false;
    }

    minor = 6;

    if (dlsym(library, "_Ux86_64_get_proc_info_in_range") != NULL) {
        minor = 7;
    }

    if (dlsym(library, "_Ux86_64_get_elf_filename") != NULL) {
        minor = 8;
    }

    dlclose(library);

    return minor == (UNW_VERSION_MINOR < 8 ? UNW_VERSION_MINOR : 8)
           && UNW_VERSION_MAJOR == 1;
}


int
stack_unwinder_create(struct module_table    *table,
                      struct stack_unwinder **unwinder)
{
    struct stack_unwinder *created;

    if (!libunwind_is_of_headers()) {
        return -ENOTSUP;
    }

    created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }

    created->table = table;
    created->space = unw_create_addr_space(&accessors, 0);

    if (created->space == NULL) {
        free(created);
        return -ENOMEM;
    }

    /* best effort: without the cache a step costs four times as much */
    (void) unw_set_caching_policy(created->space, UNW_CACHE_GLOBAL);
    (void) unw_set_cache_size(created->space, 1 << LIBUNWIND_CACHE_LOG2, 0);

    *unwinder = created;

    return 0;
}


void
stack_unwinder_destroy(struct stack_unwinder *unwinder)
{
    unw_destroy_addr_space(unwinder->space);
    free(unwinder);
}


void
stack_unwinder_flush(struct stack_unwinder *unwinder)
{
    memset(unwinder->rows, 0, sizeof(unwinder->rows));
    unw_flush_cache(unwinder->space, 0, 0);
}


static const struct row_cache_entry *
row_lookup(struct stack_unwinder *unwinder, uint64_t address)
{
    struct eh_frame_row     row;
    struct row_cache_entry *entry;

    entry = &unwinder->rows[(address * 0x9e3779b97f4a7c15ull) >> 52];

    if (entry->address == address) {
        return entry;
    }

    entry->address = address;
    entry->module = module_table_find(unwinder->table, address);
    entry->found
        = entry->module != NULL && eh_frame_find(entry->module, address, &row);
    entry->root = entry->found && row.root;
    entry->signal = entry->found && row.signal;

    return entry;
}


static void
frame_add(struct unwound_stack *stack, const struct row_cache_entry *row)
{
    struct stack_frame *frame;

    frame = &stack->frames[stack->n_frames++];
    frame->kind = STACK_FRAME_CODE;
    frame->address = row->address - row->module->bias;
    frame->module = row->module->identity;
}


/*
 * A root of the main thread is _start. That of any other thread is the C
 * library's clone(), which shows as its callee, start_thread(): the thread's
 * first function that has a name of its own.
 */
static void
root_mark(struct unwound_stack *stack, bool main_thread)
{
    stack->complete = true;

    if (main_thread) {
        stack->frames[stack->n_frames - 1].kind = STACK_FRAME_ROOT_MAIN;
        return;
    }

    if (stack->n_frames > 1) {
        stack->n_frames--;
    }

    stack->frames[stack->n_frames - 1].kind = STACK_FRAME_ROOT_THREAD;
}


static void
truncated_add(struct unwound_stack *stack)
{
    struct stack_frame *frame;

    frame = &stack->frames[stack->n_frames++];
    frame->kind = STACK_FRAME_TRUNCATED;
    frame->module = STACK_FRAME_NO_MODULE;
    frame->address = 0;
}


void
stack_unwind(struct stack_unwinder      *unwinder,
             const struct sample_record *record, bool main_thread,
             struct unwound_stack *stack)
{
    bool                          exact;
    unw_word_t                    ip, sp, last_sp;
    unw_cursor_t                  cursor;
    const struct row_cache_entry *row;

    unwinder->record = record;
    stack->n_frames = 0;
    stack->complete = false;

    if (unw_init_remote(&cursor, unwinder->space, unwinder) != 0) {
        truncated_add(stack);
        return;
    }

    /* the leaf was interrupted: its address is that of an instruction */
    exact = true;
    last_sp = 0;

    while (stack->n_frames < STACK_UNWIND_MAX) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0
            || unw_get_reg(&cursor, UNW_REG_SP, &sp) != 0
            || (sp <= last_sp && last_sp != 0)) {
            break;
        }

        last_sp = sp;

        row = row_lookup(unwinder, exact ? ip : ip - 1);
        if (row->module == NULL) {
            break;
        }

        frame_add(stack, row);

        if (row->root) {
            root_mark(stack, main_thread);
            return;
        }

        /*
         * Without unwind data libunwind would guess by the frame pointer, which
         * is a general register in all that nginx is made of.
         */
        if (!row->found || unw_step(&cursor) <= 0) {
            break;
        }

        exact = row->signal;
    }

    truncated_add(stack);
}


static int
access_find_proc_info(unw_addr_space_t space, unw_word_t ip,
                      unw_proc_info_t *info, int need_unwind_info, void *data)
{
    unw_dyn_info_t              table;
    struct stack_unwinder      *unwinder = data;
    const struct loaded_module *module;

    module = module_table_find(unwinder->table, ip);
    if (module == NULL || module->fde_count == 0) {
        return -UNW_ENOINFO;
    }

    memset(&table, 0, sizeof(table));
    table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    table.start_ip = module->start;
    table.end_ip = module->end;
    table.u.rti.segbase = module->hdr_address;
    /* the search table follows a header of twelve bytes */
    table.u.rti.table_data = module->hdr_address + 12;
    table.u.rti.table_len = module->fde_count * 8 / sizeof(unw_word_t);

    return _Ux86_64_dwarf_search_unwind_table(space, ip, &table, info,
                                              need_unwind_info, data);
}


static void
access_put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info,
                       void *data)
{
    /* libunwind keeps and frees what its own table search allocates */
    (void) space;
    (void) info;
    (void) data;
}


static int
access_dyn_info_list(unw_addr_space_t space, unw_word_t *list, void *data)
{
    (void) space;
    (void) list;
    (void) data;

    return -UNW_ENOINFO;
}


static bool
stack_read(const struct sample_record *record, uint64_t address,
           unw_word_t *value)
{
    uint64_t offset;

    offset = address - record->stack_address;

    if (address < record->stack_address || offset > record->stack_size
        || record->stack_size - offset < sizeof(*value)) {
        return false;
    }

    memcpy(value, record->stack + offset, sizeof(*value));

    return true;
}


static int
access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value,
           int write, void *data)
{
    uint32_t               i;
    struct stack_unwinder *unwinder = data;

    (void) space;

    if (write) {
        return -UNW_EINVAL;
    }

    if (stack_read(unwinder->record, address, value)) {
        return 0;
    }

    for (i = 0; i < unwinder->table->n_modules; i++) {
        if (eh_frame_read(&unwinder->table->modules[i], address, value,
                          sizeof(*value))) {
            return 0;
        }
    }

    return -UNW_EINVAL;
}


static int
access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value,
           int write, void *data)
{
    struct stack_unwinder *unwinder = data;

    (void) space;

    if (write || number < 0 || number >= SAMPLE_REGISTERS) {
        return -UNW_EBADREG;
    }

    *value = unwinder->record->registers[number];

    return 0;
}


static int
access_fpreg(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value,
             int write, void *data)
{
    (void) space;
    (void) number;
    (void) value;
    (void) write;
    (void) data;

    return -UNW_EBADREG;
}


static int
access_resume(unw_addr_space_t space, unw_cursor_t *cursor, void *data)
{
    (void) space;
    (void) cursor;
    (void) data;

    return -UNW_EINVAL;
}


static int
access_proc_name(unw_addr_space_t space, unw_word_t address, char *name,
                 size_t size, unw_word_t *offset, void *data)
{
    (void) space;
    (void) address;
    (void) name;
    (void) size;
    (void) offset;
    (void) data;

    return -UNW_ENOINFO;
}
