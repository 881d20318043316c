
/*
 * Requests and their sockets: whose work the main thread does after each I/O.
 * Descriptors are numbers here; none is opened.
 */


#include <criterion/criterion.h>

#include "sample/label_set.h"
#include "sample/request_scope.h"
#include "sample/thread_label.h"


enum {
    CLIENT_A = 10,
    CLIENT_B,
    UPSTREAM_A,
    UPSTREAM_B,
    LOG,
    RESOLVER
};

enum {
    NOBODY = LABEL_SET_NONE,
    LABEL_A = 100,
    LABEL_B = 200
};


static void
start(void)
{
    cr_assert_eq(request_scope_prepare(), 0);
    thread_label_start();
    request_scope_accepts(CLIENT_A);
    request_scope_accepts(CLIENT_B);
}


static uint32_t
current(void)
{
    return thread_label_current().set;
}


static uint32_t
after_read(int fd)
{
    request_scope_reads(fd);

    return current();
}


static uint32_t
after_write(int fd)
{
    request_scope_writes(fd);

    return current();
}


static void
enter(uint64_t request, uint32_t labels, int client_fd, int upstream_fd)
{
    const struct nprof_request_sockets sockets = {
        .client_fd = client_fd,
        .upstream_fd = upstream_fd,
    };

    request_scope_enter(request, labels, &sockets);
}


static void
enter_stream(uint64_t request, uint32_t labels, int client_fd)
{
    const struct nprof_request_sockets sockets = {
        .client_fd = client_fd,
        .shared = 1,
        .upstream_fd = REQUEST_NO_FD,
    };

    request_scope_enter(request, labels, &sockets);
}


/* A request of that client, which is worked for. */
static uint64_t
begin(uint32_t labels, int client_fd)
{
    uint64_t request;

    request = request_scope_begin();
    cr_assert_neq(request, REQUEST_SCOPE_NONE);
    enter(request, labels, client_fd, REQUEST_NO_FD);
    cr_assert_eq(current(), labels);

    return request;
}


TestSuite(request_scope, .init = start);


Test(request_scope, io_turns_to_the_owner)
{
    begin(LABEL_A, CLIENT_A);
    begin(LABEL_B, CLIENT_B);

    cr_assert_eq(after_read(CLIENT_A), LABEL_A);
    cr_assert_eq(after_read(CLIENT_B), LABEL_B);
    cr_assert_eq(after_write(CLIENT_A), LABEL_A);

    /* files and what others opened tell nothing */
    cr_assert_eq(after_write(LOG), LABEL_A);
    cr_assert_eq(after_read(LOG), LABEL_A);
    cr_assert_eq(after_read(-1), LABEL_A);
    cr_assert_eq(after_read(INT32_MAX), LABEL_A);

    request_scope_leave();
    cr_assert_eq(current(), NOBODY);
}


Test(request_scope, labels_change_on_the_way)
{
    uint64_t a;

    a = begin(LABEL_A, CLIENT_A);
    enter(a, LABEL_B, CLIENT_A, REQUEST_NO_FD);
    cr_assert_eq(after_read(CLIENT_A), LABEL_B);
}


Test(request_scope, the_end_of_a_request_takes_its_labels)
{
    uint64_t a, next;

    a = begin(LABEL_A, CLIENT_A);
    request_scope_end(a);
    cr_assert_eq(current(), NOBODY);
    cr_assert_eq(after_read(CLIENT_A), NOBODY);

    /* the next one has its number's place, and the connection is not its own */
    next = begin(LABEL_B, CLIENT_B);
    cr_assert_eq((uint32_t) next, (uint32_t) a);
    cr_assert_neq(next, a);
    cr_assert_eq(after_read(CLIENT_A), NOBODY);
    cr_assert_eq(after_read(CLIENT_B), LABEL_B);

    /* what comes late for the first does nothing to the second */
    request_scope_end(a);
    cr_assert_eq(after_read(CLIENT_B), LABEL_B);
    enter(a, LABEL_A, CLIENT_A, REQUEST_NO_FD);
    cr_assert_eq(current(), NOBODY);
}


Test(request_scope, a_new_connection_is_nobodys)
{
    begin(LABEL_A, CLIENT_A);

    request_scope_closes(CLIENT_A);
    request_scope_accepts(CLIENT_A);
    cr_assert_eq(current(), NOBODY);
    cr_assert_eq(after_read(CLIENT_A), NOBODY);
}


Test(request_scope, a_closed_one_tells_nothing)
{
    begin(LABEL_A, CLIENT_A);
    begin(LABEL_B, CLIENT_B);

    request_scope_closes(CLIENT_A);
    cr_assert_eq(after_read(CLIENT_A), LABEL_B);
}


Test(request_scope, upstreams_belong_to_who_connects)
{
    begin(LABEL_A, CLIENT_A);
    request_scope_connects(UPSTREAM_A, true);
    cr_assert_eq(current(), LABEL_A);

    begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_write(UPSTREAM_A), LABEL_A);
    cr_assert_eq(after_read(CLIENT_B), LABEL_B);
    cr_assert_eq(after_read(UPSTREAM_A), LABEL_A);
}


Test(request_scope, the_next_try_has_the_same_number)
{
    begin(LABEL_A, CLIENT_A);
    request_scope_connects(UPSTREAM_A, true);
    request_scope_closes(UPSTREAM_A);
    request_scope_connects(UPSTREAM_A, true);

    begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_read(UPSTREAM_A), LABEL_A);
}


