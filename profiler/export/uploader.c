
/*
 * The upload thread; see uploader.h.
 */


#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../nprof_clock.h"
#include "../profiler_job.h"
#include "../random_below.h"
#include "../thread_context.h"
#include "upload_state.h"
#include "upload_transfer.h"
#include "uploader.h"


/* OpenSSL reads certificates on it. */
#define UPLOAD_STACK_SIZE (256 * 1024)

/* The pause after a first failure, and the longest. */
#define PAUSE_MIN_NS 1000000000LL
#define PAUSE_MAX_NS 60000000000LL

/* A profile that is answered with so many 5xx is given up: it may be the
   reason. Where there is no answer, only the queue's bounds end the tries. */
#define REJECTIONS_MAX 3

/* The longest sleep; it matters to nobody. */
#define IDLE_MS 60000


/* A profile on its way; free where there is no item. */
struct upload_flight {
    struct upload_item    *item;
    struct upload_transfer transfer;
};


/* What goes to one destination. */
struct upload_lane {
    const struct upload_target *target;

    /* Protected by the uploader's lock. */
    struct upload_queue queue;

    /* The upload thread's: what is on its way; failures in a row; when the
       pause after them is over. */
    struct upload_flight flights[UPLOAD_QUEUE_MAX];
    unsigned             n_flights;
    unsigned             failures;
    int64_t              pause_end_ns;
};


struct uploader {
    const struct upload_settings *settings;
    struct nprof                 *nprof;
    CURLM                        *multi;

    /* Held for some instructions, by the export thread and the upload thread;
       no other lock is taken meanwhile. */
    pthread_mutex_t lock;

    /* The export thread's, and that of whoever has joined it. */
    bool      started;
    pthread_t thread;

    /* Set by end(), in this order. */
    _Atomic int64_t stop_ns;
    _Atomic bool    stopping;

    /* Of all destinations, by this process. */
    _Atomic uint64_t dropped;

    uint32_t           n_lanes;
    struct upload_lane lanes[UPLOAD_TARGETS_MAX];
};


struct uploader *
uploader_create(const struct upload_settings *settings, struct nprof *nprof)
{
    uint32_t         i;
    struct uploader *uploader;

    /* it counts its users; other modules may be some, and nginx is one of
       OpenSSL, so nothing is ever cleaned up */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }

    uploader = calloc(1, sizeof(*uploader));
    if (uploader == NULL) {
        return NULL;
    }

    uploader->multi = curl_multi_init();
    if (uploader->multi == NULL) {
        free(uploader);
        return NULL;
    }

    uploader->settings = settings;
    uploader->nprof = nprof;
    pthread_mutex_init(&uploader->lock, NULL);

    uploader->n_lanes = settings->n_targets;

    for (i = 0; i < uploader->n_lanes; i++) {
        uploader->lanes[i].target = &settings->targets[i];
    }

    return uploader;
}


/* Between half of a time and the whole of it, which doubles with each failure.
 */
static int64_t
pause_ns(unsigned failures)
{
    int64_t longest;

    longest = failures > 6 ? PAUSE_MAX_NS : PAUSE_MIN_NS << (failures - 1);

    if (longest > PAUSE_MAX_NS) {
        longest = PAUSE_MAX_NS;
    }

    return longest / 2
           + (int64_t) random_below((uint64_t) (longest / 2),
                                    (uint64_t) clock_ns(CLOCK_MONOTONIC));
}


static void
lane_count_dropped(struct uploader *uploader, struct upload_lane *lane,
                   unsigned n)
{
    atomic_fetch_add(&lane->target->results->dropped, n);
    atomic_fetch_add(&uploader->dropped, n);
}


static void
lane_count_queued(struct uploader *uploader, struct upload_lane *lane)
{
    uint32_t n;

    pthread_mutex_lock(&uploader->lock);
    n = lane->queue.n;
    pthread_mutex_unlock(&uploader->lock);

    atomic_store(&lane->target->results->queued, n + lane->n_flights);
}


/* The transfer failed in a way that may pass: the item waits for the next try,
   unless it is given up. */
static void
lane_retry(struct uploader *uploader, struct upload_lane *lane,
           struct upload_item *item)
{
    unsigned dropped;

    lane->failures++;
    lane->pause_end_ns = clock_ns(CLOCK_MONOTONIC) + pause_ns(lane->failures);

    if (item->rejections == REJECTIONS_MAX) {
        upload_item_free(item);
        lane_count_dropped(uploader, lane, 1);
        return;
    }

    pthread_mutex_lock(&uploader->lock);
    dropped = upload_queue_return(&lane->queue, item);
    pthread_mutex_unlock(&uploader->lock);

    if (dropped) {
        lane_count_dropped(uploader, lane, dropped);
    } else {
        atomic_fetch_add(&lane->target->results->retried, 1);
    }
}


