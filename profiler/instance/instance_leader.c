
/*
 * The leader's work; see instance_leader.h.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../nprof_clock.h"
#include "base_file.h"
#include "history.h"
#include "instance_leader.h"
#include "worker_totals.h"


#define ALL_TYPES (NPROF_TYPE(NPROF_PROFILES) - 1)

/* The first period is shorter by up to this part of it, in so many steps. */
#define SPREAD_PART 10
#define SPREAD_STEPS 65536

/* A window of the leader's that ends now, a step of the history or a period,
   while its profiles are made. One at a time: each takes tens of megabytes. */
struct step {
    struct instance_leader *leader;
    enum instance_base_role role;
    struct window_base      base;
    struct window_base      next;
    struct stack_merge      merges[PROFILE_KINDS];

    /* The last of this worker, which exits. */
    bool last;

    /* Whether there is a base. */
    bool open;

    struct peer_question question;
    struct collection    collection;
};


int
period_subscribe(struct period_handlers *handlers, period_handler_pt handler,
                 void *data)
{
    if (handlers->n == PERIOD_HANDLERS) {
        return -ENOSPC;
    }

    handlers->handlers[handlers->n] = handler;
    handlers->data[handlers->n++] = data;

    return 0;
}


static int64_t
period_ns(const struct instance_leader *leader)
{
    return (int64_t) leader->config->period_ms * 1000000;
}


int64_t
leader_first_period_ns(uint64_t instance_id, int64_t period)
{
    return period
           - period / SPREAD_PART / SPREAD_STEPS
                 * (int64_t) (instance_id % SPREAD_STEPS);
}


/* How long the period that is open is to be. */
static int64_t
open_period_ns(const struct instance_leader *leader)
{
    return atomic_load(&instance.directory->periods) == 0
               ? leader_first_period_ns(instance.directory->id,
                                        period_ns(leader))
               : period_ns(leader);
}


static int64_t
step_ns(const struct instance_leader *leader)
{
    return period_ns(leader) < LEADER_STEP_NS ? period_ns(leader)
                                              : LEADER_STEP_NS;
}


/*
 * Whether a window of that base has lasted so long; it is due if there is none,
 * to begin one. To a worker that drains twice as long: it may have to exit while
 * it closes the window, and a worker of the new configuration is about to come.
 */
static bool
is_due(enum instance_base_role role, int64_t length_ns, int64_t now)
{
    int64_t begun;

    begun = atomic_load(&instance.directory->bases[role].monotonic_ns);

    /* the clock may be younger than a window is long */
    return begun == 0
           || (now - begun)
                      / (instance_slot_drains(instance_own_slot()) ? 2 : 1)
                  >= length_ns;
}


/* Opens the window: its base is read, and its sums are empty. */
static int
step_begin(struct step *step)
{
    int                     rc;
    unsigned                kind;
    struct collect_window  *window = &step->collection.window;
    struct instance_leader *leader = step->leader;

    rc = base_file_load(&step->base, step->role);
    step->open = rc == 0;

    if (rc == -ENOENT || rc == -EBADMSG) {
        return 0;
    }

    window->base = &step->base;
    window->gauges_now = step->role == INSTANCE_BASE_PERIOD;

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        rc = stack_merge_init(&step->merges[kind], leader->registry,
                              leader->main);
        window->merges[kind] = &step->merges[kind];
    }

    return rc;
}


static int
step_collect(struct step *step)
{
    int                rc;
    struct collection *c = &step->collection;

    c->question = &step->question;
    c->next = &step->next;
    step->next.realtime_ns = clock_ns(CLOCK_REALTIME);
    step->next.monotonic_ns = clock_ns(CLOCK_MONOTONIC);

    peer_ask_all(&step->question, ALL_TYPES, 0);
    rc = collect(c);
    collect_end(c);

    return rc != 0 ? rc : step->next.error;
}


static int
merges_settle(struct stack_merge *merges)
{
    int      rc = 0;
    unsigned kind;

    for (kind = 0; rc == 0 && kind < PROFILE_KINDS; kind++) {
        rc = stack_merge_settle(&merges[kind], profile_type_gauges(kind));
    }

    return rc;
}


/* Whether anything was counted, of the first n kinds. */
static bool
merges_any(const struct stack_merge *merges, unsigned n)
{
    unsigned kind;

    for (kind = 0; kind < n; kind++) {
        if (merges[kind].sample_ids.n != 0) {
            return true;
        }
    }

    return false;
}


static void
step_keep(struct step *step)
{
    int                     rc;
    struct instance_leader *leader = step->leader;

    rc = merges_settle(step->merges);

    /* of a time in which nothing was counted there is nothing to keep */
    if (rc == 0 && merges_any(step->merges, PROFILE_KINDS)) {
        rc = history_add(step->merges, PROFILE_KINDS, step->base.realtime_ns,
                         step->next.realtime_ns, leader->config->history_size);
    }

    if (rc != 0) {
        atomic_fetch_add(&instance.directory->history_dropped, 1);
    }
}


