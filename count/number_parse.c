/*
 * The parser of number_parse.h: two state machines, for text and JSON, over
 * one scanner of digits. What it remembers between two pieces of input is in
 * number_parser_t, so a number may be cut anywhere. It has no recursion: an
 * array in the array is an error at its first bracket.
 */

#include "number_parse.h"

#include "digit_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>


/* The first list has room for this many numbers. */
#define FIRST_CAPACITY 64


enum {
    /* NUMBER_DETECT: nothing but white space so far */
    AT_START = 0,

    /* both: a digit has to follow; it may */
    BEFORE_DIGIT,
    IN_DIGITS,

    /* text: between two numbers */
    BETWEEN,

    /* JSON: '[' has to follow; a number, or ']' if there is none yet */
    BEFORE_ARRAY,
    AFTER_BRACKET,
    AFTER_COMMA,

    /* JSON: after a leading '0', which ends its number; ',' or ']' follow */
    AFTER_ZERO,
    AFTER_NUMBER,

    /* JSON: nothing but white space may follow */
    AFTER_ARRAY
};


static bool
is_digit(uint8_t byte)
{
    return (uint8_t) (byte - '0') <= 9;
}


static bool
is_json_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}


static bool
is_separator(uint8_t byte)
{
    return is_json_space(byte) || byte == ',' || byte == '\v' || byte == '\f';
}


void
number_parser_init(number_parser_t *parser, number_syntax_t syntax,
                   size_t limit)
{
    memset(parser, 0, sizeof(number_parser_t));

    parser->limit = limit;
    number_parser_restart(parser, syntax);
}


void
number_parser_restart(number_parser_t *parser, number_syntax_t syntax)
{
    static const unsigned first[] = {BETWEEN, BEFORE_ARRAY, AT_START};

    parser->count = 0;
    parser->position = 0;
    parser->offset = 0;
    parser->status = NUMBER_OK;
    parser->syntax = syntax;
    parser->state = first[syntax];
}


void
number_parser_give(number_parser_t *parser, int64_t *values, size_t capacity)
{
    parser->values = values;
    parser->capacity = capacity;
    parser->room = (capacity < parser->limit) ? capacity : parser->limit;
}


int64_t *
number_parser_take(number_parser_t *parser, size_t *capacity)
{
    int64_t *values;

    values = parser->values;
    *capacity = parser->capacity;
    number_parser_give(parser, NULL, 0);

    return values;
}


void
number_parser_free(number_parser_t *parser)
{
    free(parser->values);
    number_parser_give(parser, NULL, 0);
}


static bool
resize(number_parser_t *parser, size_t capacity)
{
    int64_t *values;

    if (capacity > parser->limit) {
        capacity = parser->limit;
    }

    if (capacity > SIZE_MAX / sizeof(int64_t)) {
        return false;
    }

    values = realloc(parser->values, capacity * sizeof(int64_t));
    if (values == NULL) {
        return false;
    }

    number_parser_give(parser, values, capacity);

    return true;
}


number_status_t
number_parser_copy(number_parser_t *parser, const int64_t *values, size_t count)
{
    parser->count = 0;

    if (count > parser->limit) {
        return NUMBER_TOO_MANY;
    }

    if (count > parser->room && !resize(parser, count)) {
        return NUMBER_NO_MEMORY;
    }

    memcpy(parser->values, values, count * sizeof(int64_t));
    parser->count = count;

    return NUMBER_OK;
}


void
number_parser_expect(number_parser_t *parser, uint64_t bytes)
{
    uint64_t numbers;

    /* four digits and a separator; what is not written to is no memory yet */
    numbers = bytes / 5 + 1;

    if (numbers > parser->limit) {
        numbers = parser->limit;
    }

    if (numbers > parser->room) {
        (void) resize(parser, (size_t) numbers);
    }
}


static number_status_t
fail(number_parser_t *parser, number_status_t status, uint64_t position)
{
    parser->status = status;
    parser->position = position;

    return status;
}


/* The position in the input of p, which lies in the piece at data. */
static uint64_t
position_of(const number_parser_t *parser, const uint8_t *data,
            const uint8_t *p)
{
    return parser->offset + (uint64_t) (p - data);
}


/* Takes the number that is complete; NUMBER_OK or an error. */
static number_status_t
add_number(number_parser_t *parser)
{
    uint64_t magnitude;

    magnitude = parser->magnitude;

    if (magnitude > (uint64_t) INT64_MAX + parser->negative) {
        return fail(parser, NUMBER_OVERFLOW, parser->start);
    }

    if (parser->count == parser->room) {
        if (parser->count >= parser->limit) {
            return fail(parser, NUMBER_TOO_MANY, parser->start);
        }

        if (!resize(parser, parser->room ? 2 * parser->room : FIRST_CAPACITY)) {
            return fail(parser, NUMBER_NO_MEMORY, parser->start);
        }
    }

    /* the negation is one of unsigned arithmetic: INT64_MIN has no positive */
    parser->values[parser->count++]
        = (int64_t) (parser->negative ? -magnitude : magnitude);

    return NUMBER_OK;
}


