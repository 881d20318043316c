
/*
 * Who the instance is and where its profiles go: what directives and DD_*
 * variables say, put in Datadog's order of precedence. Made in the master
 * before workers are forked; nothing changes it in a worker.
 */


#ifndef NPROF_UPLOAD_SETTINGS_H
#define NPROF_UPLOAD_SETTINGS_H


#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../nprof.h"
#include "../symbolize/block_arena.h"
#include "entity_id.h"
#include "tag_list.h"
#include "upload_shared.h"
#include "upload_target.h"


/* The texts are the arena's; NULL is not known. */
struct upload_settings {
    struct block_arena arena;

    const char *service;
    const char *env;
    const char *version;

    /* Those of the user, none of which is one of the former. */
    struct tag_list tags;

    const char *host;

    /* The process that all workers are forked of. */
    pid_t master;

    /* "auto" or "manual": how DD_PROFILING_ENABLED has it. */
    const char *activation;

    /* Of the program: its file, the folders of that and that it works in, as
       "name:value,...". */
    const char *process_tags;

    struct entity_id entity;
    const char      *external_env;

    /* The one place that it is in: no text that anybody sees is made of it. */
    const char *api_key;

    /* Of a request from connect to answer. */
    long timeout_ms;

    /* A file of certificates to trust, or NULL: the system's. */
    const char *ca_file;

    struct upload_shared *shared;

    /* Datadog's Agent itself, whatever is sent there; url is NULL if its
       address can't be used. Of its results the state is that of traces. */
    struct upload_target agent;

    uint32_t             n_targets;
    struct upload_target targets[UPLOAD_TARGETS_MAX];
};


/*
 * Replaces what settings holds. Result and message are those of identify() in
 * nprof.h.
 */
int upload_settings_make(struct upload_settings      *settings,
                         const struct nprof_identity *identity, char *message,
                         size_t size);

void upload_settings_free(struct upload_settings *settings);


/*
 * The value of a variable in "NAME=VALUE" texts ended by NULL; NULL if it is
 * not there or empty.
 */
const char *environment_value(const char *const *environment, const char *name);

/*
 * What a variable says with one of the words that Go's strconv.ParseBool() knows;
 * without one of them it is as it otherwise is.
 */
bool environment_flag(const char *const *environment, const char *name,
                      bool otherwise);

/*
 * The address of Datadog's Agent that the variables say, or its default, in the
 * arena; NULL if memory lacks. *bad_url: DD_TRACE_AGENT_URL can't be used.
 */
const char *datadog_agent_address(const char *const  *environment,
                                  struct block_arena *arena, bool *bad_url);


#endif /* NPROF_UPLOAD_SETTINGS_H */
