/*
 * A library that is loaded and unloaded all the time, in turns with another
 * one of the same size, so that both get the same place in memory. Built twice:
 * SWAPPED names its functions, SWAPPED_FRAME is the bytes of stack that each
 * takes, so that the unwind data of one is wrong for the other.
 *
 * SWAPPED_burn(ms) burns that much of the thread's CPU time three calls deep.
 */

#include <pthread.h>
#include <signal.h>
#include <time.h>


#define JOIN(name, suffix) JOIN_EXPANDED(name, suffix)
#define JOIN_EXPANDED(name, suffix) name##suffix

#define NOINLINE __attribute__((noinline, noclone))

/* So that the frame is there, and no call is a tail call. */
#define KEEP(frame) __asm__ volatile("" ::"r"(frame) : "memory")


void JOIN(SWAPPED, _leaf)(long ms);
void JOIN(SWAPPED, _middle)(long ms);
void JOIN(SWAPPED, _burn)(long ms);


NOINLINE void
JOIN(SWAPPED, _leaf)(long ms)
{
    struct timespec start, now;
    volatile char   frame[SWAPPED_FRAME];

    KEEP(frame);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);

    do {
        for (unsigned i = 0; i < 20000; i++) {
            frame[i % SWAPPED_FRAME]++;
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000
                 + (now.tv_nsec - start.tv_nsec) / 1000000
             < ms);
}


NOINLINE void
JOIN(SWAPPED, _middle)(long ms)
{
    char frame[2 * SWAPPED_FRAME];

    KEEP(frame);
    JOIN(SWAPPED, _leaf)(ms);
    KEEP(frame);
}


/* Calls pthread_sigmask(), so that loading it is a matter for our hook too. */
void
JOIN(SWAPPED, _burn)(long ms)
{
    char     frame[3 * SWAPPED_FRAME];
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    KEEP(frame);
    JOIN(SWAPPED, _middle)(ms);
    KEEP(frame);
}
