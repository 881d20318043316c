
/*
 * The profiler's counters as JSON; see profiler_status.h. No string in it is
 * anybody's input, so none needs escaping.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "profiler_status.h"


/* Adds up what the handlers of living threads counted. */
static uint32_t
slots_sum(struct profiler_counters *sum)
{
    size_t              i;
    uint32_t            threads;
    struct thread_slot *slot;

    threads = 0;

    for (i = 0; i < THREAD_SLOTS; i++) {
        slot = &thread_slots[i];

        if (slot->used) {
            threads++;
            sum->dropped += atomic_load(&slot->dropped);
            sum->handler_ns += atomic_load(&slot->handler_ns);
            sum->handler_runs += atomic_load(&slot->handler_runs);
        }
    }

    return threads;
}


static uint64_t
mean(uint64_t sum, uint64_t n)
{
    return n == 0 ? 0 : sum / n;
}


int
profiler_status_json(const struct profiler_counters *counters,
                     const struct thread_list       *threads,
                     const struct stack_table *table, uint32_t rate,
                     const char *warning, char **json, size_t *len)
{
    int                      n;
    uint32_t                 n_threads;
    uint64_t                 completeness;
    struct profiler_counters sum;

    sum = *counters;
    n_threads = slots_sum(&sum);

    /* in 100,000ths: printf's decimal point is the locale's, which any module
       may set */
    completeness = mean(sum.complete * 100000, sum.samples);

    n = asprintf(json,
                 "{\"cpu\": {\"engine\": \"timers\", \"rate\": %" PRIu32
                 ", \"samples\": %" PRIu64 ", \"complete\": %" PRIu64
                 ", \"completeness\": %" PRIu64 ".%05" PRIu64
                 ", \"bridged\": %" PRIu64 ", \"cut\": %" PRIu64
                 ", \"no_bounds\": %" PRIu64 ", \"dropped\": %" PRIu64
                 ", \"lost_expiries\": %" PRIu64 ", \"degraded\": %s%s%s},\n"
                 " \"threads\": {\"sampled\": %" PRIu32
                 ", \"unsampled\": %" PRIu32 ", \"last_errno\": %d},\n"
                 " \"cost\": {\"handler_ns\": %" PRIu64
                 ", \"unwind_ns\": %" PRIu64 "},\n"
                 " \"stacks\": {\"used\": %" PRIu32 ", \"limit\": %d"
                 ", \"overflows\": %" PRIu64 "}}\n",
                 rate, sum.samples, sum.complete, completeness / 100000,
                 completeness % 100000, sum.bridged, sum.cut, sum.no_bounds,
                 sum.dropped, sum.lost, warning == NULL ? "" : "\"",
                 warning == NULL ? "null" : warning,
                 warning == NULL ? "" : "\"", n_threads, threads->unsampled,
                 threads->last_error, mean(sum.handler_ns, sum.handler_runs),
                 mean(sum.unwind_ns, sum.samples), stack_table_used(table),
                 STACK_TABLE_MAX, stack_table_overflows(table));
    if (n < 0) {
        *json = NULL;
        return -ENOMEM;
    }

    *len = (size_t) n;

    return 0;
}
