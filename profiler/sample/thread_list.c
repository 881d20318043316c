
/*
 * The threads of the process; see thread_list.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../random_below.h"
#include "blocked_stack.h"
#include "cpu_jitter.h"
#include "cpu_timers.h"
#include "thread_list.h"


/* The dynamic loader's; where the kernel put argc on the main stack. */
extern void *__libc_stack_end;

/*
 * The main thread's stack grows, so its lower bound is none of the mapping's:
 * all between SP and its end is mapped, wherever SP is. The kernel keeps 128 MB
 * below the end free of mappings, so what is closer can be no other stack.
 */
#define MAIN_STACK_SPAN (64ull * 1024 * 1024)


/*
 * A thread inherits the name of the one that made it, and takes its own when
 * it gets to run: it is asked for again in as many scans.
 */
#define NAME_SCANS 10

/* What the names of the library's own threads begin with. */
#define OWN_THREADS "nprof-"


struct linux_dirent {
    uint64_t       ino;
    int64_t        off;
    unsigned short length;
    unsigned char  type;
    char           name[];
};


static struct thread_slot *thread_list_slot_of(pid_t tid);
static int                 thread_list_add(struct thread_list *list, pid_t tid);
static void                thread_list_remove(struct thread_list *list,
                                              struct thread_slot *slot);
static void                thread_slot_look(struct thread_slot *slot);
static void                thread_slot_name(struct thread_list *list,
                                            struct thread_slot *slot);
static void thread_slot_find_stack(struct thread_slot *slot, uint64_t address);


int
thread_list_open(struct thread_list *list, uint64_t period_ns)
{
    memset(list, 0, sizeof(*list));
    list->period_ns = period_ns;
    pthread_mutex_init(&list->lock, NULL);

    list->task_fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return list->task_fd < 0 ? -errno : 0;
}


void
thread_list_close(struct thread_list *list)
{
    size_t i;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used) {
            thread_list_remove(list, &thread_slots[i]);
        }
    }

    if (list->task_fd >= 0) {
        close(list->task_fd);
        list->task_fd = -1;
    }
}


void
thread_list_use_timers(struct thread_list *list)
{
    int    rc;
    size_t i;

    list->jitter = false;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (!thread_slots[i].used) {
            continue;
        }

        rc = cpu_timer_start(&thread_slots[i], list->period_ns);
        if (rc != 0) {
            list->last_error = -rc;
        }
    }
}


void
thread_list_disarm(struct thread_list *list)
{
    size_t i;

    list->period_ns = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used) {
            cpu_timer_stop(&thread_slots[i]);
        }
    }
}


/* The thread of a slot is gone when its file can't be read any more. */
static bool
thread_slot_alive(const struct thread_slot *slot)
{
    char byte;

    return pread(slot->proc_fd, &byte, 1, 0) == 1 || errno != ESRCH;
}


void
thread_list_scan(struct thread_list *list,
                 void (*before_reuse)(void *data, struct thread_slot *slot),
                 void *data)
{
    char                 buffer[4096];
    long                 n, at;
    pid_t                tid;
    size_t               i;
    struct thread_slot  *slot;
    struct linux_dirent *entry;

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (!slot->used) {
            continue;
        }

        if (!thread_slot_alive(slot)) {
            cpu_jitter_detach(slot);
            before_reuse(data, slot);
            thread_list_remove(list, slot);
            list->sampled--;
            continue;
        }

        if (atomic_load(&slot->stack_hi) == 0) {
            thread_slot_look(slot);
        }

        if (slot->named < NAME_SCANS) {
            thread_slot_name(list, slot);
        }
    }

    list->unsampled = 0;

    if (lseek(list->task_fd, 0, SEEK_SET) < 0) {
        list->last_error = errno;
        return;
    }

    for (;;) {
        n = syscall(SYS_getdents64, list->task_fd, buffer, sizeof(buffer));
        if (n <= 0) {
            break;
        }

        for (at = 0; at < n; at += entry->length) {
            entry = (struct linux_dirent *) (buffer + at);
            tid = (pid_t) atol(entry->name);

            if (tid <= 0 || (list->main_only && tid != getpid())
                || thread_list_slot_of(tid) != NULL) {
                continue;
            }

            if (thread_list_add(list, tid) != 0) {
                list->unsampled++;
            }
        }
    }

    list->all_known = n == 0 && list->unsampled == 0;
}


