
/*
 * A load generator for short bursts: a fixed number of GET requests on
 * connections that exist already, so that a burst costs the server its
 * requests and nothing else. One thread, blocking sockets; TLS by OpenSSL,
 * which trusts whatever certificate it is shown.
 *
 * Usage: burst_client CONNECTIONS URL...
 *
 * Opens that many keep-alive connections for each URL, which is of the form
 * http[s]://ADDRESS:PORT/PATH. Then each line "URL-INDEX REQUESTS" of standard
 * input is a burst; its answer is a line "ok NANOSECONDS P99" once the last
 * response is there: how long it took, and which time 99 of 100 requests did not
 * take longer than. A request is sent on a connection when the response to
 * the one before was read, so the server has work for all connections but one.
 * Whatever is not 200 with a Content-Length ends the program.
 */


#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define CONNECTIONS_MAX 64
#define BUFFER_SIZE 65536


struct connection {
    int  fd;
    SSL *ssl;
};


struct target {
    bool               tls;
    struct sockaddr_in address;
    char               request[512];
    int                request_size;
    struct connection  connections[CONNECTIONS_MAX];
};


__attribute__((format(printf, 1, 2), noreturn)) static void
fail(const char *format, ...)
{
    va_list arguments;

    fputs("error: ", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    puts("");
    exit(EXIT_FAILURE);
}


static int64_t
monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}


static void
target_parse(struct target *target, const char *url)
{
    char           scheme[6], address[64], path[256];
    unsigned short port;

    if (sscanf(url, "%5[a-z]://%63[^:]:%hu%255s", scheme, address, &port, path)
            != 4
        || inet_pton(AF_INET, address, &target->address.sin_addr) != 1) {
        fail("no URL: %s", url);
    }

    target->tls = strcmp(scheme, "https") == 0;
    target->address.sin_family = AF_INET;
    target->address.sin_port = htons(port);
    target->request_size
        = snprintf(target->request, sizeof(target->request),
                   "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
}


static void
connection_open(struct connection *connection, const struct target *target,
                SSL_CTX *context)
{
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connection->fd < 0
        || connect(connection->fd, (const struct sockaddr *) &target->address,
                   sizeof(target->address))
               != 0) {
        fail("connect() failed: %s", strerror(errno));
    }

    (void) setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one,
                      sizeof(one));

    if (!target->tls) {
        return;
    }

    connection->ssl = SSL_new(context);

    if (connection->ssl == NULL
        || SSL_set_fd(connection->ssl, connection->fd) != 1
        || SSL_connect(connection->ssl) != 1) {
        fail("no TLS handshake");
    }
}


static void
request_send(struct connection *connection, const struct target *target)
{
    ssize_t n;

    if (connection->ssl != NULL) {
        n = SSL_write(connection->ssl, target->request, target->request_size);
    } else {
        n = write(connection->fd, target->request,
                  (size_t) target->request_size);
    }

    if (n != target->request_size) {
        fail("a request was not sent");
    }
}


static size_t
bytes_read(struct connection *connection, char *buffer, size_t size)
{
    ssize_t n;

    if (connection->ssl != NULL) {
        n = SSL_read(connection->ssl, buffer, (int) size);
    } else {
        n = read(connection->fd, buffer, size);
    }

    if (n <= 0) {
        fail("the connection was closed");
    }

    return (size_t) n;
}


/* What is left to read of a response whose head is in the buffer. */
static size_t
body_left(const char *buffer, const char *head_end, size_t used)
{
    size_t      length;
    const char *field;

    field = strcasestr(buffer, "\r\nContent-Length:");

    if (strncmp(buffer, "HTTP/1.1 200 ", 13) != 0 || field == NULL
        || field >= head_end) {
        fail("not a 200 with a length: %.*s", (int) strcspn(buffer, "\r\n"),
             buffer);
    }

    length = strtoul(field + 17, NULL, 10);
    used -= (size_t) (head_end - buffer);

    if (used > length) {
        fail("more than was asked for");
    }

    return length - used;
}


static void
response_read(struct connection *connection)
{
    static char buffer[BUFFER_SIZE + 1];
    size_t      used, left;
    const char *head_end;

    used = 0;

    do {
        if (used == BUFFER_SIZE) {
            fail("no end of the head in %d bytes", BUFFER_SIZE);
        }

        used += bytes_read(connection, buffer + used, BUFFER_SIZE - used);
        buffer[used] = '\0';
        head_end = strstr(buffer, "\r\n\r\n");
    } while (head_end == NULL);

    left = body_left(buffer, head_end + 4, used);

    while (left != 0) {
        left -= bytes_read(connection, buffer,
                           left < BUFFER_SIZE ? left : BUFFER_SIZE);
    }
}


/* times gets how long each request took, nanoseconds. */
static void
burst(struct target *target, unsigned n_connections, unsigned long requests,
      int64_t *times)
{
    int64_t            begun[CONNECTIONS_MAX];
    unsigned long      sent, i;
    struct connection *connection;

    for (sent = 0; sent < n_connections && sent < requests; sent++) {
        begun[sent] = monotonic_ns();
        request_send(&target->connections[sent], target);
    }

    for (i = 0; i < requests; i++) {
        connection = &target->connections[i % n_connections];
        response_read(connection);
        times[i] = monotonic_ns() - begun[i % n_connections];

        if (sent < requests) {
            begun[i % n_connections] = monotonic_ns();
            request_send(connection, target);
            sent++;
        }
    }
}


static int
time_compare(const void *one, const void *two)
{
    const int64_t *a = one, *b = two;

    return (*a > *b) - (*a < *b);
}


static void
bursts_run(struct target *targets, unsigned n_targets, unsigned n_connections)
{
    char          line[64];
    int64_t       start, end, *times;
    unsigned      index;
    unsigned long requests;

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "%u %lu", &index, &requests) != 2 || index >= n_targets
            || requests == 0) {
            fail("no burst: %s", line);
        }

        times = malloc(requests * sizeof(times[0]));
        if (times == NULL) {
            fail("out of memory");
        }

        start = monotonic_ns();
        burst(&targets[index], n_connections, requests, times);
        end = monotonic_ns();
        qsort(times, requests, sizeof(times[0]), time_compare);
        printf("ok %lld %lld\n", (long long) (end - start),
               (long long) times[(requests - 1) * 99 / 100]);
        fflush(stdout);
        free(times);
    }
}


int
main(int argc, char **argv)
{
    SSL_CTX       *context;
    unsigned       i, j, n_targets, n_connections;
    struct target *targets;

    n_connections = argc < 3 ? 0 : (unsigned) atoi(argv[1]);

    if (n_connections == 0 || n_connections > CONNECTIONS_MAX) {
        fail("usage: burst_client CONNECTIONS URL...");
    }

    n_targets = (unsigned) argc - 2;
    targets = calloc(n_targets, sizeof(*targets));
    context = SSL_CTX_new(TLS_client_method());

    if (targets == NULL || context == NULL) {
        fail("out of memory");
    }

    for (i = 0; i < n_targets; i++) {
        target_parse(&targets[i], argv[2 + i]);

        for (j = 0; j < n_connections; j++) {
            connection_open(&targets[i].connections[j], &targets[i], context);
        }
    }

    puts("ready");
    fflush(stdout);
    bursts_run(targets, n_targets, n_connections);

    return EXIT_SUCCESS;
}
