
/*
 * Begin and end of the library's threads; see thread_context.h.
 */


#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nprof_clock.h"
#include "sample/signal_setup.h"
#include "thread_context.h"


/* Milliseconds that the kernel may take to remove a thread that was joined. */
#define VANISH_TRIES 10


/* The kernel's struct sched_attr (linux/sched/types.h, which the C library's
   own headers contradict) in its first version. */
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t  nice;
    uint32_t priority;
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};


static bool
thread_has_name(int tasks, const char *tid, const char *name)
{
    int     fd;
    char    path[NAME_MAX + sizeof("/comm")], comm[32];
    ssize_t n;

    snprintf(path, sizeof(path), "%s/comm", tid);

    fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }

    n = read(fd, comm, sizeof(comm) - 1);
    close(fd);
    comm[n > 0 ? n : 0] = '\0';
    comm[strcspn(comm, "\n")] = '\0';

    return strcmp(comm, name) == 0;
}


static bool
thread_exists(const char *name)
{
    DIR           *tasks;
    bool           found;
    struct dirent *entry;

    tasks = opendir("/proc/self/task");
    if (tasks == NULL) {
        return false;
    }

    do {
        entry = readdir(tasks);
        found = entry != NULL
                && thread_has_name(dirfd(tasks), entry->d_name, name);
    } while (entry != NULL && !found);

    closedir(tasks);

    return found;
}


bool
thread_context_in_use(const char *name)
{
    int                   i;
    const struct timespec pause = {0, 1000000};

    for (i = 0; i < VANISH_TRIES; i++) {
        if (!thread_exists(name)) {
            return false;
        }

        nanosleep(&pause, NULL);
    }

    return true;
}


void
thread_context_enter(const char *name, int nice_increment)
{
    id_t      tid;
    sigset_t  ours;
    cpu_set_t all;

    tid = (id_t) gettid();
    (void) pthread_setname_np(pthread_self(), name);

    memset(&all, 0xff, sizeof(all));
    (void) sched_setaffinity((pid_t) tid, sizeof(all), &all);
    (void) setpriority(PRIO_PROCESS, tid,
                       getpriority(PRIO_PROCESS, tid) + nice_increment);

    sigemptyset(&ours);
    sigaddset(&ours, signal_number());
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}


void
thread_context_hurry(void)
{
    struct scheduling attr;

    (void) prctl(PR_SET_TIMERSLACK, 1ul);

    memset(&attr, 0, sizeof(attr));
    attr.size = sizeof(attr);
    attr.nice = getpriority(PRIO_PROCESS, (id_t) gettid());
    attr.runtime = THREAD_CONTEXT_SLICE_NS;
    (void) syscall(SYS_sched_setattr, 0, &attr, 0);
}


int
thread_context_create(pthread_t *thread, size_t    stack_size,
                      void *(*body)(void *), void *data)
{
    int            rc;
    pthread_attr_t attr;

    rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return -rc;
    }

    rc = pthread_attr_setstacksize(&attr, stack_size);
    if (rc == 0) {
        rc = pthread_create(thread, &attr, body, data);
    }

    pthread_attr_destroy(&attr);

    return -rc;
}


bool
thread_context_join(pthread_t thread, int64_t until_ns)
{
    struct timespec until = timespec_of_ns(until_ns);

    return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}


void
thread_context_leave(struct nprof *nprof)
{
    while (atomic_load(&nprof->abandoned)) {
        pause();
    }
}
