/*
 * Processes that have joined the instance of the test, and do as they are told:
 * they end with the process that made them.
 */

#ifndef OTHER_WORKERS_H
#define OTHER_WORKERS_H

#include <criterion/criterion.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/instance_memory.h"


/* A worker that has a slot when this returns; then it does what it should, and
   sleeps. */
static inline pid_t
other_worker(void (*body)(void))
{
    int   joined[2];
    char  byte;
    pid_t pid;

    cr_assert_eq(pipe(joined), 0);
    pid = fork();
    cr_assert_geq(pid, 0);

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (instance_join() != 0 || write(joined[1], "j", 1) != 1) {
            _exit(1);
        }

        for (;;) {
            if (body != NULL) {
                body();
            }

            usleep(1000);
        }
    }

    close(joined[1]);
    cr_assert_eq(read(joined[0], &byte, 1), 1, "it joins");
    close(joined[0]);

    return pid;
}


static inline void
other_worker_kill(pid_t pid)
{
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}


#endif /* OTHER_WORKERS_H */
