/*
 * The parser of numbers: what it takes and refuses, where it says that the
 * error is, and that it makes no difference in which pieces the input comes.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count/number_parse.h"


#define NO_LIMIT ((size_t) 1 << 20)

/* More numbers than any input here has. */
#define MOST 80


typedef struct {
    number_status_t status;
    uint64_t        position;
    size_t          count;
    int64_t         values[MOST];
} outcome_t;


/* Parses the input in pieces of so many bytes, the first one of its own
   length. Each piece is a block of its own, so that a read beyond it shows. */
static outcome_t
parse_pieces(number_syntax_t syntax, const char *input, size_t length,
             size_t first, size_t piece, size_t limit)
{
    char           *copy;
    size_t          at, size;
    outcome_t       outcome;
    number_parser_t parser;

    memset(&outcome, 0, sizeof(outcome));
    number_parser_init(&parser, syntax, limit);

    for (at = 0; at < length; at += size) {
        size = (at == 0 && first != 0) ? first : piece;
        size = size > length - at ? length - at : size;

        copy = malloc(size);
        cr_assert_not_null(copy);
        memcpy(copy, input + at, size);
        (void) number_parser_feed(&parser, copy, size);
        free(copy);
    }

    outcome.status = number_parser_finish(&parser);
    outcome.position = parser.position;
    outcome.count = parser.count;

    if (parser.count != 0 && parser.count <= MOST) {
        memcpy(outcome.values, parser.values, parser.count * sizeof(int64_t));
    }

    number_parser_free(&parser);

    return outcome;
}


/* Parses the input in one piece, and checks that all other ways to cut it in
   two, and to feed it byte by byte, come to the same. */
static outcome_t
parse_bytes(number_syntax_t syntax, const char *input, size_t length,
            size_t limit)
{
    size_t    first;
    outcome_t whole, cut;

    whole = parse_pieces(syntax, input, length, 0, length, limit);

    for (first = 0; first < length; first++) {
        cut = parse_pieces(syntax, input, length, first, first ? length : 1,
                           limit);
        cr_assert_eq(cut.status, whole.status, "\"%s\" cut at %zu: %d", input,
                     first, cut.status);
        cr_assert_eq(cut.position, whole.position, "\"%s\" cut at %zu", input,
                     first);
        cr_assert_eq(cut.count, whole.count);
        cr_assert_arr_eq(cut.values, whole.values, sizeof(whole.values));
    }

    return whole;
}


static outcome_t
parse(number_syntax_t syntax, const char *input)
{
    return parse_bytes(syntax, input, strlen(input), NO_LIMIT);
}


static void
check_numbers(number_syntax_t syntax, const char *input, size_t count, ...)
{
    size_t    i;
    va_list   args;
    outcome_t outcome;

    outcome = parse(syntax, input);
    cr_assert_eq(outcome.status, NUMBER_OK, "\"%s\": status %d at %zu", input,
                 outcome.status, (size_t) outcome.position);
    cr_assert_eq(outcome.count, count, "\"%s\": %zu", input, outcome.count);

    va_start(args, count);
    for (i = 0; i < count; i++) {
        cr_assert_eq(outcome.values[i], va_arg(args, int64_t), "\"%s\"[%zu]",
                     input, i);
    }
    va_end(args);
}


static void
check_error(number_syntax_t syntax, const char *input, number_status_t status,
            uint64_t position)
{
    outcome_t outcome;

    outcome = parse(syntax, input);
    cr_assert_eq(outcome.status, status, "\"%s\": status %d", input,
                 outcome.status);
    cr_assert_eq(outcome.position, position, "\"%s\": position %zu", input,
                 (size_t) outcome.position);
}


