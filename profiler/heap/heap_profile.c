
/*
 * The heap profile; see heap_profile.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../sample/thread_slot.h"
#include "heap_capture.h"
#include "heap_hook.h"
#include "heap_profile.h"
#include "heap_ring.h"
#include "heap_weight.h"
#include "live_set.h"


/* What is left of a profiler that ran before in this process is not ours. */
static void
leftovers_drop(struct heap_profile *heap)
{
    live_set_orphan();

    while (heap_ring_peek(heap_ring_end()) != NULL) {
        heap_ring_release();
    }

    heap->dropped_seen = atomic_load(&heap_counters.dropped);
    heap->dropped_objects_seen = atomic_load(&heap_counters.dropped_objects);
    heap->dropped_bytes_seen = atomic_load(&heap_counters.dropped_bytes);
}


int
heap_profile_start(struct heap_profile *heap, uint64_t interval,
                   struct stack_table *table, struct stack_unwinder *unwinder,
                   struct unwound_stack *stack, const char **missing)
{
    int rc;

    heap->table = table;
    heap->unwinder = unwinder;
    heap->stack = stack;
    heap->hook_module = STACK_FRAME_NO_MODULE;

    *missing = heap_hook_missing();
    if (*missing != NULL) {
        return 0;
    }

    rc = heap_capture_prepare();
    if (rc != 0) {
        return rc;
    }

    leftovers_drop(heap);
    heap_capture_start(interval);
    heap->sampling = true;

    return heap_hook_install();
}


/* Where the hooks are as frames have it. It does not change: libnprof is never
   unloaded. */
static void
hook_code_find(struct heap_profile *heap, const struct module_table *modules)
{
    uintptr_t                   start, end;
    const struct loaded_module *module;

    heap_capture_code(&start, &end);
    module = module_table_find(modules, start);

    if (module != NULL) {
        heap->hook_module = module->identity;
        heap->hook_start = start - module->bias;
        heap->hook_end = end - module->bias;
    }
}


/* The frames of the sample without those of the hooks. */
static uint32_t
hook_frames(const struct heap_profile *heap)
{
    uint32_t                  i;
    const struct stack_frame *frame;

    /* the last one stays: a stack has a frame */
    for (i = 0; i + 1 < heap->stack->n_frames; i++) {
        frame = &heap->stack->frames[i];

        if (frame->module != heap->hook_module
            || frame->address < heap->hook_start
            || frame->address >= heap->hook_end) {
            break;
        }
    }

    return i;
}


/* The name of a thread that has no slot: it is new, or there are too many. */
static void
name_read(pid_t tid, char *name)
{
    int     fd;
    char    path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    n = 0;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, name, THREAD_NAME_MAX - 1);
        close(fd);
    }

    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}


/* The name of the thread as other profiles have it. */
static void
thread_name(pid_t tid, char *name)
{
    size_t                    i;
    const struct thread_slot *slot;

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (slot->used && atomic_load(&slot->tid) == tid) {
            memcpy(name, slot->name, THREAD_NAME_MAX);
            return;
        }
    }

    name_read(tid, name);
}


static void
weight_add(struct heap_profile *heap, uint32_t stack,
           const struct heap_weight *weight, int alloc, int inuse)
{
    const int64_t values[HEAP_VALUES] = {
        [HEAP_ALLOC_OBJECTS] = alloc * weight->objects,
        [HEAP_ALLOC_SPACE] = alloc * weight->bytes,
        [HEAP_INUSE_OBJECTS] = inuse * weight->objects,
        [HEAP_INUSE_SPACE] = inuse * weight->bytes,
    };

    stack_table_change(heap->table, stack, values);
}


static void
record_add(struct heap_profile *heap, const struct heap_record *record)
{
    char               name[THREAD_NAME_MAX];
    uint32_t           cut, stack;
    struct heap_weight weight;

    stack_unwind_repeated(heap->unwinder, &record->sample,
                          record->tid == heap_state.pid, heap->stack);
    heap->samples++;
    heap->complete += heap->stack->complete;

    thread_name(record->tid, name);
    cut = hook_frames(heap);
    stack = stack_table_find(heap->table, name, record->sample.labels,
                             heap->stack->frames + cut,
                             heap->stack->n_frames - cut);

    weight = heap_weight(record->size, heap_capture_interval());
    weight_add(heap, stack, &weight, 1, record->entry != LIVE_NONE);

    if (record->entry != LIVE_NONE) {
        live_entry_at(record->entry)->stack = stack;
    }
}


/* The block of the entry is no more in use. */
static void
freed_count(struct heap_profile *heap, uint32_t entry)
{
    struct heap_weight       weight;
    const struct live_entry *live;

    live = live_entry_at(entry);
    weight = heap_weight(live->size, heap_capture_interval());
    weight_add(heap, live->stack, &weight, 0, -1);
    live_entry_give(entry);
}


/*
 * A block whose sample is behind one that is not published yet waits for the
 * next turn.
 */
static void
freed_add(struct heap_profile *heap, uint32_t list)
{
    uint32_t           entry;
    struct live_entry *live;

    while (list != LIVE_NONE) {
        entry = list;
        live = live_entry_at(entry);
        list = atomic_load_explicit(&live->next, memory_order_relaxed);

        if (live->stack != LIVE_STACK_UNKNOWN) {
            freed_count(heap, entry);
            continue;
        }

        atomic_store_explicit(&live->next, heap->deferred,
                              memory_order_relaxed);
        heap->deferred = entry;
    }
}


/* Samples that found the ring full show as "[lost]", as what they stand for. */
static void
dropped_add(struct heap_profile *heap)
{
    int64_t            objects, bytes;
    uint64_t           dropped;
    struct heap_weight lost;

    /* last written, first read: what it counts is in the others */
    dropped = atomic_load(&heap_counters.dropped);
    if (dropped == heap->dropped_seen) {
        return;
    }

    objects = atomic_load(&heap_counters.dropped_objects);
    bytes = atomic_load(&heap_counters.dropped_bytes);
    lost.objects = objects - heap->dropped_objects_seen;
    lost.bytes = bytes - heap->dropped_bytes_seen;
    heap->dropped_seen = dropped;
    heap->dropped_objects_seen = objects;
    heap->dropped_bytes_seen = bytes;

    weight_add(heap, stack_table_find_mark(heap->table, "", STACK_FRAME_LOST),
               &lost, 1, 0);
}


void
heap_profile_before_line(struct heap_profile *heap)
{
    if (heap->sampling) {
        heap->freed = live_set_take_freed();
    }
}


void
heap_profile_line(struct heap_profile *heap)
{
    if (heap->sampling) {
        heap->end = heap_ring_end();
    }
}


void
heap_profile_drain(struct heap_profile       *heap,
                   const struct module_table *modules)
{
    uint32_t            deferred;
    struct heap_record *record;

    if (!heap->sampling) {
        return;
    }

    if (heap->hook_module == STACK_FRAME_NO_MODULE) {
        hook_code_find(heap, modules);
    }

    while ((record = heap_ring_peek(heap->end)) != NULL) {
        record_add(heap, record);
        heap_ring_release();
    }

    deferred = heap->deferred;
    heap->deferred = LIVE_NONE;
    freed_add(heap, deferred);
    freed_add(heap, heap->freed);
    heap->freed = LIVE_NONE;

    dropped_add(heap);
}
