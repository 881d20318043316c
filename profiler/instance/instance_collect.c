
/*
 * Collects what all workers have counted; see instance_collect.h.
 */


#include <errno.h>
#include <string.h>
#include <time.h>

#include "../nprof_clock.h"
#include "instance_collect.h"


/* How often what the leader changes is read anew; it changes it at most once a
   second, and in microseconds. */
#define READ_TRIES 50


/* Workers that did not answer the last time, by slot. The export thread's. */
static uint64_t silent_workers[INSTANCE_SLOTS];


/* A parcel, while its samples are added. */
struct adding {
    struct collection   *collection;
    struct parcel_reader reader;

    /* What was in the base of the window. */
    struct base_sums sums;
    bool             wanted;
    bool             drains;
};


int
collect_consistently(int (*read)(void *data), void *data)
{
    int                   rc, tries;
    uint64_t              before;
    const struct timespec pause = {0, 1000000};

    for (tries = 0; tries < READ_TRIES; tries++) {
        before = atomic_load(&instance.directory->sequence);

        if (before % 2 == 0) {
            rc = read(data);

            if (atomic_load(&instance.directory->sequence) == before) {
                return rc;
            }
        }

        nanosleep(&pause, NULL);
    }

    return -EAGAIN;
}


static void
left_read_slot(struct collection *c, unsigned slot)
{
    struct collect_left        *left = &c->left[c->n_left];
    const struct instance_slot *from = &instance.directory->slots[slot];

    if (atomic_load(&from->state) != INSTANCE_LEFT
        || (c->pid != 0 && atomic_load(&from->pid) != (uint32_t) c->pid)) {
        return;
    }

    left->slot = slot;
    left->worker = atomic_load(&from->id);
    left->drains = !c->for_totals && instance_slot_drains(from);
    c->n_left++;
}


/* Of collect_consistently(): who left, and the totals of all that were taken
   over. */
static int
left_read(void *data)
{
    unsigned                   i;
    struct collection         *c = data;
    struct instance_directory *directory = instance.directory;

    parcel_bytes_free(&c->totals);
    c->n_left = 0;

    for (i = 0; i < instance_slots(); i++) {
        left_read_slot(c, i);
    }

    for (i = 0; i < INSTANCE_TAKEN; i++) {
        c->taken[i] = atomic_load(&directory->taken_ids[i]);
    }

    if (atomic_load(&directory->totals.length) == 0) {
        return 0;
    }

    return parcel_bytes_read(&c->totals, atomic_load(&directory->totals.offset),
                             atomic_load(&directory->totals.length));
}


/* A worker that was asked, and left since left_read(). Returns whether it is
   among those that left: it may have died. */
static bool
left_read_late(struct collection *c, const struct peer_ask *ask)
{
    unsigned                    i;
    const struct instance_slot *slot = &instance.directory->slots[ask->slot];

    for (i = 0; i < c->n_left; i++) {
        if (c->left[i].worker == ask->worker) {
            return true;
        }
    }

    if (c->n_left < INSTANCE_SLOTS && atomic_load(&slot->id) == ask->worker) {
        left_read_slot(c, ask->slot);
    }

    return c->n_left > i;
}


/* Whether the worker's counts are in the totals. */
static bool
was_taken(const struct collection *c, uint64_t worker)
{
    unsigned i;

    for (i = 0; i < INSTANCE_TAKEN; i++) {
        if (worker != 0 && c->taken[i] == worker) {
            return true;
        }
    }

    return false;
}