Test(count_parse, text_numbers)
{
    check_numbers(NUMBER_TEXT, "7", 1, INT64_C(7));
    check_numbers(NUMBER_TEXT, "-0", 1, INT64_C(0));
    check_numbers(NUMBER_TEXT, "1 2,3\n4\t5\r\n6\v7\f8", 8, INT64_C(1),
                  INT64_C(2), INT64_C(3), INT64_C(4), INT64_C(5), INT64_C(6),
                  INT64_C(7), INT64_C(8));
    check_numbers(NUMBER_TEXT, " ,, 1 ,\n, -2 , ", 2, INT64_C(1), INT64_C(-2));
    check_numbers(NUMBER_TEXT, "007 -0010", 2, INT64_C(7), INT64_C(-10));
    check_numbers(NUMBER_TEXT, "0000000000000000000000000000000042", 1,
                  INT64_C(42));
}


Test(count_parse, numbers_of_every_length)
{
    char     input[64];
    int      digits;
    uint64_t value;

    for (digits = 1, value = 1; digits <= 19; digits++) {
        snprintf(input, sizeof(input), "%llu -%llu", (unsigned long long) value,
                 (unsigned long long) value);
        check_numbers(NUMBER_TEXT, input, 2, (int64_t) value, -(int64_t) value);
        value = value * 10 + (uint64_t) (digits + 1) % 10;
    }
}


Test(count_parse, limits_of_64_bits)
{
    check_numbers(NUMBER_TEXT, "9223372036854775807 -9223372036854775808", 2,
                  INT64_MAX, INT64_MIN);
    check_numbers(NUMBER_JSON, "[9223372036854775807,-9223372036854775808]", 2,
                  INT64_MAX, INT64_MIN);
    check_error(NUMBER_TEXT, "1 9223372036854775808", NUMBER_OVERFLOW, 2);
    check_error(NUMBER_TEXT, "1 -9223372036854775809 2", NUMBER_OVERFLOW, 2);
    check_error(NUMBER_TEXT, "18446744073709551616", NUMBER_OVERFLOW, 0);
    check_error(NUMBER_TEXT, "18446744073709551617 ", NUMBER_OVERFLOW, 0);
    check_error(NUMBER_TEXT, "123456789012345678901234567890", NUMBER_OVERFLOW,
                0);
    check_error(NUMBER_JSON, "[9223372036854775808]", NUMBER_OVERFLOW, 1);
    check_error(NUMBER_JSON, "[1,-99999999999999999999]", NUMBER_OVERFLOW, 3);
}


Test(count_parse, empty)
{
    check_error(NUMBER_TEXT, "", NUMBER_EMPTY, 0);
    check_error(NUMBER_TEXT, " \n,, ", NUMBER_EMPTY, 5);
    check_error(NUMBER_JSON, "", NUMBER_EMPTY, 0);
    check_error(NUMBER_JSON, " ", NUMBER_EMPTY, 1);
    check_error(NUMBER_JSON, "[]", NUMBER_EMPTY, 2);
    check_error(NUMBER_JSON, " [ ] ", NUMBER_EMPTY, 5);
    check_error(NUMBER_DETECT, "", NUMBER_EMPTY, 0);
    check_error(NUMBER_DETECT, "  ", NUMBER_EMPTY, 2);
}


Test(count_parse, text_that_is_no_integer)
{
    check_error(NUMBER_TEXT, "1e3", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "0x10", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "+5", NUMBER_NOT_INTEGER, 0);
    check_error(NUMBER_TEXT, "1 2.0", NUMBER_NOT_INTEGER, 3);
    check_error(NUMBER_TEXT, "-", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "- 1", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "--1", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "1-2", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT, "12345678901x", NUMBER_NOT_INTEGER, 11);
    check_error(NUMBER_TEXT, "[1]", NUMBER_NOT_INTEGER, 0);
    check_error(NUMBER_TEXT, "1;2", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_TEXT,
                "\xef\xbb\xbf"
                "1",
                NUMBER_NOT_INTEGER, 0);
}


