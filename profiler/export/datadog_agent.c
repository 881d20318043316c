
/*
 * Where Datadog's Agent is; see upload_settings.h.
 */


#include <string.h>
#include <unistd.h>

#include "arena_text.h"
#include "upload_settings.h"


#define AGENT_SOCKET "/var/run/datadog/apm.socket"
#define AGENT_HOST "localhost"
#define AGENT_PORT "8126"


const char *
environment_value(const char *const *environment, const char *name)
{
    size_t len;

    len = strlen(name);

    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0
            && (*environment)[len] == '=') {
            return (*environment)[len + 1] == '\0' ? NULL
                                                   : *environment + len + 1;
        }
    }

    return NULL;
}


/* The address that the URL of the variable means, or NULL. */
static const char *
agent_url(const char *url, struct block_arena *arena)
{
    struct upload_target target;

    if (url[0] == '/') {
        url = arena_text(arena, "unix:%s", url);
        if (url == NULL) {
            return NULL;
        }
    }

    return upload_target_parse(&target, url, NULL, arena) == NULL ? url : NULL;
}


const char *
datadog_agent_address(const char *const *environment, struct block_arena *arena,
                      bool *bad_url)
{
    bool        ipv6;
    const char *url, *host, *port, *address;

    *bad_url = false;
    url = environment_value(environment, "DD_TRACE_AGENT_URL");

    if (url != NULL) {
        address = agent_url(url, arena);
        if (address != NULL) {
            return address;
        }

        *bad_url = true;
    }

    host = environment_value(environment, "DD_AGENT_HOST");
    port = environment_value(environment, "DD_TRACE_AGENT_PORT");

    if (host == NULL && port == NULL && access(AGENT_SOCKET, F_OK) == 0) {
        return arena_text(arena, "unix:%s", AGENT_SOCKET);
    }

    host = host == NULL ? AGENT_HOST : host;
    port = port == NULL ? AGENT_PORT : port;
    ipv6 = host[0] != '[' && strchr(host, ':') != NULL;

    return arena_text(arena, "http://%s%s%s:%s", ipv6 ? "[" : "", host,
                      ipv6 ? "]" : "", port);
}