/* Ends the transfer; returns its item, which is the caller's. */
static struct upload_item *
flight_end(struct uploader *uploader, struct upload_lane *lane,
           struct upload_flight *flight)
{
    struct upload_item *item = flight->item;

    curl_multi_remove_handle(uploader->multi, flight->transfer.easy);
    upload_transfer_end(&flight->transfer);
    flight->item = NULL;
    lane->n_flights--;

    return item;
}


static void
flight_finish(struct uploader *uploader, struct upload_lane *lane,
              struct upload_flight *flight, CURLcode code)
{
    char                   reason[UPLOAD_REASON_SIZE];
    uint32_t               status;
    enum upload_outcome    outcome;
    struct upload_item    *item;
    struct upload_results *results = lane->target->results;

    static const struct upload_words words = {"profiles", "uploaded"};

    outcome = upload_transfer_outcome(&flight->transfer, code, &status, reason);
    atomic_store(&results->status, status);
    item = flight_end(uploader, lane, flight);

    upload_state_tell(uploader->nprof, lane->target, &words,
                      outcome == UPLOAD_SENT, reason);

    if (outcome == UPLOAD_REJECTED || outcome == UPLOAD_FAILED) {
        item->rejections += outcome == UPLOAD_REJECTED;
        lane_retry(uploader, lane, item);
        return;
    }

    lane->failures = 0;

    if (outcome == UPLOAD_SENT) {
        atomic_fetch_add(&results->sent, 1);
        atomic_fetch_add(&results->bytes, item->len);
    } else {
        atomic_fetch_add(&results->refused, 1);
    }

    upload_item_free(item);
}


/* When the lane's next item is due; INT64_MAX if there is none to be begun. */
static int64_t
lane_due_ns(struct uploader *uploader, struct upload_lane *lane, bool stopping)
{
    bool     waits;
    unsigned most;

    /* while we stop, one failure is enough */
    most = stopping ? UPLOAD_QUEUE_MAX : 1;

    if (lane->n_flights >= most || (stopping && lane->failures > 0)) {
        return INT64_MAX;
    }

    pthread_mutex_lock(&uploader->lock);
    waits = lane->queue.first != NULL;
    pthread_mutex_unlock(&uploader->lock);

    return waits ? lane->pause_end_ns : INT64_MAX;
}


/* There is an item, and a free place for it. */
static void
lane_begin(struct uploader *uploader, struct upload_lane *lane)
{
    struct upload_item   *item;
    struct upload_flight *flight;

    pthread_mutex_lock(&uploader->lock);
    item = upload_queue_take(&lane->queue);
    pthread_mutex_unlock(&uploader->lock);

    for (flight = lane->flights; flight->item != NULL; flight++) {
    }

    if (upload_transfer_begin(&flight->transfer, uploader->settings,
                              lane->target, item)
        != 0) {
        upload_item_free(item);
        lane_count_dropped(uploader, lane, 1);
        return;
    }

    flight->item = item;
    lane->n_flights++;
    curl_multi_add_handle(uploader->multi, flight->transfer.easy);
}


/* Begins what is due; returns when the next is, INT64_MAX if nothing waits, and
   in *busy whether something is on its way. */
static int64_t
lanes_begin(struct uploader *uploader, bool stopping, bool *busy)
{
    int64_t             due, next;
    uint32_t            i;
    struct upload_lane *lane;

    next = INT64_MAX;
    *busy = false;

    for (i = 0; i < uploader->n_lanes; i++) {
        lane = &uploader->lanes[i];
        due = lane_due_ns(uploader, lane, stopping);

        while (due <= clock_ns(CLOCK_MONOTONIC)) {
            lane_begin(uploader, lane);
            due = lane_due_ns(uploader, lane, stopping);
        }

        next = due < next ? due : next;
        *busy |= lane->n_flights != 0;
    }

    return next;
}


/* That of the transfer, or NULL. */
static struct upload_flight *
lane_flight(struct upload_lane *lane, const CURL *easy)
{
    unsigned i;

    for (i = 0; i < UPLOAD_QUEUE_MAX; i++) {
        if (lane->flights[i].item != NULL
            && lane->flights[i].transfer.easy == easy) {
            return &lane->flights[i];
        }
    }

    return NULL;
}


static void
transfers_run(struct uploader *uploader)
{
    int                   running, left;
    uint32_t              i;
    CURLMsg              *message;
    struct upload_flight *flight;

    (void) curl_multi_perform(uploader->multi, &running);

    while ((message = curl_multi_info_read(uploader->multi, &left)) != NULL) {
        for (i = 0; i < uploader->n_lanes; i++) {
            flight = lane_flight(&uploader->lanes[i], message->easy_handle);

            if (flight != NULL) {
                flight_finish(uploader, &uploader->lanes[i], flight,
                              message->data.result);
                break;
            }
        }
    }

    for (i = 0; i < uploader->n_lanes; i++) {
        lane_count_queued(uploader, &uploader->lanes[i]);
    }
}


