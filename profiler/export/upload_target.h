
/*
 * Where profiles are sent: an address, as libcurl wants it. In the master.
 */


#ifndef NPROF_UPLOAD_TARGET_H
#define NPROF_UPLOAD_TARGET_H


#include <stdbool.h>

#include "../nprof.h"
#include "../symbolize/block_arena.h"
#include "upload_shared.h"


/* The longest path of a unix socket (sun_path, with its NUL). */
#define UPLOAD_SOCKET_PATH 108


/* The texts are the arena's. */
struct upload_target {
    enum nprof_destination kind;

    /* Datadog's intake instead of an Agent: it wants the API key. */
    bool intake;

    /* What requests are made to, credentials included, http or https. */
    const char *url;

    /* The path of a unix socket to make them through, or NULL. */
    const char *socket;

    /* The address for people: without credentials. */
    const char *name;

    struct upload_results *results;
};


/*
 * Reads an address: http://, https:// or unix:PATH. path, if it is not NULL, is
 * put after that of the address, unless it ends with it already. Fills url,
 * socket and name. Returns NULL, or what is wrong with the address, static.
 */
const char *upload_target_parse(struct upload_target *target,
                                const char *address, const char *path,
                                struct block_arena *arena);


#endif /* NPROF_UPLOAD_TARGET_H */
