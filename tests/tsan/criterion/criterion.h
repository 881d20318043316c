/*
 * Criterion's macros, as far as tests/unit uses them, for ThreadSanitizer:
 * Criterion's own processes want memory at addresses that its run-time takes
 * for itself. Each test runs in a fork of the one program, and a report in it
 * is a failure.
 */

#ifndef TESTS_TSAN_CRITERION_H
#define TESTS_TSAN_CRITERION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


#define UNIT_TIMEOUT 60

/* What is waited for takes so many times as long under the run-time. */
#define UNIT_SLOWDOWN 10


struct unit_options {
    void (*init)(void);
    void (*fini)(void);

    /* Seconds. */
    unsigned timeout;
};

struct unit_test {
    const char *suite;
    const char *name;
    void (*body)(void);
    struct unit_options options;
    struct unit_test   *next;
};


/* Suites have no body. */
static struct unit_test *unit_tests;
static struct unit_test *unit_suites;

/* Of the test that runs. */
static bool unit_failed;


#define UNIT_REGISTER(id, list, ...)                  \
    __attribute__((constructor)) static void id(void) \
    {                                                 \
        static struct unit_test test = {__VA_ARGS__}; \
                                                      \
        test.next = list;                             \
        list = &test;                                 \
    }

#define TestSuite(suite_, ...)                                  \
    UNIT_REGISTER(unit_##suite_, unit_suites, .suite = #suite_, \
                  .options = {__VA_ARGS__})                     \
    struct unit_test

#define Test(suite_, name_, ...)                                         \
    static void suite_##_##name_##_test(void);                           \
    UNIT_REGISTER(unit_##suite_##_##name_, unit_tests, .suite = #suite_, \
                  .name = #name_, .body = suite_##_##name_##_test,       \
                  .options = {__VA_ARGS__})                              \
    static void suite_##_##name_##_test(void)


__attribute__((format(printf, 5, 6))) static inline void
unit_check(bool good, bool fatal, const char *place, const char *what,
           const char *format, ...)
{
    va_list arguments;

    if (good) {
        return;
    }

    fprintf(stderr, "%s: %s: ", place, what);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    unit_failed = true;

    if (fatal) {
        exit(1);
    }
}


#define UNIT_STRING(line) #line
#define UNIT_LINE(line) UNIT_STRING(line)

#define UNIT_CHECK(good, fatal, ...)                                 \
    unit_check(good, fatal, __FILE__ ":" UNIT_LINE(__LINE__), #good, \
               " " __VA_ARGS__)

#define cr_assert(a, ...) UNIT_CHECK(a, true, __VA_ARGS__)
#define cr_assert_not(a, ...) UNIT_CHECK(!(a), true, __VA_ARGS__)
#define cr_assert_null(a, ...) UNIT_CHECK((a) == NULL, true, __VA_ARGS__)
#define cr_assert_not_null(a, ...) UNIT_CHECK((a) != NULL, true, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) UNIT_CHECK((a) == (b), true, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) UNIT_CHECK((a) != (b), true, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) UNIT_CHECK((a) < (b), true, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) UNIT_CHECK((a) > (b), true, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) UNIT_CHECK((a) <= (b), true, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) UNIT_CHECK((a) >= (b), true, __VA_ARGS__)

#define cr_assert_str_eq(a, b, ...) \
    UNIT_CHECK(strcmp(a, b) == 0, true, __VA_ARGS__)
#define cr_assert_fail(...) UNIT_CHECK(false, true, __VA_ARGS__)

#define cr_expect(a, ...) UNIT_CHECK(a, false, __VA_ARGS__)
#define cr_expect_not(a, ...) UNIT_CHECK(!(a), false, __VA_ARGS__)
#define cr_expect_null(a, ...) UNIT_CHECK((a) == NULL, false, __VA_ARGS__)
#define cr_expect_not_null(a, ...) UNIT_CHECK((a) != NULL, false, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) UNIT_CHECK((a) == (b), false, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) UNIT_CHECK((a) < (b), false, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) UNIT_CHECK((a) > (b), false, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) UNIT_CHECK((a) <= (b), false, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) UNIT_CHECK((a) >= (b), false, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) \
    UNIT_CHECK(strcmp(a, b) == 0, false, __VA_ARGS__)


/* The test's own option, else its suite's. */
static void
unit_run(const struct unit_test *test)
{
    const struct unit_test *suite;
    struct unit_options     options = test->options;

    for (suite = unit_suites; suite != NULL; suite = suite->next) {
        if (strcmp(suite->suite, test->suite) != 0) {
            continue;
        }

        if (options.init == NULL) {
            options.init = suite->options.init;
        }
        if (options.fini == NULL) {
            options.fini = suite->options.fini;
        }
        if (options.timeout == 0) {
            options.timeout = suite->options.timeout;
        }
    }

    alarm(UNIT_SLOWDOWN
          * (options.timeout == 0 ? UNIT_TIMEOUT : options.timeout));

    if (options.init != NULL) {
        options.init();
    }

    test->body();

    if (options.fini != NULL) {
        options.fini();
    }
}


/* Ends with Criterion's closing line. */
int
main(void)
{
    int                     status;
    pid_t                   pid;
    unsigned                tested = 0, failing = 0, crashing = 0;
    const struct unit_test *test;

    for (test = unit_tests; test != NULL; test = test->next) {
        tested++;
        pid = fork();

        if (pid == 0) {
            unit_run(test);
            exit(unit_failed);
        }

        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
            failing += WIFEXITED(status);
            crashing += !WIFEXITED(status);
        }
    }

    fprintf(stderr,
            "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | "
            "Crashing: %u\n",
            tested, tested - failing - crashing, failing, crashing);

    return tested == 0 || failing + crashing != 0;
}


#endif /* TESTS_TSAN_CRITERION_H */