static struct thread_slot *
thread_list_slot_of(pid_t tid)
{
    size_t i;

    for (i = 0; i < THREAD_SLOTS; i++) {
        if (thread_slots[i].used && thread_slots[i].tid == tid) {
            return &thread_slots[i];
        }
    }

    return NULL;
}


/* Opens a file of a thread: a descriptor or -errno. */
static int
thread_file_open(struct thread_list *list, pid_t tid, const char *name)
{
    int  fd;
    char path[64];

    snprintf(path, sizeof(path), "%d/%s", (int) tid, name);
    fd = openat(list->task_fd, path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}


static void
thread_slot_set_stack(struct thread_slot *slot, uint64_t lo, uint64_t hi)
{
    /* release: the pair that stack_range() loads matches or is refused */
    atomic_store_explicit(&slot->stack_hi, 0, memory_order_release);
    atomic_store_explicit(&slot->stack_lo, lo, memory_order_release);
    atomic_store_explicit(&slot->stack_hi, hi, memory_order_release);
}


/*
 * The name that a thread shows in `top -H`; the main thread is "main", since
 * threads without a name of their own inherit that of the program.
 */
static void
thread_slot_name(struct thread_list *list, struct thread_slot *slot)
{
    int     fd;
    ssize_t n;

    slot->named++;
    atomic_store_explicit(&slot->own_work, false, memory_order_relaxed);

    if (slot->main_thread) {
        strcpy(slot->name, "main");
        return;
    }

    fd = thread_file_open(list, slot->tid, "comm");
    if (fd < 0) {
        return;
    }

    n = read(fd, slot->name, sizeof(slot->name) - 1);
    slot->name[n > 0 ? n : 0] = '\0';
    slot->name[strcspn(slot->name, "\n")] = '\0';
    close(fd);

    atomic_store_explicit(
        &slot->own_work,
        strncmp(slot->name, OWN_THREADS, sizeof(OWN_THREADS) - 1) == 0,
        memory_order_relaxed);
}


/* Finds the stack of a thread that is blocked. */
static void
thread_slot_look(struct thread_slot *slot)
{
    uint64_t sp, pc;

    if (thread_place(slot, &sp, &pc) == THREAD_BLOCKED) {
        thread_slot_find_stack(slot, sp);
    }
}


static unsigned
rings_of(size_t size)
{
    size_t   i;
    unsigned n;

    n = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        n += thread_slots[i].ring.data != NULL
             && thread_slots[i].ring.size == size;
    }

    return n;
}


static size_t
ring_size(const struct thread_slot *slot)
{
    if (slot->main_thread) {
        return THREAD_RING_MAIN;
    }

    if (atomic_load_explicit(&slot->own_work, memory_order_relaxed)
        && rings_of(THREAD_RING_DEEP) < THREAD_RINGS_DEEP) {
        return THREAD_RING_DEEP;
    }

    return rings_of(THREAD_RING_LARGE) < THREAD_RINGS_LARGE ? THREAD_RING_LARGE
                                                            : THREAD_RING_SMALL;
}


/*
 * What a thread had run when it was found. Part of a period is one with that
 * probability: the many threads of which it is all that they ran count, too.
 */
static void
thread_slot_lose_past(struct thread_slot *slot, uint64_t period_ns)
{
    uint64_t part;

    part = random_below(period_ns, (uint64_t) slot->tid);
    atomic_fetch_add_explicit(&slot->lost_expiries,
                              ((uint64_t) slot->cpu_ns + part) / period_ns,
                              memory_order_relaxed);
}


/* The thread that looks, and can't at itself, has a timer. */
static int
thread_slot_engage(struct thread_list *list, struct thread_slot *slot)
{
    int rc;

    if (list->period_ns == 0) {
        return 0;
    }

    if (!list->jitter || slot->tid == list->looker) {
        slot->cpu_ns = thread_cpu_ns(slot);
        rc = cpu_timer_start(slot, list->period_ns);

    } else {
        slot->schedstat_fd = thread_file_open(list, slot->tid, "schedstat");
        rc = slot->schedstat_fd < 0 ? slot->schedstat_fd
                                    : cpu_jitter_attach(slot);
    }

    if (rc == 0 && list->all_known && slot->cpu_ns > 0) {
        thread_slot_lose_past(slot, list->period_ns);
    }

    return rc;
}