Test(count_parse, bytes_next_to_the_digits)
{
    char     input[] = "12345_789";
    unsigned byte;

    for (byte = 1; byte < 256; byte++) {
        if (byte >= '0' && byte <= '9') {
            continue;
        }
        if (strchr(" ,\t\n\v\f\r", (int) byte) != NULL) {
            continue;
        }
        input[5] = (char) byte;
        check_error(NUMBER_TEXT, input, NUMBER_NOT_INTEGER, 5);
    }
}


Test(count_parse, nul_bytes)
{
    outcome_t outcome;

    outcome = parse_bytes(NUMBER_TEXT, "1 2\0 3", 6, NO_LIMIT);
    cr_assert_eq(outcome.status, NUMBER_NOT_INTEGER);
    cr_assert_eq(outcome.position, 3);

    outcome = parse_bytes(NUMBER_JSON, "[1,\0]", 5, NO_LIMIT);
    cr_assert_eq(outcome.status, NUMBER_NOT_INTEGER);
    cr_assert_eq(outcome.position, 3);
}


Test(count_parse, json_numbers)
{
    check_numbers(NUMBER_JSON, "[1]", 1, INT64_C(1));
    check_numbers(NUMBER_JSON, " [ -1 ,\n0\t,\r-0, 1234567890123456789 ] \n", 4,
                  INT64_C(-1), INT64_C(0), INT64_C(0),
                  INT64_C(1234567890123456789));
}


Test(count_parse, json_that_holds_no_integer)
{
    check_error(NUMBER_JSON, "[1.0]", NUMBER_NOT_INTEGER, 2);
    check_error(NUMBER_JSON, "[1e3]", NUMBER_NOT_INTEGER, 2);
    check_error(NUMBER_JSON, "[0x10]", NUMBER_NOT_INTEGER, 2);
    check_error(NUMBER_JSON, "[007]", NUMBER_NOT_INTEGER, 2);
    check_error(NUMBER_JSON, "[-007]", NUMBER_NOT_INTEGER, 3);
    check_error(NUMBER_JSON, "[+1]", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_JSON, "[-]", NUMBER_NOT_INTEGER, 2);
    check_error(NUMBER_JSON, "[1,]", NUMBER_NOT_INTEGER, 3);
    check_error(NUMBER_JSON, "[,1]", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_JSON, "[1,,2]", NUMBER_NOT_INTEGER, 3);
    check_error(NUMBER_JSON, "[1, \"2\"]", NUMBER_NOT_INTEGER, 4);
    check_error(NUMBER_JSON, "[null]", NUMBER_NOT_INTEGER, 1);
    check_error(NUMBER_JSON, "[[1]]", NUMBER_NOT_INTEGER, 1);
}


Test(count_parse, json_that_is_no_array)
{
    check_error(NUMBER_JSON, "1", NUMBER_NOT_ARRAY, 0);
    check_error(NUMBER_JSON, "{}", NUMBER_NOT_ARRAY, 0);
    check_error(NUMBER_JSON, "[1", NUMBER_NOT_ARRAY, 2);
    check_error(NUMBER_JSON, "[1,0", NUMBER_NOT_ARRAY, 4);
    check_error(NUMBER_JSON, "[1,", NUMBER_NOT_ARRAY, 3);
    check_error(NUMBER_JSON, "[", NUMBER_NOT_ARRAY, 1);
    check_error(NUMBER_JSON, "[1 2]", NUMBER_NOT_ARRAY, 3);
    check_error(NUMBER_JSON, "[1] x", NUMBER_NOT_ARRAY, 4);
    check_error(NUMBER_JSON, "[1][2]", NUMBER_NOT_ARRAY, 3);
    check_error(NUMBER_JSON, "[1]]", NUMBER_NOT_ARRAY, 3);
}