/* Whether a parcel is one, of that worker; nothing is added of half a one. */
static int
parcel_check(const struct parcel_bytes *parcel, uint64_t worker)
{
    int                  rc;
    struct parcel_reader reader;
    struct parcel_sample sample;

    rc = parcel_read(&reader, parcel->bytes, parcel->n);

    if (rc == 0 && reader.worker != worker) {
        rc = -ESRCH;
    }

    while (rc == 0 || rc == PARCEL_PROFILE || rc == PARCEL_SAMPLE) {
        rc = parcel_next(&reader, &sample);

        if (rc == PARCEL_PROFILE && reader.kind >= PROFILE_KINDS) {
            rc = -EBADMSG;
        }

        if (rc == PARCEL_END) {
            break;
        }
    }

    parcel_read_end(&reader);

    return rc;
}


/* The rows of the base that a worker's counts, or the totals, are compared
   with: of those also what workers had that they took over since. */
static int
sums_fill(struct adding *adding)
{
    int                       rc = 0;
    uint64_t                  worker = adding->reader.worker;
    struct collection        *c = adding->collection;
    const struct window_base *base = c->window.base;
    const struct base_source *source = NULL;

    base_sums_free(&adding->sums);
    base_sums_init(&adding->sums);

    while (rc == 0 && base != NULL
           && (source = window_base_next(base, source)) != NULL) {
        if (source->kind == adding->reader.kind
            && (source->worker == worker
                || (worker == WINDOW_BASE_TOTALS
                    && was_taken(c, source->worker)))) {
            rc = base_sums_add(&adding->sums, source);
        }
    }

    return rc;
}


/* Of values that are not compared with the base. */
static void
gauges_keep(const struct collect_window *window, unsigned kind,
            const int64_t *now, int64_t *values)
{
    unsigned v;

    for (v = 0; window->gauges_now && v < STACK_PROFILE_MAX_VALUES; v++) {
        if (profile_type_gauges(kind) & 1u << v) {
            values[v] = now[v];
        }
    }
}


/* What the base has and the totals have not any more is in their "[other]". */
static int
sums_rest(struct adding *adding, unsigned kind)
{
    int64_t                      values[STACK_PROFILE_MAX_VALUES] = {0};
    const int64_t                zero[STACK_PROFILE_MAX_VALUES] = {0};
    const struct collect_window *window = &adding->collection->window;

    if (!adding->wanted || adding->reader.worker != WINDOW_BASE_TOTALS) {
        return 0;
    }

    base_sums_take_rest(&adding->sums, values);
    gauges_keep(window, kind, zero, values);

    return stack_merge_other(window->merges[kind], values);
}


/* Totals are kept for good: they have no spans. */
static int64_t
spans_since(const struct collection *c)
{
    if (c->for_totals) {
        return INT64_MAX;
    }

    return c->window.base == NULL ? INT64_MIN : c->window.base->monotonic_ns;
}


/*
 * Whether the window can't tell what was added: of a worker that its base does
 * not know, or of totals that such a worker is in by now, with all that it ever
 * counted.
 */
static bool
is_unknown(const struct collection *c, const struct window_base *base,
           uint64_t worker)
{
    const struct base_source *source = NULL;

    while ((source = window_base_next(base, source)) != NULL) {
        if (source->kind == WINDOW_BASE_UNKNOWN
            && (source->worker == worker
                || (worker == WINDOW_BASE_TOTALS
                    && was_taken(c, source->worker)))) {
            return true;
        }
    }

    return false;
}


static int
adding_profile(struct adding *adding)
{
    struct collection     *c = adding->collection;
    struct parcel_reader  *r = &adding->reader;
    struct collect_window *window = &c->window;
    struct stack_merge    *merge = window->merges[r->kind];

    if (c->next != NULL) {
        window_base_source(c->next, r->worker, r->kind, r->n_values);
    }

    adding->wanted
        = merge != NULL
          && (window->base == NULL || !is_unknown(c, window->base, r->worker));

    if (!adding->wanted) {
        return 0;
    }

    stack_merge_source(merge);
    merge->spans_since_ns = spans_since(c);

    if (adding->drains && window->base != NULL) {
        stack_merge_mark(merge, COLLECT_LABEL, COLLECT_DRAINING);
    }

    return sums_fill(adding);
}


