
/*
 * Reads schedstat; see run_delay.h. The signal handler calls it, so it uses
 * the bare system call (pread() is a cancellation point) and nothing else.
 */


#include <sys/syscall.h>
#include <unistd.h>

#include "run_delay.h"


int64_t
run_delay_ns(int fd)
{
    char        text[64];
    long        n;
    int64_t     delay;
    const char *p, *end;

    n = syscall(SYS_pread64, fd, text, sizeof(text), 0L);
    if (n <= 0) {
        return -1;
    }

    /* "on-processor-ns waiting-ns turns" */
    end = text + n;

    for (p = text; p < end && *p != ' '; p++) {
        /* void */
    }

    if (end - p < 2 || p[1] < '0' || p[1] > '9') {
        return -1;
    }

    delay = 0;

    for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
        delay = delay * 10 + (*p - '0');
    }

    /* no turn: nothing is counted */
    return end - p >= 2 && p[0] == ' ' && p[1] == '0' ? -1 : delay;
}
