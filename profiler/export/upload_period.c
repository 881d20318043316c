
/*
 * The uploads of a period; see upload_period.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../encode/pprof_encode.h"
#include "../export_thread.h"
#include "datadog_profile.h"
#include "profile_version.h"
#include "pyroscope_push.h"
#include "upload_period.h"


struct period_export {
    struct uploader              *uploader;
    const struct upload_settings *settings;
    const struct upload_period   *period;
    struct symbolizer            *symbolizer;

    struct profile_versions versions;

    /* The version that is exported now; its number, once a target wants it. */
    uint32_t                    version;
    bool                        numbered;
    uint64_t                    sequence;
    struct block_arena          arena;
    struct stack_profile        selected[UPLOAD_PROFILES_MAX];
    const struct stack_profile *profiles[UPLOAD_PROFILES_MAX];
    uint32_t                    n_profiles;
};


static bool
is_cancelled(const struct upload_period *period)
{
    return period->cancel != NULL && atomic_load(period->cancel);
}


/*
 * Gives the item what the profiles make, and the item to the target. Text is
 * what the caller made for it, event or query.
 */
static void
item_put(struct period_export *e, uint32_t target, enum pprof_label_names names,
         const struct stack_profile *const *profiles, uint32_t n, char *event,
         char *query)
{
    int                 rc;
    struct upload_item *item;
    struct pprof_form   form = {.names = names,
                                .version = e->versions.versions[e->version],
                                .gzip_level = EXPORT_GZIP_LEVEL};

    item = calloc(1, sizeof(*item));

    if (item != NULL) {
        item->event = event;
        item->query = query;
    } else {
        free(event);
        free(query);
    }

    rc = item == NULL || (event == NULL && query == NULL)
                 || is_cancelled(e->period)
             ? -1
             : pprof_encode_all(profiles, n, &form, e->symbolizer,
                                &item->profile, &item->len);
    if (rc == 0) {
        uploader_put(e->uploader, target, item);
        return;
    }

    if (item != NULL) {
        upload_item_free(item);
    }

    uploader_drop(e->uploader, target);
}


/* Profiles of the version, in Datadog's types; those that it has. */
static int
version_select(struct period_export *e, bool datadog)
{
    uint32_t i;

    e->n_profiles = 0;

    for (i = 0; i < e->period->n_profiles && i < UPLOAD_PROFILES_MAX; i++) {
        if (profile_version_select(&e->selected[e->n_profiles],
                                   e->period->profiles[i], &e->versions,
                                   e->version, &e->arena)
            != 0) {
            return -1;
        }

        if (!datadog || datadog_profile_convert(&e->selected[e->n_profiles])) {
            e->profiles[e->n_profiles] = &e->selected[e->n_profiles];
            e->n_profiles++;
        }
    }

    return 0;
}


/* The same for all targets: it is of the version and the period. */
static uint64_t
sequence_of(struct period_export *e)
{
    if (!e->numbered) {
        e->sequence = upload_shared_sequence(e->settings->shared,
                                             e->versions.versions[e->version]);
        e->numbered = true;
    }

    return e->sequence;
}


static void
datadog_export(struct period_export *e, uint32_t target)
{
    struct datadog_event event;

    if (e->n_profiles == 0) {
        return;
    }

    event.version = e->versions.versions[e->version];
    event.sequence = sequence_of(e);
    event.start_ns = e->period->start_ns;
    event.end_ns = e->period->end_ns;
    event.endpoints = e->period->endpoints;
    event.n_endpoints = e->period->n_endpoints;

    item_put(e, target, PPROF_NAMES_DATADOG, e->profiles, e->n_profiles,
             datadog_event_print(&event, e->settings), NULL);
}


static void
pyroscope_export(struct period_export *e, uint32_t target)
{
    uint32_t i;

    for (i = 0; i < e->n_profiles; i++) {
        /* Pyroscope takes no profile without samples */
        if (e->profiles[i]->n_samples > 0) {
            item_put(e, target, PPROF_NAMES_SERIES, &e->profiles[i], 1, NULL,
                     pyroscope_push_query(
                         e->settings, e->versions.versions[e->version],
                         e->period->start_ns, e->period->end_ns));
        }
    }
}


static void
version_export(struct period_export *e, uint32_t target)
{
    bool datadog = e->settings->targets[target].kind == NPROF_DATADOG;

    if (version_select(e, datadog) != 0) {
        uploader_drop(e->uploader, target);

    } else if (datadog) {
        datadog_export(e, target);

    } else {
        pyroscope_export(e, target);
    }

    block_arena_free(&e->arena);
}


void
upload_period_export(struct uploader              *uploader,
                     const struct upload_settings *settings,
                     const struct upload_period   *period,
                     struct symbolizer            *symbolizer)
{
    uint32_t             i, target;
    struct period_export e;

    memset(&e, 0, sizeof(e));
    e.uploader = uploader;
    e.settings = settings;
    e.period = period;
    e.symbolizer = symbolizer;

    profile_versions_find(&e.versions, period->profiles, period->n_profiles,
                          settings->version == NULL ? "" : settings->version);

    for (i = 0; i < period->n_endpoints; i++) {
        profile_versions_add(&e.versions, period->endpoints[i].version,
                             period->endpoints[i].requests);
    }

    for (e.version = 0; e.version < e.versions.n; e.version++) {
        /* what has no version only if it has something, or is all there is */
        if (e.versions.found[e.version] == 0 && e.versions.n > 1) {
            continue;
        }

        e.numbered = false;

        for (target = 0; target < settings->n_targets; target++) {
            version_export(&e, target);
        }
    }
}
