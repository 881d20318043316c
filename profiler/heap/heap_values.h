
/*
 * The values of a stack in the heap's table and profiles.
 */


#ifndef NPROF_HEAP_VALUES_H
#define NPROF_HEAP_VALUES_H


enum {
    HEAP_ALLOC_OBJECTS = 0,
    HEAP_ALLOC_SPACE,
    HEAP_INUSE_OBJECTS,
    HEAP_INUSE_SPACE,
    HEAP_VALUES
};


#endif /* NPROF_HEAP_VALUES_H */
