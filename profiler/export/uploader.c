
/*
 * The upload thread; see uploader.h.
 */


#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../nprof_clock.h"
#include "../profiler_job.h"
#include "../thread_context.h"
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


/* What goes to one destination. */
struct upload_lane {
    const struct upload_target *target;

    /* Protected by the uploader's lock. */
    struct upload_queue queue;

    /* The upload thread's: what is on its way, or NULL; failures in a row;
       when the pause after them is over. */
    struct upload_item    *item;
    struct upload_transfer transfer;
    unsigned               failures;
    int64_t                pause_end_ns;
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

    /* Set by stop(), in this order. */
    _Atomic int64_t stop_ns;
    _Atomic bool    stopping;

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
    int64_t  longest;
    uint64_t random;

    longest = failures > 6 ? PAUSE_MAX_NS : PAUSE_MIN_NS << (failures - 1);

    if (longest > PAUSE_MAX_NS) {
        longest = PAUSE_MAX_NS;
    }

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
        random = (uint64_t) clock_ns(CLOCK_MONOTONIC);
    }

    return longest / 2 + (int64_t) (random % (uint64_t) (longest / 2));
}


static void
notice(struct uploader *uploader, enum nprof_notice weight,
       const struct upload_lane *lane, const char *what, const char *reason)
{
    profiler_notify(uploader->nprof, weight, "%s %s%s%s%s", what,
                    lane->target->name, reason == NULL ? "" : " (",
                    reason == NULL ? "" : reason, reason == NULL ? "" : ")");
}


/* Says so if the destination begins or ceases to work: once for all workers. */
static void
lane_state(struct uploader *uploader, struct upload_lane *lane,
           enum upload_state state, const char *reason)
{
    enum upload_state before;

    before = atomic_exchange(&lane->target->results->state, state);

    if (before == state) {
        return;
    }

    if (state == UPLOAD_FAILS) {
        notice(uploader, NPROF_NOTICE_WARN, lane,
               "profiles can't be uploaded to", reason);

    } else if (before == UPLOAD_FAILS) {
        notice(uploader, NPROF_NOTICE_INFO, lane,
               "profiles are uploaded again to", NULL);

    } else {
        notice(uploader, NPROF_NOTICE_INFO, lane, "profiles are uploaded to",
               NULL);
    }
}


static void
lane_count_queued(struct uploader *uploader, struct upload_lane *lane)
{
    uint32_t n;

    pthread_mutex_lock(&uploader->lock);
    n = lane->queue.n;
    pthread_mutex_unlock(&uploader->lock);

    atomic_store(&lane->target->results->queued, n + (lane->item != NULL));
}


/* The transfer failed in a way that may pass: the item waits for the next try,
   unless it is given up. */
static void
lane_retry(struct uploader *uploader, struct upload_lane *lane,
           struct upload_item *item)
{
    unsigned               dropped;
    struct upload_results *results = lane->target->results;

    lane->failures++;
    lane->pause_end_ns = clock_ns(CLOCK_MONOTONIC) + pause_ns(lane->failures);

    if (item->rejections == REJECTIONS_MAX) {
        upload_item_free(item);
        atomic_fetch_add(&results->dropped, 1);
        return;
    }

    pthread_mutex_lock(&uploader->lock);
    dropped = upload_queue_return(&lane->queue, item);
    pthread_mutex_unlock(&uploader->lock);

    atomic_fetch_add(dropped ? &results->dropped : &results->retried, 1);
}