static int
thread_list_add(struct thread_list *list, pid_t tid)
{
    int                 rc;
    size_t              i;
    uint64_t            top;
    struct thread_slot *slot;

    for (i = 0; i < THREAD_SLOTS && thread_slots[i].used; i++) {
        /* void */
    }

    if (i == THREAD_SLOTS) {
        list->last_error = ENOSPC;
        return -ENOSPC;
    }

    slot = &thread_slots[i];

    pthread_mutex_lock(&list->lock);
    memset(slot, 0, sizeof(*slot));
    pthread_mutex_unlock(&list->lock);

    slot->tid = tid;
    slot->schedstat_fd = -1;
    slot->main_thread = tid == getpid();

    slot->proc_fd = thread_file_open(list, tid, "syscall");
    if (slot->proc_fd < 0) {
        /* not in every container; the other tells that the thread is alive */
        slot->proc_fd = thread_file_open(list, tid, "stat");
    }

    if (slot->proc_fd < 0) {
        rc = slot->proc_fd;
        goto failed;
    }

    if (slot->main_thread) {
        top = (uintptr_t) __libc_stack_end;
        thread_slot_set_stack(slot, top - MAIN_STACK_SPAN, top);
    } else {
        thread_slot_look(slot);
    }

    thread_slot_name(list, slot);

    rc = sample_ring_init(&slot->ring, ring_size(slot));
    if (rc != 0) {
        goto failed;
    }

    sample_ring_prefault(&slot->ring, slot->main_thread ? slot->ring.size : 1);

    /* release: pairs with the handler */
    atomic_store_explicit(&slot->ready, true, memory_order_release);

    rc = thread_slot_engage(list, slot);
    if (rc != 0) {
        goto failed;
    }

    list->sampled++;

    pthread_mutex_lock(&list->lock);

    slot->used = true;

    if (i >= list->n_slots) {
        list->n_slots = i + 1;
    }

    pthread_mutex_unlock(&list->lock);

    return 0;

failed:

    /* no timer was armed, so no signal is on its way */
    atomic_store(&slot->ready, false);
    sample_ring_destroy(&slot->ring);
    thread_list_remove(list, slot);

    if (rc == -ESRCH || rc == -ENOENT) {
        /* it ended meanwhile */
        return 0;
    }

    list->last_error = -rc;

    return rc;
}


/*
 * A timer's last signal can be on its way: the ring must go after it. Of a
 * thread that is gone there is none; when the sampler stops, the handler is
 * inactive, and the rings of living threads are left to the end of the process.
 */
static void
thread_list_remove(struct thread_list *list, struct thread_slot *slot)
{
    pthread_mutex_lock(&list->lock);
    slot->used = false;
    pthread_mutex_unlock(&list->lock);

    cpu_timer_stop(slot);
    atomic_store(&slot->ready, false);

    if (!thread_slot_alive(slot)) {
        /* acquire: what its handler did last is over; see sample_take() */
        (void) atomic_load_explicit(&slot->dropped, memory_order_acquire);
        (void) atomic_load_explicit(&slot->taken, memory_order_acquire);
        sample_ring_destroy(&slot->ring);
    }

    if (slot->proc_fd >= 0) {
        close(slot->proc_fd);
    }

    if (slot->schedstat_fd >= 0) {
        close(slot->schedstat_fd);
    }
}


void
thread_list_no_bounds(struct thread_slot *slot, uint64_t thread_pointer)
{
    /*
     * The main thread's are known from the start, and where others' hold their
     * control block they are right: then SP was elsewhere.
     */
    if (slot->main_thread
        || (thread_pointer >= atomic_load(&slot->stack_lo)
            && thread_pointer < atomic_load(&slot->stack_hi))) {
        return;
    }

    thread_slot_find_stack(slot, thread_pointer);
}


/* Takes the mapping that address lies in for the thread's stack. */
static void
thread_slot_find_stack(struct thread_slot *slot, uint64_t address)
{
    FILE              *maps;
    char               line[512], writable;
    unsigned long long lo, hi;

    maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return;
    }

    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%llx-%llx %*c%c", &lo, &hi, &writable) == 3
            && address >= lo && address < hi) {
            if (writable == 'w') {
                thread_slot_set_stack(slot, lo, hi);
            }
            break;
        }
    }

    fclose(maps);
}
