
/*
 * The calibration loop: a chain of dependent multiplications and shifts that
 * lives in registers, so that its time is that of the CPU's clock alone. One
 * thread, no input; prints ten lines, each the CPU nanoseconds per iteration
 * of one run.
 */


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>


#define RUNS 10
#define ITERATIONS 10000000


static int64_t
thread_cpu_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
        perror("clock_gettime() failed");
        exit(EXIT_FAILURE);
    }

    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}


static uint64_t
chain(uint64_t value)
{
    int i;

    for (i = 0; i < ITERATIONS; i++) {
        value ^= value >> 29;
        value *= UINT64_C(0x9e3779b97f4a7c15);
    }

    return value;
}


int
main(void)
{
    int               run;
    int64_t           start;
    volatile uint64_t value = 1;

    for (run = 0; run < RUNS; run++) {
        start = thread_cpu_ns();
        value = chain(value);
        printf("%.4f\n", (double) (thread_cpu_ns() - start) / ITERATIONS);
    }

    return EXIT_SUCCESS;
}