Test(count_parse, json_that_is_nested_deep)
{
    size_t    depth;
    char     *input;
    outcome_t outcome;

    depth = 1000000;
    input = malloc(depth);
    cr_assert_not_null(input);
    memset(input, '[', depth);

    outcome = parse_pieces(NUMBER_JSON, input, depth, 0, depth, NO_LIMIT);
    cr_assert_eq(outcome.status, NUMBER_NOT_INTEGER);
    cr_assert_eq(outcome.position, 1);

    free(input);
}


Test(count_parse, detected_syntax)
{
    check_numbers(NUMBER_DETECT, " \n1 2", 2, INT64_C(1), INT64_C(2));
    check_numbers(NUMBER_DETECT, ",1", 1, INT64_C(1));
    check_numbers(NUMBER_DETECT, " \n[1, 2]", 2, INT64_C(1), INT64_C(2));
    check_error(NUMBER_DETECT, " 1 [", NUMBER_NOT_INTEGER, 3);
}


Test(count_parse, one_too_many)
{
    outcome_t outcome;

    outcome = parse_bytes(NUMBER_TEXT, "1 2 3", 5, 3);
    cr_assert_eq(outcome.status, NUMBER_OK);

    outcome = parse_bytes(NUMBER_TEXT, "1 2 3 4", 7, 3);
    cr_assert_eq(outcome.status, NUMBER_TOO_MANY);
    cr_assert_eq(outcome.position, 6);

    outcome = parse_bytes(NUMBER_JSON, "[1,2,3,4]", 9, 3);
    cr_assert_eq(outcome.status, NUMBER_TOO_MANY);
    cr_assert_eq(outcome.position, 7);
}


Test(count_parse, list_stays_within_its_limit)
{
    int             i;
    number_parser_t parser;

    number_parser_init(&parser, NUMBER_TEXT, 1000);
    number_parser_expect(&parser, UINT64_MAX / 2);

    for (i = 0; i < 1000; i++) {
        cr_assert_eq(number_parser_feed(&parser, "1 ", 2), NUMBER_OK);
    }

    cr_assert_eq(parser.capacity, 1000);
    cr_assert_eq(number_parser_feed(&parser, "1 ", 2), NUMBER_TOO_MANY);
    cr_assert_eq(number_parser_feed(&parser, "1 ", 2), NUMBER_TOO_MANY);
    cr_assert_eq(number_parser_finish(&parser), NUMBER_TOO_MANY);

    number_parser_free(&parser);
    number_parser_free(&parser);
}


Test(count_parse, copied_list)
{
    number_parser_t parser;
    int64_t         values[] = {3, 1, 2};

    number_parser_init(&parser, NUMBER_TEXT, 3);
    cr_assert_eq(number_parser_copy(&parser, values, 3), NUMBER_OK);
    cr_assert_eq(parser.count, 3);
    cr_assert_arr_eq(parser.values, values, sizeof(values));
    cr_assert_eq(number_parser_copy(&parser, values, 2), NUMBER_OK);
    cr_assert_eq(parser.count, 2);
    number_parser_free(&parser);

    number_parser_init(&parser, NUMBER_TEXT, 2);
    cr_assert_eq(number_parser_copy(&parser, values, 3), NUMBER_TOO_MANY);
    number_parser_free(&parser);
}


