
/*
 * Begin and end of the library's threads; see thread_context.h.
 */


#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "sample/signal_setup.h"
#include "thread_context.h"


/* Milliseconds that the kernel may take to remove a thread that was joined. */
#define VANISH_TRIES 10


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
thread_context_leave(struct nprof *nprof)
{
    while (atomic_load(&nprof->abandoned)) {
        pause();
    }
}
