
/*
 * The query of a profile's URL; see profile_query.h.
 */


#include <string.h>
#include <time.h>

#include "profile_query.h"


/* The longest value that any parameter but a label may have, decoded. */
#define VALUE_MAX 63

#define LABEL_PREFIX "label."

/* Times of Unix that are taken for such, seconds: up to the year 2242. */
#define TIME_MAX (INT64_C(1) << 33)

#define NS_PER_SECOND INT64_C(1000000000)


struct piece {
    const char *at;
    const char *end;
};


/* A value, decoded. */
struct value {
    bool   given;
    size_t len;
    char   text[VALUE_MAX + 1];
};


/* All values of parameters that are no labels. */
struct values {
    struct value seconds;
    struct value debug;
    struct value worker;
    struct value last;
    struct value from;
    struct value to;
};


static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* One byte of a piece that is not at its end; -1: none that a text may have. */
static int
byte_decode(struct piece *from)
{
    int high, low, byte = (unsigned char) *from->at++;

    if (byte == '+') {
        return ' ';
    }

    if (byte == '%') {
        if (from->end - from->at < 2) {
            return -1;
        }

        high = hex_digit(from->at[0]);
        low = hex_digit(from->at[1]);
        from->at += 2;
        byte = high < 0 || low < 0 ? -1 : high << 4 | low;
    }

    return byte == 0 ? -1 : byte;
}


/* Decodes a piece into room for max bytes; false if it is none, or longer. */
static bool
piece_decode(struct piece from, char *to, size_t max, size_t *len)
{
    int    byte;
    size_t n;

    for (n = 0; from.at < from.end; n++) {
        byte = byte_decode(&from);

        if (byte < 0 || n == max) {
            return false;
        }

        to[n] = (char) byte;
    }

    *len = n;

    return true;
}


/* Cuts off what is before that character, or all; returns whether it is there.
 */
static bool
piece_cut(struct piece *from, char separator, struct piece *piece)
{
    const char *at;

    at = memchr(from->at, separator, (size_t) (from->end - from->at));

    piece->at = from->at;
    piece->end = at != NULL ? at : from->end;
    from->at = at != NULL ? at + 1 : from->end;

    return at != NULL;
}


static bool
piece_is(struct piece piece, const char *text)
{
    size_t n = strlen(text);

    return (size_t) (piece.end - piece.at) == n
           && memcmp(piece.at, text, n) == 0;
}


/* Digits only, in what an int64_t holds. */
static bool
number_read(const char *text, int64_t *number)
{
    int64_t n = 0;

    if (*text == '\0') {
        return false;
    }

    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || n > (INT64_MAX - 9) / 10) {
            return false;
        }

        n = 10 * n + (*text - '0');
    }

    *number = n;

    return true;
}


/* A time as nginx has it, "60s", "1h30m", or seconds; 0 if it is none. */
static int64_t
duration_read(const char *text)
{
    size_t  unit = 0;
    int64_t n, sum = 0;

    static const struct {
        char    name;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}, {'\0', 1}};

    const size_t n_units = sizeof(units) / sizeof(units[0]);

    while (*text != '\0') {
        if (*text < '0' || *text > '9') {
            return 0;
        }

        for (n = 0; *text >= '0' && *text <= '9'; text++) {
            n = 10 * n + (*text - '0');

            if (n > PROFILE_QUERY_LAST) {
                return 0;
            }
        }

        while (unit < n_units && units[unit].name != *text) {
            unit++;
        }

        if (unit == n_units) {
            return 0;
        }

        sum += n * units[unit].seconds;
        text += units[unit++].name != '\0';
    }

    return sum;
}


/* Digits are there. */
static int
two_digits(const char *text)
{
    return 10 * (text[0] - '0') + (text[1] - '0');
}


/* Whether a text begins like the form, in which 0 is any digit. */
static bool
begins_like(const char *text, const char *form)
{
    for (; *form != '\0'; form++, text++) {
        if (*form == '0' ? *text < '0' || *text > '9' : *text != *form) {
            return false;
        }
    }

    return true;
}