/* A number amid others is read by another way than one at the ends. */
Test(count_parse, amid_others)
{
    static const struct {
        const char     *token;
        number_status_t text;
        number_status_t json;
        unsigned        at;
        int64_t         value;
    } tokens[] = {
        {"0", NUMBER_OK, NUMBER_OK, 0, 0},
        {"-0", NUMBER_OK, NUMBER_OK, 0, 0},
        {"7", NUMBER_OK, NUMBER_OK, 0, 7},
        {"-12345678", NUMBER_OK, NUMBER_OK, 0, -12345678},
        {"123456789", NUMBER_OK, NUMBER_OK, 0, 123456789},
        {"1234567890123456", NUMBER_OK, NUMBER_OK, 0, 1234567890123456},
        {"12345678901234567", NUMBER_OK, NUMBER_OK, 0, 12345678901234567},
        {"9223372036854775807", NUMBER_OK, NUMBER_OK, 0, INT64_MAX},
        {"-9223372036854775807", NUMBER_OK, NUMBER_OK, 0, -INT64_MAX},
        {"-9223372036854775808", NUMBER_OK, NUMBER_OK, 0, INT64_MIN},
        {"9223372036854775808", NUMBER_OVERFLOW, NUMBER_OVERFLOW, 0, 0},
        {"-9223372036854775809", NUMBER_OVERFLOW, NUMBER_OVERFLOW, 0, 0},
        {"9999999999999999999", NUMBER_OVERFLOW, NUMBER_OVERFLOW, 0, 0},
        {"10000000000000000000", NUMBER_OVERFLOW, NUMBER_OVERFLOW, 0, 0},
        {"18446744073709551617", NUMBER_OVERFLOW, NUMBER_OVERFLOW, 0, 0},
        {"123456789012345678901234567890123456", NUMBER_OVERFLOW,
         NUMBER_OVERFLOW, 0, 0},
        {"000000000000000000000000000000000042", NUMBER_OK, NUMBER_NOT_INTEGER,
         1, 42},
        {"01", NUMBER_OK, NUMBER_NOT_INTEGER, 1, 1},
        {"-01", NUMBER_OK, NUMBER_NOT_INTEGER, 2, -1},
        {"-", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 1, 0},
        {"--1", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 1, 0},
        {"1-", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 1, 0},
        {"+1", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 0, 0},
        {"1.5", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 1, 0},
        {"12\xb0", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 2, 0},
        {"12/", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 2, 0},
        {"12:", NUMBER_NOT_INTEGER, NUMBER_NOT_INTEGER, 2, 0},
    };

    static const char before[] = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,";
    static const char after[] = ",-1,-2,-3,-4,-5,-6,-7,-8,-9,-10,-11,-12]";

    char            input[160];
    size_t          i, json, skip;
    outcome_t       outcome;
    number_status_t expected;

    for (i = 0; i < 2 * sizeof(tokens) / sizeof(tokens[0]); i++) {
        json = i % 2;
        skip = 1 - json;
        expected = json ? tokens[i / 2].json : tokens[i / 2].text;

        (void) snprintf(input, sizeof(input), "%s%s%s", before + skip,
                        tokens[i / 2].token, after);
        input[strlen(input) - skip] = '\0';

        outcome = parse(json ? NUMBER_JSON : NUMBER_TEXT, input);
        cr_assert_eq(outcome.status, expected, "\"%s\": %d", input,
                     outcome.status);

        if (expected == NUMBER_OK) {
            cr_assert_eq(outcome.count, 15 + 1 + 12);
            cr_assert_eq(outcome.values[15], tokens[i / 2].value, "\"%s\"",
                         input);
            cr_assert_eq(outcome.values[14], 15);
            cr_assert_eq(outcome.values[16], -1);
            cr_assert_eq(outcome.values[27], -12);
        } else {
            cr_assert_eq(outcome.position,
                         strlen(before) - skip + tokens[i / 2].at, "\"%s\"",
                         input);
        }
    }

    /* one too many amid others */
    (void) snprintf(input, sizeof(input), "%s16%s", before + 1, after);
    outcome = parse_bytes(NUMBER_TEXT, input, strlen(input) - 1, 17);
    cr_assert_eq(outcome.status, NUMBER_TOO_MANY);
    cr_assert_eq(outcome.position, strlen(before) - 1 + strlen("16,-1,"));
}


