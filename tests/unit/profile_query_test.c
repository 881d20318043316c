/*
 * What queries of profiles mean, and which are refused.
 */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "nginx/profile_query.h"


#define S INT64_C(1000000000)
#define NOW (1800000000 * S)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* 64 and 128 bytes. */
#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define X128 X64 X64


static struct profile_query query;


/* From a block of its own, so that a read beyond it is found. */
static const char *
query_read(const char *args, enum profile_query_form form)
{
    char       *copy;
    const char *wrong;

    const struct profile_query_bounds bounds
        = {.form = form, .max_seconds = 300, .now_ns = NOW};

    copy = malloc(strlen(args));
    memcpy(copy, args, strlen(args));
    wrong = profile_query_read(&query, &bounds, copy, strlen(args));
    free(copy);

    return wrong;
}


Test(profile_query, windows)
{
    size_t i;

    static const struct {
        const char *args;
        uint32_t    seconds;
        uint32_t    worker;
        int64_t     from;
        int64_t     to;
    } rows[] = {
        {"", 30, 0, 0, 0},
        {"seconds=5", 5, 0, 0, 0},
        {"seconds=300", 300, 0, 0, 0},
        {"seconds=%35", 5, 0, 0, 0},
        {"a=b&seconds=5&seconds=6", 5, 0, 0, 0},
        /* as Go: the default, and no error */
        {"seconds=", 30, 0, 0, 0},
        {"seconds", 30, 0, 0, 0},
        {"seconds=0", 30, 0, 0, 0},
        {"seconds=-5", 30, 0, 0, 0},
        {"seconds=x", 30, 0, 0, 0},
        {"seconds=1.5", 30, 0, 0, 0},
        {"seconds=%zz", 30, 0, 0, 0},
        {"seconds=99999999999999999999", 30, 0, 0, 0},
        {"Seconds=5&second=5&secondss=5", 30, 0, 0, 0},
        /* there is no "debug" */
        {"debug=1&seconds=5", 5, 0, 0, 0},
        {"worker=12&seconds=5", 5, 12, 0, 0},
        {"worker=2147483647", 30, 2147483647, 0, 0},
        {"last=60s", 0, 0, NOW - 60 * S, NOW},
        {"last=60", 0, 0, NOW - 60 * S, NOW},
        {"last=1h30m", 0, 0, NOW - 5400 * S, NOW},
        {"last=1d", 0, 0, NOW - 86400 * S, NOW},
        {"last=2m5", 0, 0, NOW - 125 * S, NOW},
        {"last=5m&seconds=1000", 0, 0, NOW - 300 * S, NOW},
        {"from=1700000000", 0, 0, 1700000000 * S, NOW},
        {"from=1700000000&to=1700000060", 0, 0, 1700000000 * S, 1700000060 * S},
        {"from=2023-11-14T22:13:20Z", 0, 0, 1700000000 * S, NOW},
        {"from=2023-11-14T22:13:20.75z", 0, 0, 1700000000 * S, NOW},
        {"from=2023-11-14T23:13:20%2B01:00", 0, 0, 1700000000 * S, NOW},
        {"from=2023-11-14T23:13:20+01:00", 0, 0, 1700000000 * S, NOW},
        {"from=2023-11-14T20:43:20-01:30", 0, 0, 1700000000 * S, NOW},
        {"to=2023-11-14T22%3A14%3A20Z&from=1700000000", 0, 0, 1700000000 * S,
         1700000060 * S},
    };

    for (i = 0; i < ROWS(rows); i++) {
        const char *wrong = query_read(rows[i].args, PROFILE_QUERY_WINDOW);

        cr_expect_null(wrong, "%s: %s", rows[i].args, wrong);
        cr_expect_eq(query.seconds, rows[i].seconds, "%s", rows[i].args);
        cr_expect_eq(query.window.worker, rows[i].worker, "%s", rows[i].args);
        cr_expect_eq(query.window.from_ns, rows[i].from, "%s", rows[i].args);
        cr_expect_eq(query.window.to_ns, rows[i].to, "%s", rows[i].args);
        cr_expect(!query.debug && !query.window.whole, "%s", rows[i].args);
        cr_expect_eq(query.window.n_labels, 0, "%s", rows[i].args);
    }
}


/* It is no error to name no seconds, however few are allowed. */
Test(profile_query, default_of_a_window_is_within_the_limit)
{
    const struct profile_query_bounds bounds
        = {.form = PROFILE_QUERY_WINDOW, .max_seconds = 5, .now_ns = NOW};

    cr_assert_null(profile_query_read(&query, &bounds, NULL, 0));
    cr_assert_eq(query.seconds, 5);
    cr_assert_null(profile_query_read(&query, &bounds, "seconds=x", 9));
    cr_assert_eq(query.seconds, 5);
    cr_assert_not_null(profile_query_read(&query, &bounds, "seconds=6", 9));
}


