
/*
 * libunwind over copied stacks; see stack_unwind.h.
 */


#include <dlfcn.h>
#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "eh_frame.h"
#include "known_walks.h"
#include "stack_unwind.h"
#include "unwind_access.h"


/* Lookups of the frames' unwind data that are kept; a power of two. */
#define ROW_CACHE_SIZE 4096

/*
 * How far above SP the return address of code without unwind data is looked
 * for, in words, and how many candidates are followed: PCRE2's JIT needs some
 * 22 words and the first candidate.
 */
#define BRIDGE_WORDS 1024
#define BRIDGE_TRIES 16

/* libunwind's cache of register rules, log2 of its entries. */
#define LIBUNWIND_CACHE_LOG2 12


struct row_cache_entry {
    /* The looked-up address, 0 if the entry is free. */
    uint64_t address;

    /* NULL if no module, or no entry of it, holds the address. */
    const struct loaded_module *module;

    bool found;
    bool root;
    bool signal;
};


/* Why a walk ended. */
enum walk_end {
    WALK_ROOT,

    /* At code that lies in no module, or in one but without unwind data. */
    WALK_NO_MODULE,
    WALK_NO_ROW,

    /* Beyond the copy of the stack, at STACK_UNWIND_MAX, or at nonsense. */
    WALK_FAILED
};


struct stack_unwinder {
    struct module_table *table;
    unw_addr_space_t     space;

    struct unwind_access access;
    struct known_walks  *known;

    /* SP of the frame that a walk did not get beyond. */
    uint64_t gap_sp;

    struct row_cache_entry rows[ROW_CACHE_SIZE];
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
    created->known = known_walks_create();
    created->space = created->known == NULL
                         ? NULL
                         : unw_create_addr_space(&unwind_accessors, 0);

    if (created->space == NULL) {
        known_walks_destroy(created->known);
        free(created);
        return -ENOMEM;
    }

    /*
     * Best effort: without the cache a step costs four times as much. It is by
     * address: an instruction behind a call that does not return has the rules
     * of the call where that was unwound before, and the other way round.
     */
    (void) unw_set_caching_policy(created->space, UNW_CACHE_GLOBAL);
    (void) unw_set_cache_size(created->space, 1 << LIBUNWIND_CACHE_LOG2, 0);

    *unwinder = created;

    return 0;
}


void
stack_unwinder_destroy(struct stack_unwinder *unwinder)
{
    unw_destroy_addr_space(unwinder->space);
    known_walks_destroy(unwinder->known);
    free(unwinder);
}


size_t
stack_unwinder_memory(const struct stack_unwinder *unwinder)
{
    return known_walks_memory(unwinder->known);
}


void
stack_unwinder_flush(struct stack_unwinder *unwinder)
{
    memset(unwinder->rows, 0, sizeof(unwinder->rows));
    unw_flush_cache(unwinder->space, 0, 0);
    known_walks_flush(unwinder->known);
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
mark_add(struct unwound_stack *stack, enum stack_frame_kind kind)
{
    struct stack_frame *frame;

    frame = &stack->frames[stack->n_frames++];
    frame->kind = kind;
    frame->module = STACK_FRAME_NO_MODULE;
    frame->address = 0;
}


/*
 * Adds frames from the unwinder's registers on, whose RIP is that of an
 * instruction, until the root or an obstacle.
 */
static enum walk_end
walk(struct stack_unwinder *unwinder, struct unwound_stack *stack)
{
    bool                          exact;
    unw_word_t                    ip, sp, last_sp;
    unw_cursor_t                  cursor;
    const struct row_cache_entry *row;

    unwinder->access.module = NULL;

    if (unw_init_remote(&cursor, unwinder->space, &unwinder->access) != 0) {
        return WALK_FAILED;
    }

    exact = true;
    last_sp = 0;

    while (stack->n_frames < STACK_UNWIND_MAX) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0
            || unw_get_reg(&cursor, UNW_REG_SP, &sp) != 0
            || (sp <= last_sp && last_sp != 0)) {
            return WALK_FAILED;
        }

        last_sp = sp;
        row = row_lookup(unwinder, exact ? ip : ip - 1);

        if (row->module != NULL) {
            frame_add(stack, row);
        }

        if (row->root) {
            return WALK_ROOT;
        }

        unwinder->gap_sp = sp;

        if (!row->found) {
            return row->module == NULL ? WALK_NO_MODULE : WALK_NO_ROW;
        }

        /*
         * Only with unwind data: without, libunwind would guess by the frame
         * pointer, which is a general register in all that nginx is made of.
         */
        unwinder->access.module = row->module;
        if (unw_step(&cursor) <= 0) {
            return WALK_FAILED;
        }

        exact = row->signal;
    }

    return WALK_FAILED;
}


