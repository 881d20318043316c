
/*
 * Which libunwind this is: that of the headers, since an unwinder is not made
 * with another one (stack_unwind.h).
 */


#ifndef NPROF_UNWIND_LIBRARY_H
#define NPROF_UNWIND_LIBRARY_H


#include <libunwind-x86_64.h>


#define UNWIND_LIBRARY_TEXT(number) #number
#define UNWIND_LIBRARY_NAME(major, minor, extra) \
    UNWIND_LIBRARY_TEXT(major)                   \
    "." UNWIND_LIBRARY_TEXT(minor) "." UNWIND_LIBRARY_TEXT(extra)

/* "1.6.2" */
#define UNWIND_LIBRARY_VERSION \
    UNWIND_LIBRARY_NAME(UNW_VERSION_MAJOR, UNW_VERSION_MINOR, UNW_VERSION_EXTRA)


#endif /* NPROF_UNWIND_LIBRARY_H */
