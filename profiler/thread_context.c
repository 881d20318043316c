
/*
 * Begin and end of the library's threads; see thread_context.h.
 */


#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sample/signal_setup.h"
#include "thread_context.h"


#define NICE_INCREMENT 5


void
thread_context_enter(const char *name)
{
    id_t      tid;
    sigset_t  ours;
    cpu_set_t all;

    tid = (id_t) gettid();
    (void) pthread_setname_np(pthread_self(), name);

    memset(&all, 0xff, sizeof(all));
    (void) sched_setaffinity((pid_t) tid, sizeof(all), &all);
    (void) setpriority(PRIO_PROCESS, tid,
                       getpriority(PRIO_PROCESS, tid) + NICE_INCREMENT);

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
