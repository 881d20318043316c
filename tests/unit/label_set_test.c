
/*
 * Label sets: what is the same set, what takes a label's place, and that room
 * is bounded. Each test has a process of its own.
 */


#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "sample/label_set.h"


#define THREADS 4
#define VALUES 300


static struct label_text
text(const char *data)
{
    return (struct label_text){data, strlen(data)};
}


static uint32_t
with(uint32_t set, const char *name, const char *value)
{
    return label_set_with(set, text(name), text(value), false);
}


/* The set as "name=value name=value", the label that came last first. */
static const char *
shown(uint32_t set)
{
    size_t              used;
    const struct label *label;
    static char         line[512];

    used = 0;
    line[0] = '\0';

    for (label = label_set_first(set); label != NULL;
         label = label_set_first(label->rest)) {
        used += (size_t) snprintf(line + used, sizeof(line) - used, "%s%s=%s",
                                  used == 0 ? "" : " ", label->name,
                                  label->value);
    }

    return line;
}


static struct label_counters
counted(void)
{
    struct label_counters counters;

    label_set_count(&counters);

    return counters;
}


Test(label_set, the_same_labels_are_the_same_set)
{
    uint32_t server, a, b;

    cr_assert_null(label_set_first(LABEL_SET_NONE));
    cr_assert_str_eq(shown(LABEL_SET_NONE), "");

    server = with(LABEL_SET_NONE, "server", "s");
    a = with(server, "location", "/a");
    b = with(server, "location", "/b");

    cr_assert_str_eq(shown(a), "location=/a server=s");
    cr_assert_str_eq(shown(b), "location=/b server=s");
    cr_assert_eq(with(with(LABEL_SET_NONE, "server", "s"), "location", "/a"),
                 a);
    cr_assert_eq(counted().sets, 3);
    cr_assert_eq(counted().dropped, 0);
}


Test(label_set, texts_do_not_run_into_each_other)
{
    cr_assert_neq(with(LABEL_SET_NONE, "ab", "c"),
                  with(LABEL_SET_NONE, "a", "bc"));
    cr_assert_neq(with(LABEL_SET_NONE, "a", "b"),
                  with(LABEL_SET_NONE, "a", "bc"));
    cr_assert_neq(with(with(LABEL_SET_NONE, "a", "1"), "b", "2"),
                  with(with(LABEL_SET_NONE, "a", "2"), "b", "1"));
}


Test(label_set, a_value_takes_the_place_of_the_former)
{
    uint32_t abc;

    abc = with(with(with(LABEL_SET_NONE, "a", "1"), "b", "2"), "c", "3");

    cr_assert_str_eq(shown(with(abc, "c", "x")), "c=x b=2 a=1");
    cr_assert_str_eq(shown(with(abc, "a", "x")), "a=x c=3 b=2");
    cr_assert_eq(with(abc, "b", "2"), abc);
}


Test(label_set, what_is_no_label_changes_nothing)
{
    char     name[NPROF_LABEL_NAME_MAX + 2];
    uint32_t set;

    set = with(LABEL_SET_NONE, "a", "1");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    cr_assert_eq(with(set, "", "1"), set);
    cr_assert_eq(with(set, "b", ""), set);
    cr_assert_eq(with(set, name, "1"), set);
    cr_assert_eq(
        label_set_with(set, (struct label_text){"x\0y", 3}, text("1"), false),
        set);
    cr_assert_eq(
        label_set_with(set, text("b"), (struct label_text){"\0y", 2}, false),
        set);
    cr_assert_str_eq(shown(with(12345678, "a", "1")), "a=1");
}


Test(label_set, long_values_are_cut_between_characters)
{
    char                value[NPROF_LABEL_VALUE_MAX + 100];
    const struct label *label;

    memset(value, 'v', sizeof(value));
    memcpy(value + NPROF_LABEL_VALUE_MAX - 1, "\xc3\xa4", 2);

    label = label_set_first(
        label_set_with(LABEL_SET_NONE, text("a"),
                       (struct label_text){value, sizeof(value)}, true));

    cr_assert_eq(strlen(label->value), NPROF_LABEL_VALUE_MAX - 1);
}


