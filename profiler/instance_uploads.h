
/*
 * The uploads of this process's profiler: who the instance is, and what is sent
 * of each period that this worker closes.
 */


#ifndef NPROF_INSTANCE_UPLOADS_H
#define NPROF_INSTANCE_UPLOADS_H


#include "profiler_job.h"


/*
 * Filled in the master by identify(), see nprof.h; nothing changes it while a
 * profiler runs.
 */
extern struct upload_settings instance_identity;


/* Makes the uploader, if anything is to be uploaded; where that fails there is
   a notice. The event loop's thread, before others run. */
void instance_uploads_begin(struct nprof *nprof);


#endif /* NPROF_INSTANCE_UPLOADS_H */
