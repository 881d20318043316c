/*
 * libFuzzer target for the parser of numbers: whatever the bytes, it must stay
 * within them, and it must come to the same whether they arrive in one piece
 * or in many. The first two bytes choose syntax and pieces.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "count/number_parse.h"


#define LIMIT 1000


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
parse(number_parser_t *parser, number_syntax_t syntax, const uint8_t *data,
      size_t size, size_t piece)
{
    size_t   at, n;
    uint8_t *copy;

    number_parser_init(parser, syntax, LIMIT);

    for (at = 0; at < size; at += n) {
        n = (size - at < piece) ? size - at : piece;

        /* a block of its own, so that a read beyond it is found */
        copy = malloc(n);
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, data + at, n);
        (void) number_parser_feed(parser, copy, n);
        free(copy);
    }

    (void) number_parser_finish(parser);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          piece;
    number_parser_t whole, cut;
    number_syntax_t syntax;

    if (size < 2) {
        return 0;
    }

    syntax = (number_syntax_t) (data[0] % 3);
    piece = 1 + data[1] % 32;

    parse(&whole, syntax, data + 2, size - 2, SIZE_MAX);
    parse(&cut, syntax, data + 2, size - 2, piece);

    if (whole.status != cut.status || whole.position != cut.position
        || whole.count != cut.count || whole.count > LIMIT
        || (whole.count != 0
            && memcmp(whole.values, cut.values,
                      whole.count * sizeof(int64_t)))) {
        abort();
    }

    number_parser_free(&whole);
    number_parser_free(&cut);

    return 0;
}
