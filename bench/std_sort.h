
/* std::sort over int64_t, what the plug-ins are compared with. */


#ifndef STD_SORT_H
#define STD_SORT_H


#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif


/* Sorts count values in ascending order, in place; any thread. */
void std_sort(int64_t *values, size_t count);


#ifdef __cplusplus
}
#endif

#endif /* STD_SORT_H */