/* Seconds east of UTC at the end of a time; false if that is no zone. */
static bool
zone_read(const char *text, int64_t *seconds)
{
    int hours, minutes;

    *seconds = 0;

    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        return true;
    }

    /* an unescaped plus is a space */
    if (*text == '\0' || strchr("+- ", *text) == NULL
        || !begins_like(text + 1, "00:00") || text[6] != '\0') {
        return false;
    }

    hours = two_digits(text + 1);
    minutes = two_digits(text + 4);
    *seconds = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);

    return hours <= 23 && minutes <= 59;
}


/* Unix seconds of RFC 3339; false if it is none. */
static bool
date_read(const char *text, int64_t *seconds)
{
    int64_t   zone;
    struct tm tm = {0};

    if (!begins_like(text, "0000-00-00T00:00:00")) {
        return false;
    }

    tm.tm_year = 100 * two_digits(text) + two_digits(text + 2) - 1900;
    tm.tm_mon = two_digits(text + 5) - 1;
    tm.tm_mday = two_digits(text + 8);
    tm.tm_hour = two_digits(text + 11);
    tm.tm_min = two_digits(text + 14);
    tm.tm_sec = two_digits(text + 17);

    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31
        || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }

    text += strlen("0000-00-00T00:00:00");

    /* fractions of a second are finer than what is kept */
    if (*text == '.') {
        text += 1 + strspn(text + 1, "0123456789");
    }

    if (!zone_read(text, &zone)) {
        return false;
    }

    *seconds = (int64_t) timegm(&tm) - zone;

    return true;
}


/* Nanoseconds of Unix seconds or RFC 3339; 0: it is neither. */
static int64_t
moment_read(const char *text)
{
    int64_t n;

    if (!number_read(text, &n) && !date_read(text, &n)) {
        return 0;
    }

    return n > 0 && n < TIME_MAX ? n * NS_PER_SECOND : 0;
}


/* As Go does: any number but zero, with or without a sign. */
static bool
debug_read(const char *text)
{
    int64_t n;

    return number_read(text + (*text == '-' || *text == '+'), &n) && n != 0;
}


static const char *
label_add(struct profile_query *query, struct piece name, struct piece value)
{
    uint32_t                  i, n = query->window.n_labels;
    struct nprof_label_match *label;

    if (n == NPROF_MATCHES_MAX) {
        return "too many labels";
    }

    label = &query->labels[n];
    label->name.data = query->texts[n].name;
    label->value.data = query->texts[n].value;

    if (!piece_decode(name, query->texts[n].name, NPROF_LABEL_NAME_MAX,
                      &label->name.len)
        || label->name.len == 0) {
        return "invalid name of a label";
    }

    if (!piece_decode(value, query->texts[n].value, NPROF_LABEL_VALUE_MAX,
                      &label->value.len)) {
        return "invalid value of a label";
    }

    for (i = 0; i < n; i++) {
        if (query->labels[i].name.len == label->name.len
            && memcmp(query->labels[i].name.data, label->name.data,
                      label->name.len)
                   == 0) {
            return "a label is given twice";
        }
    }

    query->window.n_labels++;

    return NULL;
}


/* A value that can't be decoded, or is too long, is one that nobody takes. */
static void
value_set(struct value *value, struct piece from)
{
    if (value->given) {
        return;
    }

    value->given = true;

    if (!piece_decode(from, value->text, VALUE_MAX, &value->len)) {
        value->len = 1;
        value->text[0] = '?';
    }

    value->text[value->len] = '\0';
}


/* Finds the parameters that are known. */
static const char *
parameters_read(struct profile_query *query, struct values *values,
                struct piece args)
{
    size_t       i;
    const char  *wrong;
    struct piece name, value;

    const struct {
        const char   *name;
        struct value *value;
    } known[] = {
        {"seconds", &values->seconds}, {"debug", &values->debug},
        {"worker", &values->worker},   {"last", &values->last},
        {"from", &values->from},       {"to", &values->to},
    };

    const size_t prefix = strlen(LABEL_PREFIX);