static void
lane_finish(struct uploader *uploader, struct upload_lane *lane, CURLcode code)
{
    char                   reason[UPLOAD_REASON_SIZE];
    uint32_t               status;
    enum upload_outcome    outcome;
    struct upload_item    *item = lane->item;
    struct upload_results *results = lane->target->results;

    outcome = upload_transfer_outcome(&lane->transfer, code, &status, reason);
    atomic_store(&results->status, status);

    curl_multi_remove_handle(uploader->multi, lane->transfer.easy);
    upload_transfer_end(&lane->transfer);
    lane->item = NULL;

    lane_state(uploader, lane,
               outcome == UPLOAD_SENT ? UPLOAD_WORKS : UPLOAD_FAILS, reason);

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
    int64_t             due;
    struct upload_item *first;

    /* while we stop, one failure is enough */
    if (lane->item != NULL || (stopping && lane->failures > 0)) {
        return INT64_MAX;
    }

    due = INT64_MAX;

    pthread_mutex_lock(&uploader->lock);

    first = lane->queue.first;
    if (first != NULL) {
        due = stopping                             ? 0
              : first->due_ns > lane->pause_end_ns ? first->due_ns
                                                   : lane->pause_end_ns;
    }

    pthread_mutex_unlock(&uploader->lock);

    return due;
}


static void
lane_begin(struct uploader *uploader, struct upload_lane *lane)
{
    pthread_mutex_lock(&uploader->lock);
    lane->item = upload_queue_take(&lane->queue);
    pthread_mutex_unlock(&uploader->lock);

    if (upload_transfer_begin(&lane->transfer, uploader->settings, lane->target,
                              lane->item)
        != 0) {
        upload_item_free(lane->item);
        lane->item = NULL;
        atomic_fetch_add(&lane->target->results->dropped, 1);
        return;
    }

    curl_multi_add_handle(uploader->multi, lane->transfer.easy);
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
        if (due <= clock_ns(CLOCK_MONOTONIC)) {
            lane_begin(uploader, lane);

        } else if (due < next) {
            next = due;
        }

        *busy |= lane->item != NULL;
    }

    return next;
}


static void
transfers_run(struct uploader *uploader)
{
    int      running, left;
    uint32_t i;
    CURLMsg *message;

    (void) curl_multi_perform(uploader->multi, &running);

    while ((message = curl_multi_info_read(uploader->multi, &left)) != NULL) {
        for (i = 0; i < uploader->n_lanes; i++) {
            if (uploader->lanes[i].item != NULL
                && uploader->lanes[i].transfer.easy == message->easy_handle) {
                lane_finish(uploader, &uploader->lanes[i],
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
    struct upload_item *item;

    if (lane->item != NULL) {
        curl_multi_remove_handle(uploader->multi, lane->transfer.easy);
        upload_transfer_end(&lane->transfer);
    }

    for (item
         = lane->item != NULL ? lane->item : upload_queue_take(&lane->queue);
         item != NULL; item = upload_queue_take(&lane->queue)) {
        upload_item_free(item);
        atomic_fetch_add(&lane->target->results->dropped, 1);
    }

    lane->item = NULL;
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
    unsigned               dropped;
    struct upload_lane    *lane = &uploader->lanes[target];
    struct upload_results *results = lane->target->results;

    if (!thread_start(uploader)) {
        upload_item_free(item);
        atomic_fetch_add(&results->dropped, 1);
        return;
    }

    pthread_mutex_lock(&uploader->lock);
    dropped = upload_queue_put(&lane->queue, item);
    pthread_mutex_unlock(&uploader->lock);

    atomic_fetch_add(&results->dropped, dropped);
    curl_multi_wakeup(uploader->multi);
}


bool
uploader_stop(struct uploader *uploader, const struct timespec *deadline)
{
    int64_t now, end;

    if (!uploader->started) {
        return true;
    }

    /* half of the time is for transfers: a processor that has other work, too,
       may let the thread wait for its turn to end */
    now = clock_ns(CLOCK_MONOTONIC);
    end = (int64_t) deadline->tv_sec * 1000000000 + deadline->tv_nsec;
    atomic_store(&uploader->stop_ns, now + (end - now) / 2);
    atomic_store(&uploader->stopping, true);
    curl_multi_wakeup(uploader->multi);

    if (pthread_clockjoin_np(uploader->thread, NULL, CLOCK_MONOTONIC, deadline)
        != 0) {
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
