
/*
 * std::sort as the C++ library of this machine has it, compiled with the
 * options of the plug-ins. Any thread; holds nothing.
 */


#include <algorithm>

#include "std_sort.h"


void
std_sort(int64_t *values, size_t count)
{
    std::sort(values, values + count);
}