/* Until something is due, or comes, or happens to a transfer. */
static void
transfers_wait(struct uploader *uploader, int64_t due)
{
    int64_t ms;

    ms = IDLE_MS;

    if (due != INT64_MAX) {
        ms = (due - clock_ns(CLOCK_MONOTONIC)) / 1000000 + 1;
    }

    if (ms > 0) {
        (void) curl_multi_poll(uploader->multi, NULL, 0,
                               ms < IDLE_MS ? (int) ms : IDLE_MS, NULL);
    }
}


/* What was not sent by now is dropped. */
static void
lane_drop(struct uploader *uploader, struct upload_lane *lane)
{
    unsigned            i;
    struct upload_item *item;

    for (i = 0; i < UPLOAD_QUEUE_MAX; i++) {
        if (lane->flights[i].item != NULL) {
            upload_item_free(flight_end(uploader, lane, &lane->flights[i]));
            lane_count_dropped(uploader, lane, 1);
        }
    }

    while ((item = upload_queue_take(&lane->queue)) != NULL) {
        upload_item_free(item);
        lane_count_dropped(uploader, lane, 1);
    }

    atomic_store(&lane->target->results->queued, 0);
}


/* What `status` says of this thread. */
static void
thread_account(struct uploader *uploader)
{
    size_t   waiting = 0;
    uint32_t i;

    pthread_mutex_lock(&uploader->lock);

    for (i = 0; i < uploader->n_lanes; i++) {
        waiting += uploader->lanes[i].queue.bytes;
    }

    pthread_mutex_unlock(&uploader->lock);

    atomic_store(&uploader->nprof->upload_memory, waiting);
    atomic_store(&uploader->nprof->upload_cpu_ns,
                 (uint64_t) clock_ns(CLOCK_THREAD_CPUTIME_ID));
}


static void *
upload_thread_main(void *data)
{
    bool             stopping, busy;
    int64_t          due;
    uint32_t         i;
    struct uploader *uploader = data;

    thread_context_enter(UPLOAD_THREAD_NAME, THREAD_CONTEXT_NICE);

    for (;;) {
        transfers_run(uploader);

        stopping = atomic_load(&uploader->stopping);
        due = lanes_begin(uploader, stopping, &busy);

        if (stopping) {
            due = atomic_load(&uploader->stop_ns);

            if (!busy || clock_ns(CLOCK_MONOTONIC) >= due) {
                break;
            }
        }

        thread_account(uploader);
        transfers_wait(uploader, due);
    }

    for (i = 0; i < uploader->n_lanes; i++) {
        lane_drop(uploader, &uploader->lanes[i]);
    }

    thread_context_leave(uploader->nprof);

    return NULL;
}


/*
 * The new thread has all signals blocked but the sampler's, as its maker.
 */
static bool
thread_start(struct uploader *uploader)
{
    if (uploader->started) {
        return true;
    }

    uploader->started
        = thread_context_create(&uploader->thread, UPLOAD_STACK_SIZE,
                                upload_thread_main, uploader)
          == 0;

    return uploader->started;
}


void
uploader_put(struct uploader *uploader, uint32_t target,
             struct upload_item *item)
{
    unsigned            dropped;
    struct upload_lane *lane = &uploader->lanes[target];

    if (atomic_load(&uploader->stopping) || !thread_start(uploader)) {
        upload_item_free(item);
        lane_count_dropped(uploader, lane, 1);
        return;
    }

    pthread_mutex_lock(&uploader->lock);
    dropped = upload_queue_put(&lane->queue, item);
    pthread_mutex_unlock(&uploader->lock);

    lane_count_dropped(uploader, lane, dropped);
    curl_multi_wakeup(uploader->multi);
}


void
uploader_drop(struct uploader *uploader, uint32_t target)
{
    lane_count_dropped(uploader, &uploader->lanes[target], 1);
}


uint64_t
uploader_dropped(const struct uploader *uploader)
{
    return atomic_load(&uploader->dropped);
}


void
uploader_end(struct uploader *uploader, int64_t until_ns)
{
    atomic_store(&uploader->stop_ns, until_ns);
    atomic_store(&uploader->stopping, true);
    curl_multi_wakeup(uploader->multi);
}


bool
uploader_join(struct uploader *uploader, int64_t until_ns)
{
    if (uploader->started && !thread_context_join(uploader->thread, until_ns)) {
        return false;
    }

    uploader->started = false;

    return true;
}


void
uploader_destroy(struct uploader *uploader)
{
    uint32_t i;

    for (i = 0; i < uploader->n_lanes; i++) {
        lane_drop(uploader, &uploader->lanes[i]);
    }

    curl_multi_cleanup(uploader->multi);
    pthread_mutex_destroy(&uploader->lock);
    free(uploader);
}
