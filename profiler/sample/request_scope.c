
/*
 * Requests and their sockets; see request_scope.h.
 */


#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../lazy_pages.h"
#include "label_set.h"
#include "request_scope.h"
#include "thread_label.h"


/* Descriptors and requests at most; tables are mapped, so what is never used
   takes no memory. */
#define FDS_MAX (1u << 20)
#define SCOPES_MAX (1u << 20)

/* In 32 bits: the index, and the lowest bits of the generation. */
#define CURRENT_INDEX_BITS 20
#define CURRENT_GENERATION_MASK 0xfffu


enum fd_kind {
    /* None of ours: a file, a socket that others made. */
    FD_OTHER = 0,

    /* To a client, or made for nobody that is known. */
    FD_CONNECTION,

    /* To an upstream, made for a request. */
    FD_UPSTREAM,

    /* To a client that has several requests at once. */
    FD_SHARED,

    /* A datagram socket. */
    FD_DATAGRAM
};


/* Scope and generation; all zero: no scope. */
struct scope_ref {
    uint32_t index;
    uint32_t generation;
};


struct fd_owner {
    uint32_t generation;
    uint32_t index : 28;
    uint32_t kind : 4;
};


struct request_scope {
    /* Odd while the request is alive. Other threads load it. */
    _Atomic uint32_t generation;

    uint32_t set;
    int      client_fd;

    /* Or, of a free one, the next that is free. */
    union {
        int      upstream_fd;
        uint32_t next_free;
    };

    /* 0 if it is not traced. Other threads load it. */
    _Atomic uint64_t span;
};


static struct {
    struct fd_owner *fds;
    uint32_t         n_fds;

    /* [0] is no scope: its generation stays 0. */
    struct request_scope *scopes;
    uint32_t              n_scopes;
    uint32_t              first_free;

    /* The request that is worked for. */
    struct scope_ref current;
} requests;


int
request_scope_prepare(void)
{
    uint32_t              n_fds;
    struct rlimit         limit;
    struct fd_owner      *fds;
    struct request_scope *scopes;

    request_scope_leave();

    if (requests.scopes != NULL) {
        return 0;
    }

    n_fds = FDS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FDS_MAX) {
        n_fds = (uint32_t) limit.rlim_cur;
    }

    fds = lazy_pages_map(n_fds * sizeof(*fds));
    if (fds == NULL) {
        return -errno;
    }

    scopes = lazy_pages_map(SCOPES_MAX * sizeof(*scopes));
    if (scopes == NULL) {
        munmap(fds, n_fds * sizeof(*fds));
        return -ENOMEM;
    }

    requests.fds = fds;
    requests.n_fds = n_fds;
    requests.scopes = scopes;
    requests.n_scopes = 1;

    return 0;
}


static struct scope_ref
ref_of(uint64_t scope)
{
    return (struct scope_ref){(uint32_t) scope, (uint32_t) (scope >> 32)};
}


/* The scope, or NULL if there is none or it ended. */
static inline struct request_scope *
scope_of(struct scope_ref ref)
{
    struct request_scope *scope;

    scope = &requests.scopes[ref.index];

    return ref.index != 0 && scope->generation == ref.generation ? scope : NULL;
}


/* Works for the scope from now on, or for nobody. */
static inline void
turn_to(struct scope_ref ref)
{
    struct request_scope *scope;

    scope = scope_of(ref);

    if (scope == NULL) {
        request_scope_leave();
        return;
    }

    requests.current = ref;
    thread_label_set_main(scope->set, scope->span);
}


void
request_scope_leave(void)
{
    requests.current = (struct scope_ref){0, 0};
    thread_label_set_main(LABEL_SET_NONE, 0);
}


/* The descriptor's owner, or NULL for one that has none. */
static inline struct fd_owner *
owner_of(int fd)
{
    return (unsigned) fd < requests.n_fds ? &requests.fds[fd] : NULL;
}


static void
owner_set(int fd, enum fd_kind kind, struct scope_ref ref)
{
    struct fd_owner *owner;

    owner = owner_of(fd);

    if (owner != NULL) {
        owner->kind = kind;
        owner->index = ref.index;
        owner->generation = ref.generation;
    }
}


static inline struct scope_ref
owner_ref(const struct fd_owner *owner)
{
    return (struct scope_ref){owner->index, owner->generation};
}


uint64_t
request_scope_begin(void)
{
    uint32_t              index;
    struct request_scope *scope;

    index = requests.first_free;

    if (index != 0) {
        requests.first_free = requests.scopes[index].next_free;

    } else if (requests.scopes != NULL && requests.n_scopes < SCOPES_MAX) {
        index = requests.n_scopes++;

    } else {
        return REQUEST_SCOPE_NONE;
    }

    scope = &requests.scopes[index];
    scope->generation++;
    scope->set = LABEL_SET_NONE;
    scope->span = 0;
    scope->client_fd = REQUEST_NO_FD;
    scope->upstream_fd = REQUEST_NO_FD;

    return (uint64_t) scope->generation << 32 | index;
}