    while (args.at < args.end) {
        (void) piece_cut(&args, '&', &value);

        if (!piece_cut(&value, '=', &name)) {
            continue;
        }

        if ((size_t) (name.end - name.at) >= prefix
            && memcmp(name.at, LABEL_PREFIX, prefix) == 0) {
            name.at += prefix;
            wrong = label_add(query, name, value);
            if (wrong != NULL) {
                return wrong;
            }
        }

        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (piece_is(name, known[i].name)) {
                value_set(known[i].value, value);
            }
        }
    }

    return NULL;
}


static const char *
past_read(struct profile_query *query, const struct values *values,
          int64_t now_ns)
{
    int64_t              seconds;
    struct nprof_window *window = &query->window;

    window->to_ns = now_ns;

    if (values->last.given) {
        if (values->from.given || values->to.given) {
            return "\"last\" is incompatible with \"from\" and \"to\"";
        }

        seconds = duration_read(values->last.text);

        if (seconds <= 0 || seconds > PROFILE_QUERY_LAST) {
            return "invalid value for \"last\" - must be a time as 60s or 5m";
        }

        window->from_ns = now_ns - seconds * NS_PER_SECOND;

        return NULL;
    }

    window->from_ns = moment_read(values->from.text);

    if (values->to.given) {
        window->to_ns = moment_read(values->to.text);
    }

    if (window->from_ns == 0 || window->to_ns == 0) {
        return "invalid time - must be Unix seconds or as "
               "2026-01-31T12:00:00Z";
    }

    return window->from_ns < window->to_ns ? NULL
                                           : "\"from\" is not before \"to\"";
}


/* All of the window but its length where it begins now. */
static const char *
window_read(struct profile_query *query, const struct values *values,
            int64_t now_ns)
{
    int64_t worker;

    if (values->worker.given) {
        if (!number_read(values->worker.text, &worker) || worker == 0
            || worker > INT32_MAX) {
            return "invalid value for \"worker\" - must be a pid";
        }

        query->window.worker = (uint32_t) worker;
    }

    if (!values->last.given && !values->from.given) {
        return values->to.given ? "\"to\" needs \"from\"" : NULL;
    }

    return query->window.worker != 0
               ? "\"worker\" is for windows that begin now"
               : past_read(query, values, now_ns);
}


/* How long it is; 0: not said, and -1: said as what is no positive number. */
static int64_t
seconds_read(const struct value *value)
{
    int64_t seconds;

    if (value->len == 0) {
        return 0;
    }

    return number_read(value->text, &seconds) && seconds > 0 ? seconds : -1;
}


static const char *
length_read(struct profile_query *query, const struct values *values,
            const struct profile_query_bounds *bounds)
{
    int64_t seconds = seconds_read(&values->seconds);

    if (bounds->form == PROFILE_QUERY_WINDOW) {
        /* as Go does, which knows no limit */
        seconds = seconds > 0 ? seconds
                  : bounds->max_seconds < PROFILE_QUERY_SECONDS
                      ? bounds->max_seconds
                      : PROFILE_QUERY_SECONDS;

    } else if (seconds < 0) {
        return "invalid value for \"seconds\" - must be a positive integer";

    } else {
        query->debug = debug_read(values->debug.text);
    }

    if (query->debug && seconds != 0) {
        return "seconds and debug params are incompatible";
    }

    if (query->window.to_ns != 0) {
        return NULL;
    }

    if (seconds > bounds->max_seconds) {
        return "seconds is larger than profiler_max_seconds";
    }

    query->seconds = (uint32_t) seconds;
    query->window.whole = seconds == 0;

    return NULL;
}


const char *
profile_query_read(struct profile_query              *query,
                   const struct profile_query_bounds *bounds, const char *args,
                   size_t len)
{
    const char   *wrong;
    struct values values = {0};
    struct piece  all = {args, len != 0 ? args + len : args};

    memset(query, 0, sizeof(*query));
    query->window.labels = query->labels;

    wrong = parameters_read(query, &values, all);

    if (wrong == NULL) {
        wrong = window_read(query, &values, bounds->now_ns);
    }

    return wrong != NULL ? wrong : length_read(query, &values, bounds);
}