static bool
values_any(const int64_t *values)
{
    unsigned v;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        if (values[v] != 0) {
            return true;
        }
    }

    return false;
}


/* Splits what can go down from what can't. */
static void
gauges_split(unsigned kind, int64_t *values, int64_t *gauges)
{
    unsigned v;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        gauges[v] = 0;

        if (profile_type_gauges(kind) & 1u << v) {
            gauges[v] = values[v];
            values[v] = 0;
        }
    }
}


/* Adds what the window has of a sample; see COLLECT_LABEL. */
static int
window_add(struct adding *adding, const struct parcel_sample *sample,
           int64_t *values)
{
    int                          rc = 0;
    int64_t                      gauges[STACK_PROFILE_MAX_VALUES];
    struct parcel_reader        *r = &adding->reader;
    const struct collect_window *window = &adding->collection->window;
    struct stack_merge          *merge = window->merges[r->kind];

    if (adding->drains && window->base == NULL) {
        gauges_split(r->kind, values, gauges);

        if (values_any(gauges)) {
            stack_merge_mark(merge, COLLECT_LABEL, COLLECT_DRAINING);
            rc = stack_merge_add(merge, r, sample, gauges);
            stack_merge_mark(merge, NULL, NULL);
        }
    }

    if (rc == 0 && values_any(values)) {
        rc = stack_merge_add(merge, r, sample, values);
    }

    return rc;
}


static int
adding_sample(struct adding *adding, const struct parcel_sample *sample)
{
    int64_t            values[STACK_PROFILE_MAX_VALUES];
    struct collection *c = adding->collection;

    if (c->next != NULL) {
        window_base_row(c->next, sample->hash, sample->values);
    }

    if (!adding->wanted) {
        return 0;
    }

    memcpy(values, sample->values, sizeof(values));
    base_sums_take(&adding->sums, sample->hash, values);
    gauges_keep(&c->window, adding->reader.kind, sample->values, values);

    return window_add(adding, sample, values);
}


/* Adds all samples of a parcel that was checked. */
static int
parcel_add_up(struct adding *adding, const struct parcel_bytes *parcel)
{
    int                  rc, event;
    unsigned             kind = PARCEL_KINDS_MAX;
    struct parcel_sample sample;

    rc = parcel_read(&adding->reader, parcel->bytes, parcel->n);

    while (rc == 0) {
        event = parcel_next(&adding->reader, &sample);

        if (event == PARCEL_SAMPLE) {
            rc = adding_sample(adding, &sample);
            continue;
        }

        if (kind != PARCEL_KINDS_MAX && event >= 0) {
            rc = sums_rest(adding, kind);
        }

        if (rc != 0 || event <= PARCEL_END) {
            rc = rc != 0 ? rc : event;
            break;
        }

        kind = adding->reader.kind;
        rc = adding_profile(adding);
    }

    parcel_read_end(&adding->reader);

    return rc;
}


/* Adds a parcel of a worker, or the totals; one that is none is counted. */
static int
collect_parcel(struct collection *c, const struct parcel_bytes *parcel,
               uint64_t worker, bool drains)
{
    int           rc;
    struct adding adding = {.collection = c, .drains = drains};

    rc = parcel->bytes == NULL ? -EBADMSG : parcel_check(parcel, worker);

    if (rc != 0) {
        if (rc == -EBADMSG) {
            c->malformed++;
            atomic_fetch_add(&instance.directory->malformed, 1);
        }

        return rc;
    }

    rc = parcel_add_up(&adding, parcel);
    base_sums_free(&adding.sums);

    return rc;
}


/* The worker lives but its counts are not known: they are left out now, and
   by windows that begin now. */
static void
worker_unknown(struct collection *c, const struct peer_ask *ask)
{
    c->unanswered++;
    atomic_fetch_add(&instance.directory->unanswered, 1);

    if (c->next != NULL) {
        window_base_source(c->next, ask->worker, WINDOW_BASE_UNKNOWN, 0);
    }
}


