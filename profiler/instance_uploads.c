
/*
 * The uploads of this process's profiler; see instance_uploads.h.
 */


#include "export/upload_period.h"
#include "instance_uploads.h"
#include "trace/endpoint_counts.h"


struct upload_settings instance_identity;


/* The export thread. */
static void
period_upload(void *data, const struct period *period)
{
    unsigned                    kind;
    struct nprof               *nprof = data;
    struct upload_period        upload;
    const struct stack_profile *profiles[NPROF_PROFILES];

    /* the export thread's */
    static struct upload_endpoint endpoints[ENDPOINTS_MAX];

    upload.start_ns = period->start_ns;
    upload.end_ns = period->end_ns;
    upload.profiles = profiles;
    upload.n_profiles = 0;
    upload.cancel = &nprof->stopping;
    upload.endpoints = endpoints;
    upload.n_endpoints = endpoint_counts_take(endpoints);

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (period->profiles[kind] != NULL) {
            profiles[upload.n_profiles++] = period->profiles[kind];
        }
    }

    if (upload.n_profiles > 0) {
        upload_period_export(nprof->uploader, &instance_identity, &upload,
                             period->symbolizer);
    }
}


void
instance_uploads_begin(struct nprof *nprof)
{
    if (instance_identity.n_targets == 0) {
        return;
    }

    if (nprof->config.process_id != 0) {
        instance_identity.master = (pid_t) nprof->config.process_id;
    }

    nprof->uploader = uploader_create(&instance_identity, nprof);

    if (nprof->uploader == NULL
        || period_subscribe(&nprof->leader.handlers, period_upload, nprof)
               != 0) {
        profiler_notify(nprof, NPROF_NOTICE_WARN,
                        "profiles can't be uploaded: no memory");
    }
}