static void
step_period(struct step *step)
{
    unsigned                kind, i;
    struct period           period = {0};
    struct stack_profile    profiles[NPROF_PROFILES], requests;
    struct instance_leader *leader = step->leader;

    if (merges_settle(step->merges) != 0
        || (step->last && !merges_any(step->merges, PROFILE_KINDS))) {
        return;
    }

    period.instance_id = instance.directory->id;
    period.start_ns = step->base.realtime_ns;
    period.end_ns = step->next.realtime_ns;
    period.symbolizer = leader->symbolizer;
    period.requests = &requests;
    stack_merge_profile(&step->merges[PROFILE_REQUESTS], &requests);

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (!(leader->config->types & NPROF_TYPE(kind))) {
            continue;
        }

        stack_merge_profile(&step->merges[kind], &profiles[kind]);
        profile_type_describe(&profiles[kind], kind, 0, leader->config);
        profile_type_round(&profiles[kind], kind);
        profiles[kind].time_ns = period.start_ns;
        profiles[kind].duration_ns
            = step->next.monotonic_ns - step->base.monotonic_ns;
        period.profiles[kind] = &profiles[kind];
    }

    module_registry_open_files(leader->registry);

    for (i = 0; i < leader->handlers.n; i++) {
        leader->handlers.handlers[i](leader->handlers.data[i], &period);
    }
}


static void
step_end(struct step *step)
{
    unsigned kind;

    for (kind = 0; kind < PROFILE_KINDS; kind++) {
        stack_merge_free(&step->merges[kind]);
    }

    window_base_free(&step->base);
    window_base_free(&step->next);
    free(step);
}


static void
step_make(struct step *step)
{
    int rc;

    rc = step_begin(step);

    if (rc == 0) {
        rc = step_collect(step);
    }

    /* too late to learn anything: the period is the next leader's to end */
    if (rc == 0 && step->last && step->collection.unanswered != 0
        && !merges_any(step->merges, PROFILE_KINDS)) {
        return;
    }

    /* the next one begins here, whatever becomes of this one */
    if (rc == 0) {
        rc = base_file_store(&step->next, step->role);
    }

    if (rc != 0) {
        atomic_fetch_add(&instance.directory->history_dropped, 1);
        return;
    }

    if (step->open && step->role == INSTANCE_BASE_PERIOD) {
        atomic_fetch_add(&instance.directory->periods, 1);
        step_period(step);

    } else if (step->open) {
        step_keep(step);
    }
}


static void
step_run(struct instance_leader *leader, enum instance_base_role role,
         bool last)
{
    struct step *step;

    step = calloc(1, sizeof(*step));
    if (step == NULL) {
        return;
    }

    step->leader = leader;
    step->role = role;
    step->last = last;

    step_make(step);
    step_end(step);
}


/* Ends what is due, if anybody wants it. */
static void
leader_step(struct instance_leader *leader, bool last)
{
    int64_t now;

    if (leader->config->history_size == 0) {
        history_drop();
    }

    now = clock_ns(CLOCK_MONOTONIC);

    if (!last && leader->config->history_size != 0
        && is_due(INSTANCE_BASE_STEP, step_ns(leader), now)) {
        step_run(leader, INSTANCE_BASE_STEP, false);
    }

    if (leader->handlers.n != 0
        && (last
            || is_due(INSTANCE_BASE_PERIOD, open_period_ns(leader), now))) {
        step_run(leader, INSTANCE_BASE_PERIOD, last);
    }
}


/* The next turn is in time for what ends before it. */
static void
turn_set(struct instance_leader *leader, int64_t now)
{
    unsigned w;
    int64_t  end;

    const int64_t lengths[INSTANCE_BASES] = {
        [INSTANCE_BASE_STEP]
        = leader->config->history_size != 0 ? step_ns(leader) : 0,
        [INSTANCE_BASE_PERIOD]
        = leader->handlers.n != 0 ? open_period_ns(leader) : 0,
    };

    for (w = 0; w < INSTANCE_BASES; w++) {
        end = atomic_load(&instance.directory->bases[w].monotonic_ns)
              + lengths[w];

        if (lengths[w] != 0 && end > now && end < leader->next_ns) {
            leader->next_ns = end;
        }
    }
}


void
instance_leader_turn(struct instance_leader *leader)
{
    int64_t now = clock_ns(CLOCK_MONOTONIC);

    if (now < leader->next_ns) {
        return;
    }

    leader->next_ns = now + LEADER_TURN_NS;

    if (!instance_lead()) {
        return;
    }

    instance_reap(leader->lost, leader->lost_data);
    (void) worker_totals_take(leader->registry, leader->main);
    leader_step(leader, false);
    turn_set(leader, now);
}


void
instance_leader_finish(struct instance_leader *leader)
{
    if (leader->handlers.n != 0 && !instance_slot_drains(instance_own_slot())
        && instance_lead()) {
        (void) worker_totals_take(leader->registry, leader->main);
        leader_step(leader, true);
    }
}