/* Values of requests fill their share only, and what is theirs in turn counts
   as such; the others' room is kept. */
Test(label_set, room_is_bounded)
{
    char     value[32];
    uint32_t server, set, last, i;

    server = with(LABEL_SET_NONE, "server", "s");
    last = LABEL_SET_NONE;

    for (i = 0; i < 2 * LABEL_SETS; i++) {
        snprintf(value, sizeof(value), "%u", i);
        set = label_set_with(server, text("id"), text(value), true);

        if (i == 0) {
            last = set;
        }
    }

    cr_assert_eq(set, server);
    cr_assert_eq(counted().sets, LABEL_SETS_OF_REQUESTS - 1);
    cr_assert_eq(counted().dropped,
                 2 * LABEL_SETS - (LABEL_SETS_OF_REQUESTS - 2));
    cr_assert_str_eq(shown(last), "id=0 server=s");
    cr_assert_eq(with(last, "version", "1"), last);

    for (i = 0; i < LABEL_SETS; i++) {
        snprintf(value, sizeof(value), "/%u", i);
        set = with(server, "location", value);

        if (i == 0) {
            cr_assert_str_eq(shown(set), "location=/0 server=s");
        }
    }

    cr_assert_eq(set, server);
    cr_assert_eq(counted().sets, LABEL_SETS - 1);
    cr_assert_eq(label_set_with(server, text("id"), text("0"), true),
                 label_set_with(server, text("id"), text("0"), false));
}


/* The same of long values, which run out of bytes before they run out of sets. */
Test(label_set, room_for_texts_is_kept_from_requests)
{
    char     value[NPROF_LABEL_VALUE_MAX + 1], name[NPROF_LABEL_NAME_MAX + 1];
    uint32_t set, i;

    set = LABEL_SET_NONE;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    for (i = 0; i < LABEL_SETS; i++) {
        snprintf(value, sizeof(value), "%0127u", i);
        set = label_set_with(LABEL_SET_NONE, text(name), text(value), true);
    }

    cr_assert_eq(set, LABEL_SET_NONE);

    for (i = 0; i < 500; i++) {
        snprintf(value, sizeof(value), "/%0126u", i);
        cr_assert_neq(with(LABEL_SET_NONE, "location", value), LABEL_SET_NONE);
    }
}


Test(label_set, depth_is_bounded)
{
    char     name[8];
    uint32_t set, i;

    set = LABEL_SET_NONE;

    for (i = 0; i < LABELS_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        set = with(set, name, "v");
    }

    cr_assert_eq(with(set, "more", "v"), set);
    cr_assert_neq(with(set, "n0", "w"), set);
}


static void *
make_sets(void *data)
{
    char      value[32];
    uint32_t  i;
    uint32_t *sets = data;

    for (i = 0; i < VALUES; i++) {
        snprintf(value, sizeof(value), "%u", i);
        sets[i] = with(with(LABEL_SET_NONE, "a", value), "b", value);
    }

    return NULL;
}


Test(label_set, threads_make_the_same_sets)
{
    char            line[64];
    uint32_t        i, t;
    pthread_t       threads[THREADS];
    static uint32_t sets[THREADS][VALUES];

    for (t = 0; t < THREADS; t++) {
        cr_assert_eq(pthread_create(&threads[t], NULL, make_sets, sets[t]), 0);
    }

    for (t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }

    for (i = 0; i < VALUES; i++) {
        snprintf(line, sizeof(line), "b=%u a=%u", i, i);
        cr_assert_str_eq(shown(sets[0][i]), line);

        for (t = 1; t < THREADS; t++) {
            cr_assert_eq(sets[t][i], sets[0][i]);
        }
    }
}
