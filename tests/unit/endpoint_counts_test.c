
/*
 * Requests of endpoints, counted by several processes.
 */


#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "export/profile_version.h"
#include "nprof.h"
#include "trace/endpoint_counts.h"


/* Places of endpoints of their own. */
#define OWN (ENDPOINTS_MAX - PROFILE_VERSIONS_MAX)


static struct upload_endpoint taken[ENDPOINTS_MAX];


static uint32_t
set_of(const char *endpoint, const char *version)
{
    uint32_t set;

    set = label_set_with(
        0,
        (struct label_text){NPROF_TRACE_ENDPOINT, strlen(NPROF_TRACE_ENDPOINT)},
        (struct label_text){endpoint, strlen(endpoint)}, false);

    return label_set_with(set, (struct label_text){"version", 7},
                          (struct label_text){version, strlen(version)}, false);
}


static uint64_t
requests_of(uint32_t n, const char *endpoint, const char *version)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(taken[i].endpoint, endpoint) == 0
            && strcmp(taken[i].version, version) == 0) {
            return taken[i].requests;
        }
    }

    return 0;
}


/* Without the master's call nothing is counted, and nothing fails. */
Test(endpoint_counts, not_prepared)
{
    endpoint_count(1, "");
    cr_assert_eq(endpoint_counts_take(taken), 0);
}


Test(endpoint_counts, all_processes_and_nothing_twice)
{
    int      i, worker;
    uint32_t n;

    endpoint_counts_prepare();

    for (worker = 0; worker < 4; worker++) {
        if (fork() == 0) {
            for (i = 0; i < 1000; i++) {
                endpoint_count(set_of("GET /a", "1"), "7");
                endpoint_count(set_of("GET /b", ""), "7");
            }
            _exit(0);
        }
    }

    while (wait(NULL) > 0) {
        /* void */
    }

    n = endpoint_counts_take(taken);
    cr_assert_eq(n, 2);
    cr_assert_eq(requests_of(n, "GET /a", "1"), 4000);
    cr_assert_eq(requests_of(n, "GET /b", "7"), 4000);
    cr_assert_eq(endpoint_counts_take(taken), 0);

    endpoint_count(set_of("GET /a", "1"), "7");
    endpoint_count(0, "7");
    n = endpoint_counts_take(taken);
    cr_assert_eq(n, 2);
    cr_assert_eq(requests_of(n, "GET /a", "1"), 1);
    cr_assert_eq(requests_of(n, ENDPOINT_OTHER, "7"), 1);
}


Test(endpoint_counts, what_is_discarded_is_not_taken)
{
    uint32_t n;

    endpoint_counts_discard();
    endpoint_counts_prepare();
    endpoint_count(set_of("GET /a", "1"), "");
    endpoint_count(set_of("GET /b", "1"), "");
    endpoint_counts_discard();
    endpoint_count(set_of("GET /a", "1"), "");

    n = endpoint_counts_take(taken);
    cr_assert_eq(n, 1);
    cr_assert_eq(requests_of(n, "GET /a", "1"), 1);
}


Test(endpoint_counts, endpoints_without_end)
{
    char     name[32];
    int      i;
    uint32_t n, endpoints;
    uint64_t sum, others;

    endpoint_counts_prepare();
    endpoint_counts_state(&endpoints, &others);
    cr_assert_eq(endpoints + others, 0);

    for (i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "GET /%d", i);
        endpoint_count(set_of(name, ""), "");
    }

    n = endpoint_counts_take(taken);
    cr_assert_eq(n, OWN + 1);
    cr_assert_eq(requests_of(n, "GET /0", ""), 1);
    cr_assert_eq(requests_of(n, ENDPOINT_OTHER, ""), 1500 - OWN);

    endpoint_counts_state(&endpoints, &others);
    cr_assert_eq(endpoints, OWN);
    cr_assert_eq(others, 1500 - OWN);

    sum = 0;

    while (n > 0) {
        sum += taken[--n].requests;
    }

    cr_assert_eq(sum, 1500);
}


/* What finds no room is still of its version, and so in its profile; versions
   without end share a place. */
Test(endpoint_counts, others_have_a_version)
{
    char     name[32];
    int      i;
    uint32_t n;
    uint64_t sum;

    endpoint_counts_prepare();

    for (i = 0; i < OWN; i++) {
        snprintf(name, sizeof(name), "GET /%d", i);
        endpoint_count(set_of(name, ""), "");
    }

    endpoint_count(set_of("GET /more", "1.0.0"), "");
    endpoint_count(set_of("GET /and/more", "1.0.0"), "");
    endpoint_count(set_of("GET /more", "2.0.0"), "");
    endpoint_count(set_of("GET /more", ""), "own");

    n = endpoint_counts_take(taken);
    cr_assert_eq(n, OWN + 3);
    cr_assert_eq(requests_of(n, ENDPOINT_OTHER, "1.0.0"), 2);
    cr_assert_eq(requests_of(n, ENDPOINT_OTHER, "2.0.0"), 1);
    cr_assert_eq(requests_of(n, ENDPOINT_OTHER, "own"), 1);

    for (i = 0; i < 2 * PROFILE_VERSIONS_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        endpoint_count(set_of("GET /more", name), "");
    }

    n = endpoint_counts_take(taken);
    cr_assert_eq(n, PROFILE_VERSIONS_MAX - 3);

    for (sum = 0; n > 0;) {
        sum += taken[--n].requests;
    }

    cr_assert_eq(sum, 2 * PROFILE_VERSIONS_MAX);
}