/*
 * Whether a call ends right before address, in any of the encodings that
 * compilers use: E8 rel32, and FF /2 with its various operands. The memory may
 * be gone by now, so the kernel reads it; where that is forbidden, it counts as
 * one.
 */
static bool
call_precedes(uint64_t address)
{
    unsigned      i;
    ssize_t       n;
    unsigned char code[7];
    struct iovec  to = {code, sizeof(code)};
    struct iovec  from
        = {(void *) (uintptr_t) (address - sizeof(code)), sizeof(code)};

    n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    if (n != (ssize_t) sizeof(code)) {
        return n < 0 && errno != EFAULT;
    }

    if (code[2] == 0xe8) {
        return true;
    }

    /* FF, a ModRM byte with 2 in its middle, 0 to 5 bytes of operand */
    for (i = 0; i <= 5; i++) {
        if (code[i] == 0xff && (code[i + 1] & 0x38) == 0x10) {
            return true;
        }
    }

    return false;
}


/*
 * Leads over a frame that can't be stepped out of: takes the first word above
 * its SP that is a return address from which the walk reaches the root. The
 * registers that it may have saved are unknown, but for a blocked thread's
 * frame pointer, which lies below the return address if the frame has one;
 * where others matter, the walk fails.
 */
static bool
bridge(struct stack_unwinder *unwinder, struct unwound_stack *stack)
{
    unsigned                      i, tries;
    uint64_t                      word, at;
    uint32_t                      n_frames;
    const struct row_cache_entry *row;

    n_frames = stack->n_frames;
    tries = 0;
    at = unwinder->gap_sp;

    for (i = 0; i < BRIDGE_WORDS && tries < BRIDGE_TRIES; i++, at += 8) {
        if (!unwind_access_stack(unwinder->access.record, at, &word)) {
            return false;
        }

        /* cheap tests first: few words are addresses of code */
        if (module_table_find(unwinder->table, word) == NULL) {
            continue;
        }

        row = row_lookup(unwinder, word - 1);
        if (!row->found || !call_precedes(word)) {
            continue;
        }

        tries++;
        unwinder->access.registers[SAMPLE_REG_RIP] = word - 1;
        unwinder->access.registers[SAMPLE_REG_RSP] = at + 8;

        if (unwinder->access.record->flags & SAMPLE_BLOCKED) {
            (void) unwind_access_stack(
                unwinder->access.record, at - 8,
                &unwinder->access.registers[SAMPLE_REG_RBP]);
        }

        if (walk(unwinder, stack) == WALK_ROOT) {
            return true;
        }

        stack->n_frames = n_frames;
    }

    return false;
}


static void
unwind_begin(struct stack_unwinder      *unwinder,
             const struct sample_record *record, struct unwound_stack *stack)
{
    unwinder->access.record = record;
    memcpy(unwinder->access.registers, record->registers,
           sizeof(unwinder->access.registers));
    stack->n_frames = 0;
    stack->complete = false;
    stack->bridged = false;
}


/* What comes after the first walk. */
static void
unwind_end(struct stack_unwinder *unwinder, enum walk_end end, bool main_thread,
           struct unwound_stack *stack)
{
    if (end == WALK_NO_MODULE) {
        mark_add(stack, STACK_FRAME_JIT);
    }

    /* a blocked thread's frame pointer is unknown: it fails where it matters */
    if (end == WALK_NO_MODULE || end == WALK_NO_ROW
        || (end == WALK_FAILED
            && (unwinder->access.record->flags & SAMPLE_BLOCKED))) {
        stack->bridged = bridge(unwinder, stack);
    }

    if (end == WALK_ROOT || stack->bridged) {
        root_mark(stack, main_thread);
        return;
    }

    mark_add(stack, STACK_FRAME_TRUNCATED);
}


void
stack_unwind(struct stack_unwinder      *unwinder,
             const struct sample_record *record, bool main_thread,
             struct unwound_stack *stack)
{
    unwind_begin(unwinder, record, stack);
    unwind_end(unwinder, walk(unwinder, stack), main_thread, stack);
}


void
stack_unwind_repeated(struct stack_unwinder      *unwinder,
                      const struct sample_record *record, bool main_thread,
                      struct unwound_stack *stack)
{
    enum walk_end end;

    unwind_begin(unwinder, record, stack);
    stack->n_frames = known_walk_find(unwinder->known, record, stack->frames);
    end = WALK_ROOT;

    if (stack->n_frames == 0) {
        known_walk_begin(unwinder->known, record);
        unwinder->access.known = unwinder->known;
        end = walk(unwinder, stack);
        unwinder->access.known = NULL;
        known_walk_end(unwinder->known, stack->frames,
                       end == WALK_ROOT ? stack->n_frames : 0);
    }

    unwind_end(unwinder, end, main_thread, stack);
}
