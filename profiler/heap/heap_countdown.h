
/*
 * Which allocations are sampled: a countdown of bytes in each thread, with
 * exponentially distributed gaps.
 *
 * It is the one thread-local variable of libnprof: 16 bytes of the
 * initial-exec model, so that reading it is one instruction and can neither
 * allocate nor lock. A library that is opened by dlopen() gets them from the
 * surplus that glibc keeps for it (some 1.6 KB). Where others took that, the
 * library can't be opened, which is one line in nginx's log.
 */


#ifndef NPROF_HEAP_COUNTDOWN_H
#define NPROF_HEAP_COUNTDOWN_H


#include <stdbool.h>
#include <stdint.h>


struct heap_countdown {
    /* Bytes to the next sample. */
    uint64_t left;

    /* Of the random numbers; 0 in a thread that has drawn none yet, or none
       since it was off. */
    uint64_t state;
};


extern _Thread_local struct heap_countdown heap_countdown
    __attribute__((tls_model("initial-exec")));


/* Sets the seed of the process, and the mean gap in bytes; 1: everything is
   sampled. Before the hooks are there. */
void heap_countdown_setup(uint64_t seed, uint64_t interval);

/*
 * Whether an allocation of that many bytes is passed over, as nearly all are.
 * Each counts as its size and one byte, so that those of 0 bytes are seen, too.
 * If not, heap_countdown_draw() decides.
 */
static inline bool
heap_countdown_passes(uint64_t size)
{
    if (size >= heap_countdown.left) {
        return false;
    }

    heap_countdown.left -= size + 1;

    return true;
}


/* Whether an allocation that was not passed over is sampled; draws the next
   gap. */
bool heap_countdown_draw(uint64_t size);

/* Nothing is sampled for a while: sampling is off. */
void heap_countdown_rest(void);


#endif /* NPROF_HEAP_COUNTDOWN_H */
