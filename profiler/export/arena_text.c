
/*
 * Texts in an arena; see arena_text.h.
 */


#include <stdarg.h>
#include <stdio.h>

#include "arena_text.h"


const char *
arena_text(struct block_arena *arena, const char *format, ...)
{
    int     len;
    char   *text;
    va_list arguments;

    va_start(arguments, format);
    len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);

    if (len < 0) {
        return NULL;
    }

    text = block_arena_alloc(arena, (size_t) len + 1);
    if (text == NULL) {
        return NULL;
    }

    va_start(arguments, format);
    vsnprintf(text, (size_t) len + 1, format, arguments);
    va_end(arguments);

    return text;
}