Test(profile_query, totals)
{
    size_t i;

    static const struct {
        const char *args;
        uint32_t    seconds;
        bool        debug;
        bool        whole;
    } rows[] = {
        {"", 0, false, true},
        {"gc=1", 0, false, true},
        {"seconds=", 0, false, true},
        {"seconds=5", 5, false, false},
        {"debug=0", 0, false, true},
        {"debug=", 0, false, true},
        {"debug=x", 0, false, true},
        {"debug=1", 0, true, true},
        {"debug=-1", 0, true, true},
        {"debug=2&seconds=", 0, true, true},
        {"debug=0&seconds=5", 5, false, false},
        {"last=60s", 0, false, false},
        {"last=60s&debug=1", 0, true, false},
        {"worker=7", 0, false, true},
    };

    for (i = 0; i < ROWS(rows); i++) {
        const char *wrong = query_read(rows[i].args, PROFILE_QUERY_TOTAL);

        cr_expect_null(wrong, "%s: %s", rows[i].args, wrong);
        cr_expect_eq(query.seconds, rows[i].seconds, "%s", rows[i].args);
        cr_expect_eq(query.debug, rows[i].debug, "%s", rows[i].args);
        cr_expect_eq(query.window.whole, rows[i].whole, "%s", rows[i].args);
    }
}


/* In both forms. */
static const char *const refused[] = {
    "seconds=301",
    "seconds=99999999999999999",
    "worker=",
    "worker=0",
    "worker=-1",
    "worker=x",
    "worker=2147483648",
    "worker=%",
    "worker=1&last=60s",
    "last=",
    "last=0",
    "last=x",
    "last=-1",
    "last=60x",
    "last=1s1m",
    "last=1m1m",
    "last=2d",
    "last=99999999999999999999",
    "last=60s&from=1",
    "last=60s&to=2000000000",
    "to=1",
    "from=",
    "from=0",
    "from=x",
    "from=2000&to=1000",
    "from=1000&to=1000",
    "from=1000&to=x",
    "from=9000000000",
    "from=9999-12-31T23:59:59Z",
    "from=2023-11-14",
    "from=2023-11-14T22:13:20",
    "from=2023-13-14T22:13:20Z",
    "from=2023-00-14T22:13:20Z",
    "from=2023-11-00T22:13:20Z",
    "from=2023-11-32T22:13:20Z",
    "from=2023-11-14T24:13:20Z",
    "from=2023-11-14T22:60:20Z",
    "from=2023-11-14T22:13:61Z",
    "from=2023-11-14T22:13:20Y",
    "from=2023-11-14T22:13:20ZZ",
    "from=2023-11-14T22:13:20-24:00",
    "from=2023-11-14T22:13:20-01:60",
    "from=2023-11-14T22:13:20-0100",
    "label.=x",
    "label.%00=x",
    "label.a%=x",
    "label.a%2=x",
    "label.a%2g=x",
    "label." X64 "=x",
    "label.a=%00",
    "label.a=%",
    "label.a=" X128,
    "label.a=1&label.a=2",
    "label.a=1&label.%61=1",
    "label.1=&label.2=&label.3=&label.4=&label.5=&label.6=&label.7=&label.8=&"
    "label.9=&label.10=&label.11=&label.12=&label.13=&label.14=&label.15=&"
    "label.16=&label.17=",
};

/* Of totals only. */
static const char *const refused_totals[] = {
    "seconds=0",         "seconds=-1",         "seconds=x",
    "seconds=1.5",       "seconds=%zz",        "seconds=99999999999999999999",
    "seconds=1&debug=1", "seconds=1&debug=-1",
};


Test(profile_query, what_is_refused)
{
    size_t i;

    for (i = 0; i < ROWS(refused); i++) {
        cr_expect_not_null(query_read(refused[i], PROFILE_QUERY_WINDOW), "%s",
                           refused[i]);
        cr_expect_not_null(query_read(refused[i], PROFILE_QUERY_TOTAL), "%s",
                           refused[i]);
    }

    for (i = 0; i < ROWS(refused_totals); i++) {
        cr_expect_not_null(query_read(refused_totals[i], PROFILE_QUERY_TOTAL),
                           "%s", refused_totals[i]);
    }

    /* as long as they may be, and longer in all */
    cr_expect_null(query_read("label.a=" X64 "&label.b=" X64 "&label.c=1",
                              PROFILE_QUERY_TOTAL));
}


static void
label_is(uint32_t i, const char *name, const char *value)
{
    const struct nprof_label_match *label = &query.window.labels[i];

    cr_assert_lt(i, query.window.n_labels);
    cr_expect_eq(label->name.len, strlen(name));
    cr_expect_eq(memcmp(label->name.data, name, strlen(name)), 0, "%s", name);
    cr_expect_eq(label->value.len, strlen(value));
    cr_expect_eq(memcmp(label->value.data, value, strlen(value)), 0, "%s",
                 value);
}


Test(profile_query, labels)
{
    cr_assert_null(query_read("label.version=1.0.0&seconds=5&"
                              "label.trace_endpoint=GET+%2Fcount&"
                              "label.%C3%A4.b=a%3Db=c&label.state=&label.x",
                              PROFILE_QUERY_WINDOW));
    cr_assert_eq(query.seconds, 5);
    cr_assert_eq(query.window.n_labels, 4);
    label_is(0, "version", "1.0.0");
    label_is(1, "trace_endpoint", "GET /count");
    label_is(2, "\xc3\xa4.b", "a=b=c");
    label_is(3, "state", "");

    /* of a window that lies behind, and of all, too */
    cr_assert_null(query_read("last=60s&label.a=b", PROFILE_QUERY_TOTAL));
    cr_assert_eq(query.window.to_ns, NOW);
    label_is(0, "a", "b");
    cr_assert_null(query_read("label.a=b", PROFILE_QUERY_TOTAL));
    cr_assert(query.window.whole);
    label_is(0, "a", "b");
}