/* The upstream's connection is the scope's; the one before is nobody's, unless
   it was closed and is another's already. */
static void
upstream_enter(struct request_scope *scope, struct scope_ref ref, int fd)
{
    struct fd_owner *owner;

    owner = owner_of(scope->upstream_fd);

    if (fd != scope->upstream_fd && owner != NULL && owner->index == ref.index
        && owner->generation == ref.generation) {
        owner_set(scope->upstream_fd, FD_UPSTREAM, (struct scope_ref){0, 0});
    }

    scope->upstream_fd = fd;

    if (fd != REQUEST_NO_FD) {
        owner_set(fd, FD_UPSTREAM, ref);
    }
}


void
request_scope_enter(uint64_t number, uint32_t set,
                    const struct nprof_request_sockets *sockets)
{
    struct scope_ref      ref;
    struct request_scope *scope;

    ref = ref_of(number);
    scope = scope_of(ref);

    if (scope == NULL) {
        request_scope_leave();
        return;
    }

    scope->set = set;
    scope->client_fd = sockets->client_fd;

    if (sockets->shared) {
        owner_set(sockets->client_fd, FD_SHARED, (struct scope_ref){0, 0});
    } else {
        owner_set(sockets->client_fd, FD_CONNECTION, ref);
    }

    upstream_enter(scope, ref, sockets->upstream_fd);

    requests.current = ref;
    thread_label_set_main(set, scope->span);
}


void
request_scope_span(uint64_t number, uint64_t span_id)
{
    struct request_scope *scope;

    scope = scope_of(ref_of(number));

    if (scope != NULL) {
        atomic_store_explicit(&scope->span, span_id, memory_order_relaxed);
    }
}


uint32_t
request_scope_current(void)
{
    struct scope_ref ref = requests.current;

    return ref.index
           | (ref.generation & CURRENT_GENERATION_MASK) << CURRENT_INDEX_BITS;
}


uint64_t
request_scope_span_of(uint32_t request)
{
    uint64_t                    span;
    uint32_t                    index;
    const struct request_scope *scope;

    index = request & ((1u << CURRENT_INDEX_BITS) - 1);

    if (index == 0 || requests.scopes == NULL) {
        return 0;
    }

    scope = &requests.scopes[index];
    span = atomic_load_explicit(&scope->span, memory_order_relaxed);

    return (atomic_load_explicit(&scope->generation, memory_order_relaxed)
            & CURRENT_GENERATION_MASK)
                   == request >> CURRENT_INDEX_BITS
               ? span
               : 0;
}


void
request_scope_end(uint64_t number)
{
    struct scope_ref      ref;
    struct request_scope *scope;

    ref = ref_of(number);
    scope = scope_of(ref);

    if (scope == NULL) {
        return;
    }

    scope->generation++;
    scope->next_free = requests.first_free;
    requests.first_free = ref.index;

    if (requests.current.index == ref.index) {
        request_scope_leave();
    }
}


void
request_scope_reads(int fd)
{
    const struct fd_owner *owner;

    owner = owner_of(fd);

    if (owner != NULL && owner->kind != FD_OTHER) {
        turn_to(owner_ref(owner));
    }
}


/* The request that is worked for takes an upstream connection that is idle. */
static void
upstream_take(int fd, const struct fd_owner *owner)
{
    struct request_scope *current;

    current = scope_of(requests.current);

    if (current == NULL || scope_of(owner_ref(owner)) != NULL) {
        turn_to(owner_ref(owner));
        return;
    }

    upstream_enter(current, requests.current, fd);
}


void
request_scope_writes(int fd)
{
    struct fd_owner      *owner;
    struct request_scope *current;

    owner = owner_of(fd);

    if (owner == NULL) {
        return;
    }

    switch (owner->kind) {
    case FD_CONNECTION:
        turn_to(owner_ref(owner));
        break;

    case FD_UPSTREAM:
        upstream_take(fd, owner);
        break;

    case FD_SHARED:
        current = scope_of(requests.current);

        if (current == NULL || current->client_fd != fd) {
            request_scope_leave();
        }
        break;

    default: /* FD_OTHER, FD_DATAGRAM: a log */
        break;
    }
}


void
request_scope_accepts(int fd)
{
    request_scope_leave();

    if (fd >= 0) {
        owner_set(fd, FD_CONNECTION, (struct scope_ref){0, 0});
    }
}


void
request_scope_connects(int fd, bool stream)
{
    struct request_scope *current;

    current = scope_of(requests.current);

    if (stream && current != NULL) {
        upstream_enter(current, requests.current, fd);
        return;
    }

    owner_set(fd, stream ? FD_CONNECTION : FD_DATAGRAM,
              (struct scope_ref){0, 0});
}


void
request_scope_closes(int fd)
{
    owner_set(fd, FD_OTHER, (struct scope_ref){0, 0});
}
