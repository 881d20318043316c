
/*
 * This worker as one of its instance; see profiler_member.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "instance/instance_memory.h"
#include "profiler_member.h"
#include "sample/signal_handler.h"
#include "unwind/module_table.h"


static void
notices_free(struct nprof *nprof)
{
    struct job_link *link, *next;

    free(nprof->notice);

    for (link = nprof->notice_list; link != NULL; link = next) {
        next = link->next;
        free(link);
    }

    for (link = job_queue_take(&nprof->notices); link != NULL; link = next) {
        next = link->next;
        free(link);
    }
}


static void
notify_lost(void *data, uint32_t pid)
{
    profiler_notify(data, NPROF_NOTICE_WARN,
                    "worker %" PRIu32 " ended without leaving what it had "
                    "counted",
                    pid);
}


static void
notify_store(void *data, const char *path, int error)
{
    profiler_notify(data, NPROF_NOTICE_WARN,
                    "profiles can't be stored in \"%s\" (%d: %s)", path, error,
                    strerrordesc_np(error));
}


static int
store_begin(struct nprof *nprof)
{
    struct profile_store *store = &nprof->store;

    if (nprof->config.store_path != NULL) {
        /* what configurations are read into may go before the process does */
        store->path = strdup(nprof->config.store_path);
        if (store->path == NULL) {
            return -ENOMEM;
        }

        store->max_size = nprof->config.store_max_size;
        store->keep_seconds = (int64_t) nprof->config.store_keep_seconds;
        store->notify = notify_store;
        store->data = nprof;
        /* the first one of all: there is room */
        (void) period_subscribe(&nprof->leader.handlers, profile_store_period,
                                store);
    }

    return 0;
}


int
profiler_member_begin(struct nprof *nprof)
{
    int                   rc;
    uint32_t              i;
    struct instance_slot *own;

    /* a worker that takes the place of one which died needs its slot */
    instance_reap(notify_lost, nprof);

    rc = instance_join();
    if (rc != 0) {
        return rc;
    }

    /* what is open already need not be opened again */
    for (i = 0; i < profiler_modules.n_identities; i++) {
        if (profiler_modules.identities[i]->fd >= 0) {
            (void) module_registry_find(
                &nprof->registry, profiler_modules.identities[i], getpid());
        }
    }

    peer_begin();
    own = instance_own_slot();
    signal_state.wake = &own->profiler_wake;
    nprof->export_wake = &own->export_wake;

    nprof->leader.config = &nprof->config;
    nprof->leader.main = profiler_modules.identities[0];
    nprof->leader.registry = &nprof->registry;
    nprof->leader.symbolizer = nprof->symbolizer;
    nprof->leader.lost = notify_lost;
    nprof->leader.lost_data = nprof;

    return store_begin(nprof);
}


void
profiler_member_end(struct nprof *nprof)
{
    notices_free(nprof);
    free(nprof->store.path);
    signal_wake_reset();
    instance_leave(nprof->left);
}


const char *
profiler_member_notice(struct nprof *nprof, enum nprof_notice *weight)
{
    free(nprof->notice);
    nprof->notice = NULL;

    if (nprof->notice_list == NULL) {
        nprof->notice_list = job_queue_take(&nprof->notices);
    }

    if (nprof->notice_list == NULL) {
        return NULL;
    }

    nprof->notice = (struct profiler_notice *) nprof->notice_list;
    nprof->notice_list = nprof->notice_list->next;

    *weight = nprof->notice->weight;

    return nprof->notice->text;
}