Test(count_parse, a_list_that_was_given)
{
    size_t          i, capacity;
    int64_t        *values;
    const char     *input;
    number_parser_t parser;

    values = malloc(100 * sizeof(int64_t));
    input = "1 2 3 4";

    /* its room does not widen the limit */
    number_parser_init(&parser, NUMBER_TEXT, 3);
    number_parser_give(&parser, values, 100);
    number_parser_expect(&parser, 1000);
    cr_assert_eq(parser.values, values);
    cr_assert_eq(number_parser_feed(&parser, input, strlen(input)), NUMBER_OK);
    cr_assert_eq(number_parser_finish(&parser), NUMBER_TOO_MANY);
    cr_assert_eq(parser.position, 6);

    /* restarted after an error, it is read into again */
    for (i = 0; i < 2; i++) {
        number_parser_restart(&parser, NUMBER_JSON);
        cr_assert_eq(number_parser_feed(&parser, "[7,8]", 5), NUMBER_OK);
        cr_assert_eq(number_parser_finish(&parser), NUMBER_OK);
        cr_assert_eq(parser.values, values);
        cr_assert_eq(parser.count, 2);
        cr_assert_eq(values[1], 8);
    }

    cr_assert_eq(number_parser_take(&parser, &capacity), values);
    cr_assert_eq(capacity, 100);
    cr_assert_null(parser.values);
    free(values);

    /* one that is too small grows */
    number_parser_init(&parser, NUMBER_TEXT, 10);
    number_parser_give(&parser, malloc(sizeof(int64_t)), 1);
    cr_assert_eq(number_parser_feed(&parser, input, strlen(input)), NUMBER_OK);
    cr_assert_eq(number_parser_finish(&parser), NUMBER_OK);
    cr_assert_eq(parser.count, 4);
    cr_assert_eq(parser.values[3], 4);
    number_parser_free(&parser);
}


/* The same language, the slow and obvious way: NUMBER_TEXT only. */
static outcome_t
reference(const char *input)
{
    char     *end;
    outcome_t outcome;

    memset(&outcome, 0, sizeof(outcome));

    for (;;) {
        input += strspn(input, " ,\t\n\v\f\r");
        if (*input == '\0') {
            outcome.status = outcome.count ? NUMBER_OK : NUMBER_EMPTY;
            return outcome;
        }

        end = (char *) input + (*input == '-');
        if (*end < '0' || *end > '9') {
            outcome.status = NUMBER_NOT_INTEGER;
            return outcome;
        }

        errno = 0;
        outcome.values[outcome.count] = strtoll(input, &end, 10);
        if (errno == ERANGE) {
            outcome.status = NUMBER_OVERFLOW;
            return outcome;
        }

        if (*end != '\0' && strchr(" ,\t\n\v\f\r", *end) == NULL) {
            outcome.status = NUMBER_NOT_INTEGER;
            return outcome;
        }

        outcome.count++;
        input = end;
    }
}


Test(count_parse, agrees_with_strtoll)
{
    static const char alphabet[] = "0123456789012345678901234567899-  ,\nx";

    int       round;
    char      input[141];
    size_t    i, length;
    unsigned  seed;
    outcome_t expected, outcome;

    seed = 1;

    for (round = 0; round < 20000; round++) {
        length = (size_t) rand_r(&seed) % (sizeof(input) - 1);
        for (i = 0; i < length; i++) {
            input[i] = alphabet[(size_t) rand_r(&seed)
                                % (sizeof(alphabet) - 1 - (round % 2))];
        }
        input[length] = '\0';

        expected = reference(input);
        outcome = parse_pieces(NUMBER_TEXT, input, length,
                               (size_t) rand_r(&seed) % (length + 1),
                               1 + (size_t) rand_r(&seed) % 9, NO_LIMIT);

        cr_assert_eq(outcome.status, expected.status, "\"%s\": %d", input,
                     outcome.status);
        cr_assert_eq(outcome.count, expected.count, "\"%s\"", input);
        cr_assert_arr_eq(outcome.values, expected.values,
                         outcome.count * sizeof(int64_t));
    }
}
