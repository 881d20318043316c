
/*
 * Runs gperftools' CPU profiler in the workers of an nginx that preloads this
 * library, to compare with.
 *
 * gperftools looks for CPUPROFILE when it is loaded, that is in the master,
 * whose timer the workers do not inherit; and nginx clears the environment
 * before it makes them. So the profiler is started here, in the child of each
 * fork(), with the name that the environment had at the start
 * (GPERFTOOLS_PROFILE), and the child's pid. It takes its rate,
 * CPUPROFILE_FREQUENCY, when it is loaded.
 */


#include <gperftools/profiler.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>


static char profile_path[PATH_MAX];


static void
forked(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s.%d", profile_path, (int) getpid());

    if (ProfilerStart(path) == 0) {
        fprintf(stderr, "ProfilerStart(%s) failed\n", path);
        _exit(EXIT_FAILURE);
    }
}


__attribute__((constructor)) static void
loaded(void)
{
    const char *path;

    path = getenv("GPERFTOOLS_PROFILE");

    if (path != NULL) {
        snprintf(profile_path, sizeof(profile_path), "%s", path);
        pthread_atfork(NULL, NULL, forked);
    }
}
