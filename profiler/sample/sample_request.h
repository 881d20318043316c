
/*
 * Asks a running thread for a sample, by a signal that is directed at it.
 */


#ifndef NPROF_SAMPLE_REQUEST_H
#define NPROF_SAMPLE_REQUEST_H


#include <stdint.h>

#include "thread_slot.h"


/* What is missing here to ask for samples: a static text, or NULL. */
const char *sample_request_missing(void);

/*
 * Requests a sample of the slot's thread for wanted (SAMPLE_FOR_CPU and others;
 * for that one after the slot's hits or doubtful points are set); it comes
 * through the thread's ring. Only for a thread that was just seen running: a
 * blocked one would be woken with EINTR. Returns 0 or -errno; a thread that
 * blocks the signal never answers. Any thread.
 */
int sample_request(struct thread_slot *slot, uint32_t wanted);


#endif /* NPROF_SAMPLE_REQUEST_H */
