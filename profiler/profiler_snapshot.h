
/*
 * What this worker has counted so far, as other workers get it. The profiler
 * thread.
 */


#ifndef NPROF_PROFILER_SNAPSHOT_H
#define NPROF_PROFILER_SNAPSHOT_H


#include <stdbool.h>
#include <stdint.h>

#include "instance/parcel_file.h"


struct profiler;


/*
 * Writes the types of profiles that are collected and wanted, and the number of
 * requests. data is the struct profiler, which was just drained; for
 * peer_answer_all(). Returns 0 or -errno.
 */
int profiler_snapshot(void *data, uint32_t types, struct parcel_file *file);

/* The worker exits: leaves all of it behind, but for what goes with the
   process. Returns whether it did. */
bool profiler_leave(struct profiler *profiler);


#endif /* NPROF_PROFILER_SNAPSHOT_H */