Test(request_scope, kept_upstreams_are_taken)
{
    uint64_t a;

    a = begin(LABEL_A, CLIENT_A);
    request_scope_connects(UPSTREAM_A, true);
    request_scope_end(a);

    /* its end is seen: nobody's work */
    begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_read(UPSTREAM_A), NOBODY);

    cr_assert_eq(after_read(CLIENT_B), LABEL_B);
    cr_assert_eq(after_write(UPSTREAM_A), LABEL_B);
    request_scope_leave();
    cr_assert_eq(after_read(UPSTREAM_A), LABEL_B);
}


/* A has had its answer, which its client is slow to take; B takes the
   connection. */
Test(request_scope, upstreams_are_given_back)
{
    uint64_t a, b;

    a = begin(LABEL_A, CLIENT_A);
    request_scope_connects(UPSTREAM_A, true);
    enter(a, LABEL_A, CLIENT_A, UPSTREAM_A);
    enter(a, LABEL_A, CLIENT_A, REQUEST_NO_FD);

    b = begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_write(UPSTREAM_A), LABEL_B);

    /* A, asked again, does not take it back, nor does its end */
    enter(a, LABEL_A, CLIENT_A, REQUEST_NO_FD);
    request_scope_end(a);
    cr_assert_eq(after_read(UPSTREAM_A), LABEL_B);

    /* what the request says itself is right */
    enter(b, LABEL_B, CLIENT_B, UPSTREAM_B);
    cr_assert_eq(after_read(CLIENT_A), NOBODY);
    cr_assert_eq(after_read(UPSTREAM_B), LABEL_B);
    cr_assert_eq(after_read(UPSTREAM_A), NOBODY);
}


/* What is connected for nobody (after a resolver's answer) is not taken by
   whoever is worked for when it is written to. */
Test(request_scope, connections_for_nobody)
{
    uint64_t b;

    request_scope_leave();
    request_scope_connects(UPSTREAM_A, true);

    b = begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_write(UPSTREAM_A), NOBODY);

    enter(b, LABEL_B, CLIENT_B, UPSTREAM_A);
    request_scope_leave();
    cr_assert_eq(after_write(UPSTREAM_A), LABEL_B);
}


Test(request_scope, datagram_sockets_serve_many)
{
    begin(LABEL_A, CLIENT_A);
    request_scope_connects(RESOLVER, false);
    cr_assert_eq(after_write(RESOLVER), LABEL_A);
    cr_assert_eq(after_read(RESOLVER), NOBODY);
}


Test(request_scope, streams_share_a_connection)
{
    uint64_t a, b;

    a = request_scope_begin();
    b = request_scope_begin();

    enter_stream(a, LABEL_A, CLIENT_A);
    cr_assert_eq(after_write(CLIENT_A), LABEL_A);
    enter_stream(b, LABEL_B, CLIENT_A);
    cr_assert_eq(after_write(CLIENT_A), LABEL_B);
    cr_assert_eq(after_read(CLIENT_A), NOBODY);
    cr_assert_eq(after_write(CLIENT_A), NOBODY);

    /* another connection's request does not write here */
    begin(LABEL_B, CLIENT_B);
    cr_assert_eq(after_write(CLIENT_A), NOBODY);

    enter_stream(a, LABEL_A, CLIENT_A);
    request_scope_end(a);
    cr_assert_eq(after_write(CLIENT_A), NOBODY);
}


/* Any number of requests at once, each with a number of its own; their places
   are used again. */
Test(request_scope, many_requests)
{
    enum {
        MANY = 5000
    };

    uint32_t        i, round, highest;
    static uint64_t requests[MANY];

    highest = 0;

    for (round = 0; round < 3; round++) {
        for (i = 0; i < MANY; i++) {
            requests[i] = request_scope_begin();

            if ((uint32_t) requests[i] > highest) {
                highest = (uint32_t) requests[i];
            }
        }

        for (i = 0; i < MANY; i++) {
            enter(requests[i], i + 1, CLIENT_A, REQUEST_NO_FD);
            cr_assert_eq(current(), i + 1);
            request_scope_end(requests[i]);
            cr_assert_eq(current(), NOBODY);
        }
    }

    cr_assert_eq(highest, MANY);
}


Test(request_scope, samples_have_the_span_of_the_request)
{
    uint32_t                     a;
    uint64_t                     one, two;
    struct nprof_request_sockets sockets = {CLIENT_A, 0, REQUEST_NO_FD};

    start();
    one = request_scope_begin();
    request_scope_span(one, 111);
    request_scope_enter(one, LABEL_A, &sockets);
    cr_assert_eq(thread_label_main_span(), 111);

    a = request_scope_current();
    cr_assert_eq(request_scope_span_of(a), 111);

    two = request_scope_begin();
    sockets.client_fd = CLIENT_B;
    request_scope_enter(two, LABEL_B, &sockets);
    cr_assert_eq(thread_label_main_span(), 0);
    cr_assert_eq(request_scope_span_of(request_scope_current()), 0);

    request_scope_reads(CLIENT_A);
    cr_assert_eq(thread_label_main_span(), 111);

    request_scope_leave();
    cr_assert_eq(thread_label_main_span(), 0);
    cr_assert_eq(request_scope_current(), 0);
    cr_assert_eq(request_scope_span_of(0), 0);

    request_scope_end(one);
    cr_assert_eq(request_scope_span_of(a), 0);

    /* its place is another's now */
    one = request_scope_begin();
    request_scope_span(one, 333);
    cr_assert_eq(request_scope_span_of(a), 0);
}
