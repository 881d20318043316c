
/*
 * The plug-in ABI of the count service.
 *
 * A plug-in is a shared object, in any language, that exports one symbol:
 * `sort_plugin`, a constant sort_plugin_t. The loader (sort_loader.h) refuses
 * a descriptor whose abi or size differ from its own, or whose pointers are
 * NULL, and says which.
 */


#ifndef SORT_PLUGIN_H
#define SORT_PLUGIN_H


#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif


#define SORT_PLUGIN_ABI 1

/* The name of the exported descriptor. */
#define SORT_PLUGIN_SYMBOL "sort_plugin"


typedef struct {
    /* SORT_PLUGIN_ABI and sizeof(sort_plugin_t), as the plug-in knew them. */
    uint32_t abi;
    uint32_t size;

    /* Static strings: the algorithm ("bubble") and its version ("1.0.0"). */
    const char *name;
    const char *version;

    /*
     * Sorts count values in ascending order, in place. It can't fail. It is
     * called from any thread, from several at once, and keeps no pointer to
     * the values; count may be 0, and values is not NULL even then.
     */
    void (*sort)(int64_t *values, size_t count);
} sort_plugin_t;


#ifdef __cplusplus
}
#endif

#endif /* SORT_PLUGIN_H */
