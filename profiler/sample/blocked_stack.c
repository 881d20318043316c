
/*
 * Samples of blocked threads; see blocked_stack.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../nprof_clock.h"
#include "blocked_stack.h"
#include "thread_label.h"


/* A thread that is caught on the move is looked at so often. */
#define LOOKS 3


const char *
blocked_stack_missing(void)
{
    int          fd;
    char         from = 1, to = 0;
    struct iovec local = {&to, sizeof(to)};
    struct iovec remote = {&from, sizeof(from)};

    fd = open("/proc/thread-self/syscall", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return "/proc/thread-self/syscall can't be read";
    }

    close(fd);

    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(to)) {
        return "process_vm_readv() is forbidden";
    }

    return NULL;
}


int64_t
thread_cpu_ns(const struct thread_slot *slot)
{
    return thread_clock_ns(slot->tid);
}


/* The last word of the text, "0x" and hexadecimal digits, is cut off; false if
   there is none. */
static bool
address_cut(char *text, uint64_t *address)
{
    char *word, *end;

    word = strrchr(text, ' ');

    if (word == NULL || strncmp(word, " 0x", 3) != 0) {
        return false;
    }

    *address = strtoull(word, &end, 16);
    *word = '\0';

    return *end == '\0' || *end == '\n';
}


/*
 * Reads "running", or "NUMBER ARGUMENT... SP PC" of a system call, or "-1 SP
 * PC" of a thread that is blocked elsewhere: in a page fault.
 */
enum thread_place
thread_place(const struct thread_slot *slot, uint64_t *sp, uint64_t *pc)
{
    char    text[256];
    ssize_t n;

    n = pread(slot->proc_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';

    if (strncmp(text, "running", 7) == 0) {
        return THREAD_RUNNING;
    }

    return address_cut(text, pc) && address_cut(text, sp) ? THREAD_BLOCKED
                                                          : THREAD_UNKNOWN;
}


/*
 * From the red zone to the end of the stack, whole words. Where the end is not
 * known, or SP is on another stack, the copy ends where memory does.
 */
static bool
stack_copy(const struct thread_slot *slot, struct sample_record *record,
           uint64_t sp)
{
    ssize_t      n;
    uint64_t     start, end, hi;
    struct iovec local, remote;

    start = (sp - SAMPLE_RED_ZONE) & ~(uint64_t) 7;
    end = start + SAMPLE_STACK_MAX;
    hi = atomic_load(&slot->stack_hi);

    if (sp >= atomic_load(&slot->stack_lo) && sp < hi && hi < end) {
        end = hi & ~(uint64_t) 7;
    }

    local.iov_base = record->stack;
    local.iov_len = end - start;
    remote.iov_base = (void *) (uintptr_t) start;
    remote.iov_len = end - start;

    n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (n <= 0) {
        return false;
    }

    record->stack_address = start;
    record->stack_size = (uint64_t) n & ~(uint64_t) 7;

    return true;
}


static void
record_fill(struct sample_record *record, const struct thread_slot *slot,
            uint64_t sp, uint64_t pc)
{
    memset(record, 0, sizeof(*record));
    record->flags = SAMPLE_BLOCKED;
    record->labels = thread_label_of(slot->tid, slot->main_thread);
    record->span = thread_label_span_of(slot->tid, slot->main_thread);
    record->registers[SAMPLE_REG_RSP] = sp;
    record->registers[SAMPLE_REG_RIP] = pc;
}


enum thread_place
blocked_stack_take(const struct thread_slot *slot, union blocked_sample *sample,
                   int64_t *cpu_ns)
{
    unsigned          look;
    int64_t           before;
    uint64_t          sp, pc, sp_after, pc_after;
    enum thread_place place;

    for (look = 0; look < LOOKS; look++) {
        before = thread_cpu_ns(slot);
        place = thread_place(slot, &sp, &pc);

        if (place != THREAD_BLOCKED) {
            return place;
        }

        record_fill(&sample->record, slot, sp, pc);

        /* the same place, and not a nanosecond of CPU between: a whole copy */
        if (stack_copy(slot, &sample->record, sp)
            && thread_place(slot, &sp_after, &pc_after) == THREAD_BLOCKED
            && sp_after == sp && pc_after == pc && before >= 0
            && thread_cpu_ns(slot) == before) {
            *cpu_ns = before;
            return THREAD_BLOCKED;
        }
    }

    return THREAD_UNKNOWN;
}