/*
 * Adds the digits from p on to the magnitude of the number. Returns the first
 * byte that is not a digit, or end, or NULL if the magnitude is too large for
 * an int64_t of either sign whatever follows.
 */
static const uint8_t *
scan_digits(number_parser_t *parser, const uint8_t *p, const uint8_t *end)
{
    static const uint64_t powers[]
        = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

    unsigned digits;
    uint64_t bytes, magnitude;

    magnitude = parser->magnitude;

    /* below 10^10, eight digits more make less than 10^18 */
    while (end - p >= 8 && magnitude < UINT64_C(10000000000)) {
        bytes = load_eight(p);
        digits = leading_digits(bytes);

        if (digits == 0) {
            break;
        }

        /* the digits go to the end of eight, zeros come before them */
        bytes = (bytes ^ DIGIT_ZEROS) << (64 - 8 * digits);

        magnitude = magnitude * powers[digits] + eight_digits(bytes);
        p += digits;

        if (digits < 8) {
            parser->magnitude = magnitude;
            return p;
        }
    }

    while (p < end && is_digit(*p)) {
        if (magnitude > (uint64_t) INT64_MAX / 10) {
            return NULL;
        }
        magnitude = magnitude * 10 + (*p++ - '0');
    }

    parser->magnitude = magnitude;

    return p;
}


/*
 * A number begins with byte, or what should be one. Returns how many bytes are
 * read by that: a '-', while a digit is left to be scanned.
 */
static size_t
begin_number(number_parser_t *parser, uint8_t byte, uint64_t position)
{
    parser->start = position;
    parser->magnitude = 0;
    parser->negative = (byte == '-');
    parser->state = BEFORE_DIGIT;

    return parser->negative;
}


/*
 * The common case ahead of the state machines, where a number has to begin:
 * numbers with one separator after each, away from both ends of the piece,
 * while there is room for them. Returns where something else begins, which is
 * before end.
 */
static const uint8_t *
feed_whole_numbers(number_parser_t *parser, const uint8_t *data,
                   const uint8_t *p, const uint8_t *end)
{
    bool           ends;
    size_t         count;
    const uint8_t *next;

    count = parser->count;

    while (count < parser->room && p - data >= WHOLE_NUMBER_BEFORE
           && end - p >= WHOLE_NUMBER_AFTER) {
        next = whole_number(p, &parser->values[count]);
        if (next == NULL) {
            break;
        }

        if (parser->syntax == NUMBER_TEXT) {
            ends = is_separator(*next);
        } else {
            /* JSON has no leading zeros */
            ends = (*next == ',' && p[*p == '-'] != '0');
        }

        if (!ends) {
            break;
        }

        count++;
        p = next + 1;
    }

    parser->count = count;

    return p;
}


static number_status_t
feed_text(number_parser_t *parser, const uint8_t *data, size_t length)
{
    const uint8_t *p, *end;

    p = data;
    end = data + length;

    while (p < end) {
        switch (parser->state) {
        case BETWEEN:
            p = feed_whole_numbers(parser, data, p, end);

            if (is_separator(*p)) {
                p++;
                break;
            }
            p += begin_number(parser, *p, position_of(parser, data, p));
            if (p == end) {
                return NUMBER_OK;
            }
            /* fall through */

        case BEFORE_DIGIT:
            if (!is_digit(*p)) {
                return fail(parser, NUMBER_NOT_INTEGER,
                            position_of(parser, data, p));
            }
            parser->state = IN_DIGITS;
            /* fall through */

        default: /* IN_DIGITS */
            p = scan_digits(parser, p, end);
            if (p == end) {
                return NUMBER_OK;
            }

            if (p == NULL) {
                return fail(parser, NUMBER_OVERFLOW, parser->start);
            }

            if (!is_separator(*p)) {
                return fail(parser, NUMBER_NOT_INTEGER,
                            position_of(parser, data, p));
            }

            if (add_number(parser) != NUMBER_OK) {
                return parser->status;
            }

            parser->state = BETWEEN;
            p++;
        }
    }

    return NUMBER_OK;
}


/* Reads digits of JSON and what ends them, from p on. Returns where to go on,
   or NULL after an error. */
