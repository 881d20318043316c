
/*
 * Sends profiles to their destinations, on a thread of its own, `nprof-upload`:
 * whatever a back end or DNS does, nobody else waits for it. The thread begins
 * with the first profile, so only a process that uploads has one.
 *
 * Each destination has its own queue and its own pauses after failures, so that
 * one which hangs does not hold up the others, and gets one profile at a time but
 * for the end. Memory: UPLOAD_QUEUE_BYTES per
 * destination, twice that of one profile while it is sent, and libcurl's.
 */


#ifndef NPROF_UPLOADER_H
#define NPROF_UPLOADER_H


#include <stdbool.h>
#include <stdint.h>

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

/* A profile that was not even put is given up. Any thread. */
void uploader_drop(struct uploader *uploader, uint32_t target);

/*
 * No more items are put; one that is, is dropped. What waits is sent at once, all
 * at the same time, but to destinations that fail, and what is not sent by that
 * time (CLOCK_MONOTONIC, nanoseconds) is dropped. The event loop's thread, as all
 * that follow.
 */
void uploader_end(struct uploader *uploader, int64_t until_ns);

/* After end(): joins the thread, until that time. false: it still runs, and
   stays. */
bool uploader_join(struct uploader *uploader, int64_t until_ns);

/* Profiles that this process dropped so far, of all destinations. Any thread. */
uint64_t uploader_dropped(const struct uploader *uploader);

/* It is joined, or was never used. */
void uploader_destroy(struct uploader *uploader);


#endif /* NPROF_UPLOADER_H */
