
/*
 * Whose work the event loop does: the requests that are alive, the sockets that
 * are theirs, and the one that is worked for now.
 *
 * Nobody tells when a server's loop turns from one request to another, but
 * nearly all that it does for one begins with I/O on a socket of it. So each
 * socket has an owner, and I/O on it (io_hook.h) makes its owner's labels the
 * main thread's. The server says when a request begins, ends, changes its
 * labels or is worked for; the loop's wait (loop_hook.h) ends the work for any.
 *
 * A scope is a request. Its number is used again after its end, with another
 * generation, so what still refers to the old one is known to be nobody's: no
 * sample has the labels of a request that ended.
 *
 * Main thread only; nothing here is for signal handlers. Memory: 8 bytes per
 * descriptor in use, 24 per request that is alive.
 */


#ifndef NPROF_REQUEST_SCOPE_H
#define NPROF_REQUEST_SCOPE_H


#include <stdbool.h>
#include <stdint.h>

#include "../nprof.h"


/* No request. */
#define REQUEST_SCOPE_NONE 0u

/* No descriptor. */
#define REQUEST_NO_FD (-1)


/*
 * Makes the tables, once for the process, with room for all descriptors that it
 * may open, a million at most: sockets beyond have no owner. Returns 0 or
 * -errno.
 */
int request_scope_prepare(void);


/* A request begins: its scope, without labels; REQUEST_SCOPE_NONE if there are
   too many. */
uint64_t request_scope_begin(void);

/*
 * The loop works for the request now, which has these labels from now on. The
 * sockets are its own; one to an upstream that it had before and has not any
 * more is nobody's.
 */
void request_scope_enter(uint64_t scope, uint32_t set,
                         const struct nprof_request_sockets *sockets);

/* Its samples have that span from now on. */
void request_scope_span(uint64_t scope, uint64_t span_id);

/*
 * The request that is worked for, in 32 bits, for other threads that work for it,
 * too; 0 if there is none. It is another's after some thousand requests: let no
 * thread keep it for longer than it works.
 */
uint32_t request_scope_current(void);

/* The span of that request; 0 if it ended, or has none. Any thread. */
uint64_t request_scope_span_of(uint32_t request);

/* It ends. */
void request_scope_end(uint64_t scope);

/* The loop works for no request. */
void request_scope_leave(void);


/* I/O that begins, on any descriptor: reading or the like ... */
void request_scope_reads(int fd);

/*
 * ... and writing, or a look at whether that can begin. What is written to a
 * shared connection is the work of the request that is worked for, if it is one
 * of the connection's. An idle connection to an upstream that is written to is
 * taken by the request that is worked for.
 */
void request_scope_writes(int fd);

/* A connection was accepted: no request's yet. */
void request_scope_accepts(int fd);

/* The descriptor is being connected. A stream belongs to the request that is
   worked for; a datagram socket (a resolver's) serves many, and is nobody's. */
void request_scope_connects(int fd, bool stream);

void request_scope_closes(int fd);


#endif /* NPROF_REQUEST_SCOPE_H */
