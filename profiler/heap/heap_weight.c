
/*
 * Weights of samples; see heap_weight.h.
 */


#include <math.h>

#include "heap_weight.h"


struct heap_weight
heap_weight(uint64_t size, uint64_t interval)
{
    double             weight;
    struct heap_weight result;

    weight = 1.0;

    if (interval > 1) {
        /* what heap_countdown_passes() takes off */
        weight = -1.0 / expm1(-((double) size + 1.0) / (double) interval);
    }

    result.objects = llround(ldexp(weight, HEAP_OBJECT_BITS));
    result.bytes = llround(weight * (double) size);

    return result;
}