/* How long the answer may still take. */
static int64_t
patience_ns(const struct collection *c, const struct peer_ask *ask)
{
    if (silent_workers[ask->slot] == ask->worker) {
        return COLLECT_SILENT_NS;
    }

    return c->timed_out ? COLLECT_LATE_NS : COLLECT_TIMEOUT_NS;
}


static int
collect_worker(struct collection *c, unsigned i)
{
    int                 rc;
    int64_t             until;
    struct peer_ask    *ask = &c->question->asks[i];
    struct parcel_bytes answer;

    until = clock_ns(CLOCK_MONOTONIC) + patience_ns(c, ask);
    rc = peer_take(c->question, i, until, &answer);

    if (rc == 0) {
        silent_workers[ask->slot] = 0;

        if (!was_taken(c, ask->worker)) {
            rc = collect_parcel(c, &answer, ask->worker, ask->drains);
            ask->used = rc == 0;
            c->answered += rc == 0;
        }

        parcel_bytes_free(&answer);
    }

    if (rc == -ENOMEM) {
        return rc;
    }

    if (rc == -ESRCH && !left_read_late(c, ask) && c->next != NULL) {
        window_base_source(c->next, ask->worker, WINDOW_BASE_UNKNOWN, 0);
    }

    if (rc == -ETIMEDOUT) {
        c->timed_out |= silent_workers[ask->slot] != ask->worker;
        silent_workers[ask->slot] = ask->worker;
    }

    if (rc != 0 && rc != -ESRCH) {
        worker_unknown(c, ask);
    }

    return 0;
}


/* Whether the worker answered before it left. */
static bool
was_used(const struct collection *c, uint64_t worker)
{
    unsigned i;

    for (i = 0; i < c->question->n; i++) {
        if (c->question->asks[i].worker == worker) {
            return c->question->asks[i].used;
        }
    }

    return false;
}


/* Adds what a worker left; one parcel at a time is in memory. */
static int
collect_left_one(struct collection *c, const struct collect_left *left)
{
    int                         rc;
    struct parcel_bytes         parcel;
    const struct instance_slot *slot;

    slot = &instance.directory->slots[left->slot];
    rc = parcel_bytes_read(&parcel, instance_left_offset(left->slot),
                           atomic_load(&slot->left_length));

    if (rc != -ENOMEM) {
        rc = collect_parcel(c, &parcel, left->worker, left->drains);
        c->answered += rc == 0;
    }

    parcel_bytes_free(&parcel);

    return rc;
}


static int
collect_left(struct collection *c)
{
    int                        rc = 0;
    unsigned                   i;
    const struct collect_left *left;

    for (i = 0; rc != -ENOMEM && i < c->n_left; i++) {
        left = &c->left[i];

        /* a slot may be freed a moment after its totals were taken */
        if (!was_used(c, left->worker) && !was_taken(c, left->worker)) {
            rc = collect_left_one(c, left);
        }
    }

    return rc == -ENOMEM ? rc : 0;
}


int
collect(struct collection *c)
{
    int      rc;
    unsigned i;

    /*
     * Those that left first: a worker that has answered by then and leaves now
     * is counted by its answer, and one that was taken over before by the
     * totals.
     */
    rc = collect_consistently(left_read, c);

    for (i = 0; rc == 0 && i < c->question->n; i++) {
        rc = collect_worker(c, i);
    }

    if (rc == 0) {
        rc = collect_left(c);
    }

    if (rc == 0 && c->pid == 0 && c->totals.bytes != NULL) {
        rc = collect_parcel(c, &c->totals, WINDOW_BASE_TOTALS, false);
        rc = rc == -ENOMEM ? rc : 0;
    }

    return rc;
}


void
collect_end(struct collection *c)
{
    peer_drop(c->question);
    parcel_bytes_free(&c->totals);
}
