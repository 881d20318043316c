
/*
 * One sample as the signal handler leaves it: the registers of the
 * interrupted thread and a copy of the top of its stack.
 */


#ifndef NPROF_SAMPLE_RECORD_H
#define NPROF_SAMPLE_RECORD_H


#include <stdint.h>

#ifndef __x86_64__
#error "the sampler knows x86-64 only"
#endif


/* The x86-64 registers in DWARF's order, which is libunwind's too. */
#define SAMPLE_REGISTERS 17
#define SAMPLE_REG_RBP 6
#define SAMPLE_REG_RSP 7
#define SAMPLE_REG_RIP 16

/*
 * Below SP a function may keep data that no frame claims (the red zone of the
 * System V ABI), and OpenSSL's assembly keeps the saved SP there.
 */
#define SAMPLE_RED_ZONE 128

/* The largest copy of a stack; PCRE2's JIT alone has a frame of 33 KB. */
#define SAMPLE_STACK_MAX (48 * 1024)


/*
 * SP was on no stack whose bounds were known, so only the rest of the page that
 * SP is in was copied.
 */
#define SAMPLE_NO_BOUNDS 1u

/* The stack was larger than SAMPLE_STACK_MAX, or than its ring has room for. */
#define SAMPLE_CUT 2u

/* The thread was blocked: of its registers only SP and PC are known. */
#define SAMPLE_BLOCKED 4u

/* What a sample is for: CPU time, wall time, the stall that goes on. */
#define SAMPLE_FOR_CPU 1u
#define SAMPLE_FOR_WALL 2u
#define SAMPLE_FOR_STALL 4u


/*
 * Periods beyond the first that one stack is credited with. A larger overrun
 * means that the thread ran unseen for longer than a few, and that was hardly
 * all in the one stack that was seen last: the rest is "[lost]".
 */
#define SAMPLE_OVERRUN_MAX 3

/* The same of a point of the "jitter" engine, which stands for weight periods:
   for many in a process that was idle. */
static inline uint32_t
sample_credit(uint32_t weight)
{
    return weight <= SAMPLE_OVERRUN_MAX ? weight : 1 + SAMPLE_OVERRUN_MAX;
}


/*
 * Up to here a look that comes after its time is as good as one in time: what
 * it costs to leave an idle processor, or to take over a busy one. Nanoseconds.
 */
#define SAMPLE_LATE_NS 500000


struct sample_record {
    /* Periods (timer expiries, looks) beyond the first that this record stands
       for. */
    uint32_t overrun;

    /* SAMPLE_NO_BOUNDS, SAMPLE_CUT, SAMPLE_BLOCKED. */
    uint32_t flags;

    /* SAMPLE_FOR_CPU and others: one at least. */
    uint32_t wanted;

    /* The label set (label_set.h) that the thread worked under. */
    uint32_t labels;

    /* The span that it worked for, 0 if there is none. */
    uint64_t span;

    /* When the handler took it, CLOCK_MONOTONIC. */
    int64_t time_ns;

    /* On the main thread the turn (loop_turn_start()) that it was taken in, or
       0: it was taken in none. */
    int64_t turn_start_ns;

    /* The thread's control block; at the top of its stack, the main thread's
       aside. */
    uint64_t thread_pointer;

    /* Where stack[0] was, and how many bytes were copied. */
    uint64_t stack_address;
    uint64_t stack_size;

    uint64_t registers[SAMPLE_REGISTERS];

    unsigned char stack[];
};


#endif /* NPROF_SAMPLE_RECORD_H */