static const uint8_t *
feed_json_number(number_parser_t *parser, const uint8_t *p, const uint8_t *end,
                 uint64_t position)
{
    const uint8_t *next;

    next = p;

    if (parser->state == BEFORE_DIGIT && is_digit(*p)) {
        parser->state = (*p == '0') ? AFTER_ZERO : IN_DIGITS;
        return (*p == '0') ? p + 1 : p;
    }

    if (parser->state == IN_DIGITS) {
        next = scan_digits(parser, p, end);
        if (next == end) {
            return end;
        }

        if (next == NULL) {
            (void) fail(parser, NUMBER_OVERFLOW, parser->start);
            return NULL;
        }
    }

    if (parser->state == BEFORE_DIGIT
        || !(*next == ',' || *next == ']' || is_json_space(*next))) {
        (void) fail(parser, NUMBER_NOT_INTEGER,
                    position + (uint64_t) (next - p));
        return NULL;
    }

    parser->state = AFTER_NUMBER;

    return add_number(parser) == NUMBER_OK ? next : NULL;
}


/* What a byte of JSON means outside of numbers. Returns how many bytes it
   takes, 0 or 1, or -1 after an error. */
static int
feed_json_structure(number_parser_t *parser, uint8_t byte, uint64_t position)
{
    if (is_json_space(byte)) {
        return 1;
    }

    switch (parser->state) {
    case AFTER_BRACKET:
    case AFTER_COMMA:
        if (byte == ']' && parser->state == AFTER_BRACKET) {
            parser->state = AFTER_ARRAY;
            return 1;
        }
        return (int) begin_number(parser, byte, position);

    case BEFORE_ARRAY:
        if (byte == '[') {
            parser->state = AFTER_BRACKET;
            return 1;
        }
        break;

    case AFTER_NUMBER:
        if (byte == ',' || byte == ']') {
            parser->state = (byte == ',') ? AFTER_COMMA : AFTER_ARRAY;
            return 1;
        }
        break;

    default: /* AFTER_ARRAY */
        break;
    }

    (void) fail(parser, NUMBER_NOT_ARRAY, position);

    return -1;
}


static number_status_t
feed_json(number_parser_t *parser, const uint8_t *data, size_t length)
{
    int            taken;
    const uint8_t *p, *end;

    p = data;
    end = data + length;

    while (p < end) {
        switch (parser->state) {
        case BEFORE_DIGIT:
        case IN_DIGITS:
        case AFTER_ZERO:
            p = feed_json_number(parser, p, end, position_of(parser, data, p));
            if (p == NULL) {
                return parser->status;
            }
            break;

        case AFTER_COMMA:
            p = feed_whole_numbers(parser, data, p, end);
            /* fall through */

        default:
            taken
                = feed_json_structure(parser, *p, position_of(parser, data, p));
            if (taken < 0) {
                return parser->status;
            }
            p += taken;
        }
    }

    return NUMBER_OK;
}


/* Decides the syntax if there is a byte that tells. */
static void
detect_syntax(number_parser_t *parser, const uint8_t *data, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (is_json_space(data[i])) {
            continue;
        }

        parser->syntax = (data[i] == '[') ? NUMBER_JSON : NUMBER_TEXT;
        parser->state = (data[i] == '[') ? BEFORE_ARRAY : BETWEEN;
        return;
    }
}


number_status_t
number_parser_feed(number_parser_t *parser, const void *data, size_t length)
{
    if (parser->status != NUMBER_OK) {
        return parser->status;
    }

    if (parser->syntax == NUMBER_DETECT) {
        detect_syntax(parser, data, length);
    }

    if (parser->syntax == NUMBER_TEXT) {
        (void) feed_text(parser, data, length);
    } else if (parser->syntax == NUMBER_JSON) {
        (void) feed_json(parser, data, length);
    }

    parser->offset += length;

    return parser->status;
}


number_status_t
number_parser_finish(number_parser_t *parser)
{
    if (parser->status != NUMBER_OK) {
        return parser->status;
    }

    switch (parser->state) {
    case AT_START:
    case BEFORE_ARRAY:
    case BETWEEN:
    case AFTER_ARRAY:
        break;

    case IN_DIGITS:
        if (parser->syntax == NUMBER_TEXT) {
            if (add_number(parser) != NUMBER_OK) {
                return parser->status;
            }
            parser->state = BETWEEN;
            break;
        }
        return fail(parser, NUMBER_NOT_ARRAY, parser->offset);

    case BEFORE_DIGIT:
        return fail(parser, NUMBER_NOT_INTEGER, parser->offset);

    default:
        return fail(parser, NUMBER_NOT_ARRAY, parser->offset);
    }

    if (parser->count == 0) {
        return fail(parser, NUMBER_EMPTY, parser->offset);
    }

    return NUMBER_OK;
}
