/*
 * Reads a list of 64-bit integers out of bytes that arrive in pieces of any
 * size. Free of nginx and of locks: one thread at a time uses a parser.
 *
 * Text: numbers separated by any run of white space and commas, also before
 * the first and after the last. A number is decimal digits, with a '-' before
 * them or not; leading zeros are allowed.
 *
 * JSON: one array of numbers (RFC 8259) that are integers without fraction or
 * exponent; so 1.0 and 1e3 are refused, and so is whatever else an array may
 * hold. White space may stand around it, nothing else.
 */


#ifndef NUMBER_PARSE_H
#define NUMBER_PARSE_H


#include <stddef.h>
#include <stdint.h>


typedef enum {
    NUMBER_TEXT,
    NUMBER_JSON,
    /* JSON if the first byte that is no white space is '[', else text */
    NUMBER_DETECT
} number_syntax_t;


typedef enum {
    NUMBER_OK = 0,
    /* no number at all */
    NUMBER_EMPTY,
    /* position: the byte that can't be part of an integer */
    NUMBER_NOT_INTEGER,
    /* position: the first byte of the number that 64 bits can't hold */
    NUMBER_OVERFLOW,
    /* position: the byte where JSON wants another */
    NUMBER_NOT_ARRAY,
    /* position: the first byte of the number that is one too many */
    NUMBER_TOO_MANY,
    NUMBER_NO_MEMORY
} number_status_t;


typedef struct {
    /*
     * What was read so far, of malloc(); NULL before the first number, unless
     * a list was given. The caller may sort it in place.
     */
    int64_t *values;
    size_t   count;

    /* bytes from the beginning of the input; see number_status_t */
    uint64_t position;

    /* private; capacity is that of values, room what limit leaves of it */
    size_t          capacity;
    size_t          room;
    size_t          limit;
    uint64_t        offset;
    uint64_t        start;
    uint64_t        magnitude;
    unsigned        state;
    number_syntax_t syntax;
    number_status_t status;
    uint8_t         negative;
} number_parser_t;


/* Starts a list of at most limit numbers. Allocates nothing. */
void number_parser_init(number_parser_t *parser, number_syntax_t syntax,
                        size_t limit);


/* Starts another list in the memory of the one before, at the same limit. */
void number_parser_restart(number_parser_t *parser, number_syntax_t syntax);


/*
 * Gives a parser without a list one of malloc(), with room for capacity
 * numbers, to read into. NULL is allowed.
 */
void number_parser_give(number_parser_t *parser, int64_t *values,
                        size_t capacity);


/*
 * Takes the list away, which is the caller's to free then; *capacity is the
 * room that it has. NULL if there is none.
 */
int64_t *number_parser_take(number_parser_t *parser, size_t *capacity);


/*
 * Makes room for as many numbers as an input of so many bytes likely has, so
 * that the list is not copied as it grows. A hint: it can't fail.
 */
void number_parser_expect(number_parser_t *parser, uint64_t bytes);


/*
 * Reads the next length bytes, of which nothing is kept. Returns NUMBER_OK, or
 * what is wrong; after that it reads no further and returns the same again.
 */
number_status_t number_parser_feed(number_parser_t *parser, const void *data,
                                   size_t length);


/* The input ends here. Returns NUMBER_OK if there is at least one number. */
number_status_t number_parser_finish(number_parser_t *parser);


/*
 * Takes a copy of a list that was read before, in place of its own. Returns
 * NUMBER_OK, NUMBER_TOO_MANY or NUMBER_NO_MEMORY.
 */
number_status_t number_parser_copy(number_parser_t *parser,
                                   const int64_t *values, size_t count);


/* Frees the list; may be called more than once. */
void number_parser_free(number_parser_t *parser);


#endif /* NUMBER_PARSE_H */
