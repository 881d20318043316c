
/*
 * The export thread: symbolizes and encodes what the profiler thread hands it.
 * It may wait for files.
 */


#ifndef NPROF_EXPORT_THREAD_H
#define NPROF_EXPORT_THREAD_H


#include "profiler_job.h"


/* zlib's level of profiles: near the best ratio at a third of its time. */
#define EXPORT_GZIP_LEVEL 5


/* As `top -H` and profiles show it. */
#define EXPORT_THREAD_NAME "nprof-export"

/* The thread's body; data is the struct nprof. */
void *export_thread_main(void *data);


#endif /* NPROF_EXPORT_THREAD_H */
