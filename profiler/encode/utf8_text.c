
/*
 * Repairs UTF-8 (utf8_text.h). Any thread.
 */


#include <stdint.h>
#include <string.h>

#include "utf8_text.h"


#define REPLACEMENT "\xef\xbf\xbd"


/*
 * Bytes of the well-formed sequence at p (Unicode, table 3-7), 0 if there is
 * none. A NUL is never a continuation, so it reads no further than that.
 */
static size_t
sequence_length(const uint8_t *p)
{
    size_t  i, n;
    uint8_t low = 0x80, high = 0xbf;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    /* Overlong forms, surrogates, and what lies above U+10FFFF. */
    switch (p[0]) {
    case 0xe0:
        low = 0xa0;
        break;
    case 0xed:
        high = 0x9f;
        break;
    case 0xf0:
        low = 0x90;
        break;
    case 0xf4:
        high = 0x8f;
        break;
    }

    if (p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}


static size_t
count_bad(const uint8_t *p)
{
    size_t n, bad = 0;

    while (*p != '\0') {
        n = sequence_length(p);
        bad += n == 0;
        p += n ? n : 1;
    }

    return bad;
}


const char *
utf8_text(const char *text, struct block_arena *arena)
{
    char          *copy, *to;
    size_t         n, bad;
    const uint8_t *p = (const uint8_t *) text;

    bad = count_bad(p);
    if (bad == 0) {
        return text;
    }

    copy = block_arena_alloc(arena,
                             strlen(text) + bad * strlen(REPLACEMENT) + 1);
    if (copy == NULL) {
        return NULL;
    }

    for (to = copy; *p != '\0'; p += n) {
        n = sequence_length(p);

        if (n > 0) {
            to = mempcpy(to, p, n);
            continue;
        }

        to = mempcpy(to, REPLACEMENT, strlen(REPLACEMENT));
        n = 1;
    }

    *to = '\0';

    return copy;
}
