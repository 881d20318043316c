
/*
 * Text into a buffer of fixed size. What finds no room marks the writer as
 * full, and nothing is written from then on. Any thread; not by printf: it
 * would write numbers as the locale says, which any module may set.
 */


#ifndef NPROF_TEXT_WRITER_H
#define NPROF_TEXT_WRITER_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../nprof.h"


struct text_writer {
    char *at;
    char *end;
    bool  full;
};


static inline void
write_text(struct text_writer *writer, const char *text, size_t len)
{
    if (writer->full || (size_t) (writer->end - writer->at) < len) {
        writer->full = true;
        return;
    }

    memcpy(writer->at, text, len);
    writer->at += len;
}


static inline void
write_string(struct text_writer *writer, const char *text)
{
    write_text(writer, text, strlen(text));
}


static inline void
write_decimal(struct text_writer *writer, uint64_t number)
{
    char  digits[20];
    char *first;

    first = digits + sizeof(digits);

    do {
        *--first = (char) ('0' + number % 10);
        number /= 10;
    } while (number != 0);

    write_text(writer, first, (size_t) (digits + sizeof(digits) - first));
}


static inline void
write_signed(struct text_writer *writer, int number)
{
    if (number < 0) {
        write_string(writer, "-");
    }

    write_decimal(writer, (uint64_t) (number < 0 ? -(int64_t) number : number));
}


/* 16 digits. */
static inline void
write_hex(struct text_writer *writer, uint64_t number)
{
    int  i;
    char digits[16];

    for (i = 15; i >= 0; i--) {
        digits[i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }

    write_text(writer, digits, sizeof(digits));
}


/* What was written since `from`, which is a place in the buffer. */
static inline struct nprof_text
written_since(const struct text_writer *writer, const char *from)
{
    return (struct nprof_text){from, (size_t) (writer->at - from)};
}


#endif /* NPROF_TEXT_WRITER_H */
