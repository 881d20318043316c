
/*
 * Captures sampled allocations; see heap_capture.h. What this object may call
 * is checked by the build.
 */


#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../sample/signal_handler.h"
#include "../sample/thread_label.h"
#include "heap_capture.h"
#include "heap_countdown.h"
#include "heap_ring.h"
#include "heap_weight.h"
#include "live_set.h"


#define PAGE_SIZE 4096u


/* The section's bounds, by the linker. */
extern char __start_nprof_heap_hook[] __attribute__((visibility("hidden")));
extern char __stop_nprof_heap_hook[] __attribute__((visibility("hidden")));


struct heap_counters heap_counters;
struct heap_state    heap_state;


uint64_t
heap_capture_interval(void)
{
    return heap_state.interval;
}


bool
heap_capture_wanted(uint64_t size)
{
    /* acquire: pairs with heap_capture_start() */
    if (!atomic_load_explicit(&heap_state.active, memory_order_acquire)) {
        heap_countdown_rest();
        return false;
    }

    return heap_countdown_draw(size);
}


/* The bytes of the stack from sp on that may be copied. Its end is the main
   thread's, or the thread's control block, which is above it. */
static size_t
stack_length(uintptr_t sp, uintptr_t tp, bool direct)
{
    size_t length;

    length = SAMPLE_STACK_MAX;

    if (direct) {
        length = heap_state.main_hi - sp;
    } else if (sp < tp) {
        length = tp - sp;
    }

    return length < SAMPLE_STACK_MAX ? length & ~(size_t) 7 : SAMPLE_STACK_MAX;
}


/* Not memcpy(), as in the signal handler: a sanitizer's would mind. */
static inline void
copy_words(void *to, uintptr_t from, size_t bytes)
{
    size_t words;

    words = bytes / 8;
    __asm__ volatile("rep movsq"
                     : "+D"(to), "+S"(from), "+c"(words)
                     :
                     : "memory");
}


/* Where the kernel does not copy (seccomp) there is what is sure to be there:
   the rest of the page that SP is in. */
static void
stack_copy(struct sample_record *sample, uintptr_t sp, size_t length,
           bool direct)
{
    ssize_t      n;
    size_t       rest;
    struct iovec to = {sample->stack, length}, from = {(void *) sp, length};

    n = (ssize_t) length;

    if (direct) {
        copy_words(sample->stack, sp, length);

    } else {
        n = process_vm_readv(heap_state.pid, &to, 1, &from, 1, 0);
    }

    if (n <= 0) {
        rest = PAGE_SIZE - sp % PAGE_SIZE;
        n = (ssize_t) (rest < length ? rest : length);
        copy_words(sample->stack, sp, (size_t) n);
    }

    if ((size_t) n < length) {
        sample->flags |= SAMPLE_NO_BOUNDS;

    } else if (length == SAMPLE_STACK_MAX) {
        sample->flags |= SAMPLE_CUT;
    }

    sample->stack_address = sp;
    sample->stack_size = (uint64_t) n & ~UINT64_C(7);
}


static void
drop_count(size_t size)
{
    struct heap_weight weight;

    weight = heap_weight(size, heap_state.interval);
    atomic_fetch_add(&heap_counters.dropped_objects, weight.objects);
    atomic_fetch_add(&heap_counters.dropped_bytes, weight.bytes);
    atomic_fetch_add(&heap_counters.dropped, 1);
    signal_wake_profiler();
}


/* The block is in the live set from here on, if there is room. */
static uint32_t
live_add(const void *block, size_t size)
{
    uint32_t entry;

    entry = live_entry_take(size);

    if (entry != LIVE_NONE && live_set_insert(block, entry)) {
        return entry;
    }

    if (entry != LIVE_NONE) {
        live_entry_give(entry);
    }

    atomic_fetch_add(&live_counters.table_full, 1);

    return LIVE_NONE;
}


/*
 * The registers that a function keeps for its caller, those of this one: the
 * unwinder goes through the hooks as through any other function. The others'
 * values are not needed for that.
 */
static inline __attribute__((always_inline)) void
registers_take(uint64_t *to)
{
    __asm__ volatile("movq %%rbx, 3*8(%0)\n\t"
                     "movq %%rbp, 6*8(%0)\n\t"
                     "movq %%rsp, 7*8(%0)\n\t"
                     "movq %%r12, 12*8(%0)\n\t"
                     "movq %%r13, 13*8(%0)\n\t"
                     "movq %%r14, 14*8(%0)\n\t"
                     "movq %%r15, 15*8(%0)\n\t"
                     "leaq 0f(%%rip), %%rax\n\t"
                     "movq %%rax, 16*8(%0)\n"
                     "0:"
                     :
                     : "r"(to)
                     : "rax", "memory");
}


HEAP_HOOK_CODE void
heap_capture(const void *block, size_t size)
{
    int                 error;
    bool                direct;
    size_t              length;
    uintptr_t           tp, sp;
    struct heap_record *record;

    error = errno;
    tp = (uintptr_t) __builtin_thread_pointer();
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    direct = sp >= heap_state.main_lo && sp < heap_state.main_hi;
    length = stack_length(sp, tp, direct);

    record = heap_ring_reserve(length);
    if (record == NULL) {
        drop_count(size);
        errno = error;
        return;
    }

    /* the main thread's is the process's: that needs no system call */
    record->tid = direct ? heap_state.pid : gettid();
    record->size = size;
    record->sample.flags = 0;
    record->sample.labels
        = thread_label_of(record->tid, thread_label_on_main());
    record->sample.turn_start_ns = 0;
    record->sample.thread_pointer = tp;
    registers_take(record->sample.registers);
    stack_copy(&record->sample, sp, length, direct);

    /* before the record is there: the profiler thread may look at both */
    record->entry = live_add(block, size);

    if (heap_ring_commit(record)) {
        signal_wake_profiler();
    }

    errno = error;
}


void
heap_capture_code(uintptr_t *start, uintptr_t *end)
{
    *start = (uintptr_t) __start_nprof_heap_hook;
    *end = (uintptr_t) __stop_nprof_heap_hook;
}
