
/*
 * Sends profiles to their destinations, on a thread of its own, `nprof-upload`:
 * whatever a back end or DNS does, nobody else waits for it. The thread begins
 * with the first profile, so only a process that uploads has one.
 *
 * Each destination has its own queue and its own pauses after failures, so that
 * one which hangs does not hold up the others. Memory: UPLOAD_QUEUE_BYTES per
 * destination, twice that of one profile while it is sent, and libcurl's.
 */


#ifndef NPROF_UPLOADER_H
#define NPROF_UPLOADER_H


#include <stdbool.h>
#include <time.h>

#include "upload_queue.h"
#include "upload_settings.h"


struct nprof;
struct uploader;


/* As `top -H` and profiles show it. */
#define UPLOAD_THREAD_NAME "nprof-upload"


/*
 * The event loop's thread. The settings have to outlive it. What it has to say
 * goes to nprof's notices, and its thread parks where nprof is abandoned. NULL:
 * there is no memory, or libcurl does not work.
 */
struct uploader *uploader_create(const struct upload_settings *settings,
                                 struct nprof                 *nprof);

/*
 * Gives an item, which is the uploader's from now on, to a destination. One
 * thread at a time: the export thread.
 */
void uploader_put(struct uploader *uploader, uint32_t target,
                  struct upload_item *item);

/*
 * No more items are put. Sends what waits until a destination fails, or half of
 * the time is over that the deadline (CLOCK_MONOTONIC) leaves, and joins the
 * thread. false: it still runs, and stays. The event loop's thread.
 */
bool uploader_stop(struct uploader *uploader, const struct timespec *deadline);

/* It is stopped. */
void uploader_destroy(struct uploader *uploader);


#endif /* NPROF_UPLOADER_H */
