
/*
 * What libunwind is served; see unwind_access.h.
 */


#include <string.h>

#include "eh_frame.h"
#include "unwind_access.h"


/*
 * Exported by libunwind for the local unwinders of other programs; it has no
 * prototype in a public header. di is of the format
 * UNW_INFO_FORMAT_REMOTE_TABLE.
 */
extern int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t as,
                                              unw_word_t ip, unw_dyn_info_t *di,
                                              unw_proc_info_t *pi,
                                              int need_unwind_info, void *arg);


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


unw_accessors_t unwind_accessors = {
    .find_proc_info = access_find_proc_info,
    .put_unwind_info = access_put_unwind_info,
    .get_dyn_info_list_addr = access_dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = access_resume,
    .get_proc_name = access_proc_name,
};


bool
unwind_access_stack(const struct sample_record *record, uint64_t address,
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
access_find_proc_info(unw_addr_space_t space, unw_word_t ip,
                      unw_proc_info_t *info, int need_unwind_info, void *data)
{
    int                         rc;
    unw_dyn_info_t              table;
    struct unwind_access       *access = data;
    const struct loaded_module *module = access->module;

    /* the table search asserts what this tests */
    if (module == NULL || ip < module->start || ip >= module->end) {
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

    access->finding = true;
    rc = _Ux86_64_dwarf_search_unwind_table(space, ip, &table, info,
                                            need_unwind_info, data);
    access->finding = false;

    return rc;
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


static int
access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value,
           int write, void *data)
{
    struct unwind_access *access = data;

    (void) space;

    if (write) {
        return -UNW_EINVAL;
    }

    if (unwind_access_stack(access->record, address, value)) {
        if (access->known != NULL) {
            known_walk_word(access->known, address, *value);
        }
        return 0;
    }

    /* not of any module: one that is gone may have been where another is */
    if (access->module != NULL
        && eh_frame_read(access->module, address, value, sizeof(*value))) {
        return 0;
    }

    /*
     * An entry of a function that cleans up after exceptions names its
     * personality routine, by a pointer in the module's data. libunwind reads
     * it, and a walk has no use for it.
     */
    if (access->finding) {
        *value = 0;
        return 0;
    }

    /* another sample may have it */
    if (access->known != NULL) {
        known_walk_end(access->known, NULL, 0);
    }

    return -UNW_EINVAL;
}


static int
access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value,
           int write, void *data)
{
    struct unwind_access *access = data;

    (void) space;

    if (write || number < 0 || number >= SAMPLE_REGISTERS) {
        return -UNW_EBADREG;
    }

    *value = access->registers[number];

    if (access->known != NULL) {
        known_walk_register(access->known, (unsigned) number);
    }

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
