
/*
 * Jobs of profiles; see window_job.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/heap_text.h"
#include "encode/label_filter.h"
#include "encode/pprof_encode.h"
#include "export_thread.h"
#include "instance/history.h"
#include "instance/instance_collect.h"
#include "nprof_clock.h"
#include "profile_types.h"
#include "window_job.h"


int
window_job_keep(struct nprof_job *job, const struct nprof_window *window)
{
    job->window = *window;
    job->window.labels = NULL;

    if (window->n_labels != 0) {
        job->filter = label_filter_create(window->labels, window->n_labels);
    }

    return window->n_labels != 0 && job->filter == NULL ? -ENOMEM : 0;
}


/* A window that lies behind: workers are asked once it is known from when on
   they are needed. */
static bool
lies_behind(const struct nprof_job *job)
{
    return job->window.to_ns != 0;
}


void
window_job_begin(struct nprof_job *job)
{
    if (lies_behind(job) || job->window.whole) {
        return;
    }

    job->base.realtime_ns = clock_ns(CLOCK_REALTIME);
    job->base.monotonic_ns = clock_ns(CLOCK_MONOTONIC);
    peer_ask_all(&job->begin, NPROF_TYPE(job->kind),
                 (pid_t) job->window.worker);
}


void
window_job_end(struct nprof_job *job)
{
    job->end_monotonic_ns = clock_ns(CLOCK_MONOTONIC);

    if (!lies_behind(job)) {
        peer_ask_all(&job->end, NPROF_TYPE(job->kind),
                     (pid_t) job->window.worker);
    }
}


static int
window_collect(struct nprof_job *job, struct peer_question *question,
               struct window_base *next, const struct window_base *base,
               struct stack_merge *const *merges)
{
    int                rc;
    struct collection *c;

    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return -ENOMEM;
    }

    c->question = question;
    c->pid = (pid_t) job->window.worker;
    c->next = next;

    if (merges != NULL) {
        c->window.base = base;
        memcpy(c->window.merges, merges, sizeof(c->window.merges));
    }

    rc = collect(c);
    collect_end(c);
    free(c);

    return rc;
}


void
window_job_open(struct nprof_job *job)
{
    if (job->error == 0) {
        job->error = window_collect(job, &job->begin, &job->base, NULL, NULL);
    }

    if (job->error == 0) {
        job->error = job->base.error;
    }
}


/* Of the past: steps of the history, and what came after the last of them. */
static int
past_collect(struct nprof_job *job, struct stack_merge *const *merges,
             struct stack_profile *profile)
{
    int                   rc;
    struct history_window past
        = {.from_ns = job->window.from_ns, .to_ns = job->window.to_ns};

    rc = history_read(&past);

    if (rc == 0 && past.covered_from_ns == past.covered_to_ns) {
        rc = -ENODATA;
    }

    if (rc == 0) {
        rc = history_merge(&past, merges);
    }

    if (rc == 0 && past.tail.monotonic_ns != 0) {
        peer_ask_all(&job->end, NPROF_TYPE(job->kind), 0);
        rc = window_collect(job, &job->end, NULL, &past.tail, merges);
    }

    profile->time_ns = past.covered_from_ns;
    profile->duration_ns = past.covered_to_ns - past.covered_from_ns;
    history_read_end(&past);

    return rc;
}


static int
now_collect(struct nprof_job *job, struct stack_merge *const *merges,
            struct stack_profile *profile)
{
    const struct window_base *base;

    base = job->window.whole ? NULL : &job->base;

    if (base != NULL) {
        profile->time_ns = base->realtime_ns;
        profile->duration_ns = job->end_monotonic_ns - base->monotonic_ns;
    } else {
        profile->time_ns = clock_ns(CLOCK_REALTIME);
    }

    return window_collect(job, &job->end, NULL, base, merges);
}


static int
profile_encode(struct nprof_job *job, struct stack_merge *const *merges,
               const struct stack_profile *times)
{
    int                         rc;
    char                       *text;
    uint8_t                    *bytes;
    struct nprof               *nprof = job->nprof;
    struct stack_profile        profile, requests;
    const struct stack_profile *only = &profile;
    const struct pprof_form     form
        = {.gzip_level = EXPORT_GZIP_LEVEL, .requests = &requests};

    stack_merge_profile(merges[PROFILE_REQUESTS], &requests);
    stack_merge_profile(merges[job->kind], &profile);
    profile_type_describe(&profile, job->kind, job->window.options,
                          &nprof->config);
    profile_type_round(&profile, job->kind);
    profile.time_ns = times->time_ns;
    profile.duration_ns = times->duration_ns;

    if (job->filter != NULL) {
        label_filter_samples(job->filter, &profile);
        label_filter_requests(job->filter, &requests);
    }

    module_registry_open_files(&nprof->registry);

    if (job->window.options & NPROF_AS_TEXT) {
        rc = heap_text(&profile, nprof->symbolizer, &text, &job->len);
        if (rc == 0) {
            job->data = text;
        }

        return rc;
    }

    rc = pprof_encode_all(&only, 1, &form, nprof->symbolizer, &bytes,
                          &job->len);
    if (rc == 0) {
        job->data = bytes;
    }

    return rc;
}


/* Samples of a window, and its requests. */
static int
window_merge(struct nprof_job *job, struct stack_merge *const *merges,
             struct stack_profile *times)
{
    int      rc = 0;
    unsigned kind;

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        if (merges[kind] != NULL) {
            rc = stack_merge_init(merges[kind], &job->nprof->registry,
                                  job->nprof->leader.main);
        }
    }

    if (rc == 0) {
        rc = lies_behind(job) ? past_collect(job, merges, times)
                              : now_collect(job, merges, times);
    }

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        if (merges[kind] != NULL) {
            rc = stack_merge_settle(merges[kind], profile_type_gauges(kind));
        }
    }

    return rc;
}


void
window_job_close(struct nprof_job *job)
{
    int                 rc;
    struct stack_merge  samples = {0}, requests = {0};
    struct stack_merge *merges[PROFILE_KINDS]
        = {[PROFILE_REQUESTS] = &requests};
    struct stack_profile times = {0};

    if (job->error != 0) {
        return;
    }

    merges[job->kind] = &samples;
    rc = window_merge(job, merges, &times);

    if (rc == 0) {
        rc = profile_encode(job, merges, &times);
    }

    stack_merge_free(&samples);
    stack_merge_free(&requests);
    job->error = rc;
}


void
window_job_drop(struct nprof_job *job)
{
    peer_drop(&job->begin);
    peer_drop(&job->end);
    window_base_free(&job->base);
}
