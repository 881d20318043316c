
/*
 * The settings of uploads; see upload_settings.h.
 */


#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena_text.h"
#include "git_tags.h"
#include "upload_settings.h"


/* Of the Agent. */
#define DATADOG_PATH "/profiling/v1/input"
#define PYROSCOPE_PATH "/ingest"

#define DATADOG_SITE "datadoghq.com"

/* What an API key of Datadog has: lower case letters and digits. */
#define API_KEY_LEN 32

#define SERVICE_DEFAULT "nginx"

#define NO_MEMORY "profiles can't be uploaded: there is no memory"

#define TIMEOUT_DEFAULT_MS 10000
#define TIMEOUT_MAX_MS 60000


/* What is said of the settings. */
struct remarks {
    char  *text;
    size_t size;
};


__attribute__((format(printf, 2, 3))) static void
remark(struct remarks *remarks, const char *format, ...)
{
    size_t  len;
    va_list arguments;

    len = strlen(remarks->text);

    if (len > 0) {
        snprintf(remarks->text + len, remarks->size - len, "; ");
        len = strlen(remarks->text);
    }

    va_start(arguments, format);
    vsnprintf(remarks->text + len, remarks->size - len, format, arguments);
    va_end(arguments);
}


bool
environment_flag(const char *const *environment, const char *name,
                 bool otherwise)
{
    size_t      i;
    const char *value;

    static const struct {
        const char *text;
        bool        flag;
    } texts[] = {
        {"1", true},    {"t", true},      {"T", true},      {"true", true},
        {"TRUE", true}, {"True", true},   {"0", false},     {"f", false},
        {"F", false},   {"false", false}, {"FALSE", false}, {"False", false},
    };

    value = environment_value(environment, name);

    for (i = 0; value != NULL && i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(value, texts[i].text) == 0) {
            return texts[i].flag;
        }
    }

    return otherwise;
}


static bool
api_key_valid(const char *key)
{
    return key != NULL && strlen(key) == API_KEY_LEN
           && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789")
                  == API_KEY_LEN;
}


/* One number and unit of Go's durations, as 10s or 1500ms; else the default. */
static long
timeout_ms(const char *text)
{
    long  number, unit;
    char *end;

    if (text == NULL) {
        return TIMEOUT_DEFAULT_MS;
    }

    number = strtol(text, &end, 10);
    unit = strcmp(end, "ms") == 0  ? 1
           : strcmp(end, "s") == 0 ? 1000
           : strcmp(end, "m") == 0 ? 60000
                                   : 0;

    if (number <= 0 || unit == 0 || number > TIMEOUT_MAX_MS / unit) {
        return TIMEOUT_DEFAULT_MS;
    }

    return number * unit;
}


/* A header that can't be one is none. */
static const char *
header_value(const char *value)
{
    const char *c;

    for (c = value; c != NULL && *c != '\0'; c++) {
        if ((unsigned char) *c < ' ' || *c == 0x7f) {
            return NULL;
        }
    }

    return value;
}


/* The first of the three that is said, in the arena; NULL if none is, or if
   that one is empty. */
static const char *
first_said(struct block_arena *arena, const char *directive,
           const char *variable, const char *tag)
{
    const char *value;

    value = directive != NULL ? directive : variable != NULL ? variable : tag;

    return value == NULL || value[0] == '\0' ? NULL
                                             : arena_text(arena, "%s", value);
}


/* Directives go before variables, those before DD_TAGS. */
static int
tags_make(struct upload_settings      *settings,
          const struct nprof_identity *identity)
{
    int         rc;
    uint32_t    i;
    const char *tags, *name, *value;

    tags = environment_value(identity->environment, "DD_TAGS");
    rc = tags == NULL ? 0
                      : tag_list_parse(&settings->tags, tags, &settings->arena);

    if (rc == 0
        && environment_flag(identity->environment,
                            "DD_TRACE_GIT_METADATA_ENABLED", true)) {
        rc = git_tags_add(&settings->tags, identity->environment,
                          &settings->arena);
    }

    for (i = 0; rc == 0 && i < identity->n_tags; i++) {
        name = arena_text(&settings->arena, "%s", identity->tags[i].name);
        value = arena_text(&settings->arena, "%s", identity->tags[i].value);
        rc = name == NULL || value == NULL ? -ENOMEM : 0;
        tag_list_set(&settings->tags, name, value);
    }

    if (rc == 0) {
        rc = git_tags_clean(&settings->tags, &settings->arena);
    }

    return rc;
}


static const char *
host_name(struct block_arena *arena)
{
    char name[HOST_NAME_MAX + 1];

    if (gethostname(name, sizeof(name)) != 0) {
        return NULL;
    }

    name[HOST_NAME_MAX] = '\0';

    return arena_text(arena, "%s", name);
}


/* The last component of a path that a link of /proc/self has. */
static const char *
link_name(const char *link, bool folder, char path[PATH_MAX])
{
    char   *slash;
    ssize_t len;

    len = readlink(link, path, PATH_MAX - 1);
    if (len <= 0) {
        return "";
    }

    path[len] = '\0';

    if (folder) {
        slash = strrchr(path, '/');
        if (slash == NULL) {
            return "";
        }

        *slash = '\0';
    }

    slash = strrchr(path, '/');

    return slash == NULL ? "" : slash + 1;
}


static const char *
process_tags(struct block_arena *arena)
{
    char            path[PATH_MAX];
    char           *printed;
    const char     *text;
    struct tag_list tags;

    memset(&tags, 0, sizeof(tags));

    tag_list_set(
        &tags, "entrypoint.basedir",
        arena_text(arena, "%s", link_name("/proc/self/exe", true, path)));
    tag_list_set(
        &tags, "entrypoint.name",
        arena_text(arena, "%s", link_name("/proc/self/exe", false, path)));
    tag_list_set(&tags, "entrypoint.type", "executable");
    tag_list_set(
        &tags, "entrypoint.workdir",
        arena_text(arena, "%s", link_name("/proc/self/cwd", false, path)));

    printed = tag_list_print(&tags);
    text = printed == NULL ? NULL : arena_text(arena, "%s", printed);
    free(printed);

    return text;
}


/* The unified names. They are no tags then: nobody has them twice, and what an
   empty directive takes away is gone. */
static void
unified_make(struct upload_settings      *settings,
             const struct nprof_identity *identity)
{
    size_t              i;
    struct block_arena *arena = &settings->arena;

    const struct {
        const char  *directive;
        const char  *variable;
        const char  *tag;
        const char **name;
    } unified[] = {
        {identity->service, "DD_SERVICE", "service", &settings->service},
        {identity->env, "DD_ENV", "env", &settings->env},
        {identity->version, "DD_VERSION", "version", &settings->version},
    };

    for (i = 0; i < sizeof(unified) / sizeof(unified[0]); i++) {
        *unified[i].name = first_said(
            arena, unified[i].directive,
            environment_value(identity->environment, unified[i].variable),
            tag_list_get(&settings->tags, unified[i].tag));
        tag_list_remove(&settings->tags, unified[i].tag);
    }

    if (settings->service == NULL) {
        settings->service = SERVICE_DEFAULT;
    }
}


static int
names_make(struct upload_settings      *settings,
           const struct nprof_identity *identity)
{
    const char *const  *environment = identity->environment;
    struct block_arena *arena = &settings->arena;
    const char         *enabled;

    if (tags_make(settings, identity) != 0) {
        return -ENOMEM;
    }

    unified_make(settings, identity);

    enabled = environment_value(environment, "DD_PROFILING_ENABLED");
    settings->activation
        = enabled != NULL && strcmp(enabled, "auto") == 0 ? "auto" : "manual";

    settings->external_env = header_value(first_said(
        arena, environment_value(environment, "DD_EXTERNAL_ENV"), NULL, NULL));
    settings->ca_file = first_said(
        arena, environment_value(environment, "SSL_CERT_FILE"), NULL, NULL);

    settings->timeout_ms = timeout_ms(
        environment_value(environment, "DD_PROFILING_UPLOAD_TIMEOUT"));
    settings->host = host_name(arena);
    settings->master = getpid();
    settings->process_tags = process_tags(arena);
    entity_id_find(&settings->entity);

    return settings->process_tags == NULL ? -ENOMEM : 0;
}


/*
 * The intake, which is asked for by DD_PROFILING_AGENTLESS and wants a key.
 * Returns its address, or NULL: the Agent is asked.
 */
static const char *
intake_address(struct upload_settings *settings, const char *const *environment,
               struct remarks *remarks)
{
    bool        agentless;
    const char *key, *site, *url;

    key = environment_value(environment, "DD_API_KEY");
    agentless = environment_flag(environment, "DD_PROFILING_AGENTLESS", false);

    if (!agentless) {
        return NULL;
    }

    if (!api_key_valid(key)) {
        remark(remarks, "DD_PROFILING_AGENTLESS needs a valid DD_API_KEY: "
                        "profiles go to the Agent");
        return NULL;
    }

    settings->api_key = arena_text(&settings->arena, "%s", key);

    url = environment_value(environment, "DD_PROFILING_URL");
    if (url != NULL) {
        return url;
    }

    site = environment_value(environment, "DD_SITE");

    return arena_text(&settings->arena,
                      "https://intake.profile.%s/api/v2/profile",
                      site == NULL ? DATADOG_SITE : site);
}


/* The Agent's address: that of the first directive that has one, else what the
   variables say. NULL if memory lacks. */
static const char *
agent_address(struct upload_settings      *settings,
              const struct nprof_identity *identity, struct remarks *remarks)
{
    bool        bad_url;
    uint32_t    i;
    const char *address;

    for (i = 0; i < identity->n_targets; i++) {
        if (identity->targets[i].kind == NPROF_DATADOG
            && identity->targets[i].url != NULL) {
            return identity->targets[i].url;
        }
    }

    address = datadog_agent_address(identity->environment, &settings->arena,
                                    &bad_url);

    if (bad_url) {
        remark(remarks, "DD_TRACE_AGENT_URL can't be used");
    }

    return address;
}


/* The Agent for traces: without the path of profiles, which an address for those
   may have. No address is a NULL url. */
static void
agent_parse(struct upload_settings *settings, const char *agent)
{
    size_t len, path;

    len = strlen(agent);
    path = strlen(DATADOG_PATH);

    if (len > path && strcmp(agent + len - path, DATADOG_PATH) == 0) {
        agent = arena_text(&settings->arena, "%.*s", (int) (len - path), agent);
    }

    if (agent == NULL
        || upload_target_parse(&settings->agent, agent, NULL, &settings->arena)
               != NULL) {
        settings->agent.url = NULL;
    }
}


/* Returns NULL, or why the target can't be used. */
static const char *
datadog_target(struct upload_settings *settings, struct upload_target *target,
               const char *url, const struct nprof_identity *identity,
               const char *agent, struct remarks *remarks)
{
    const char *error;

    if (url == NULL) {
        url = intake_address(settings, identity->environment, remarks);
        target->intake = url != NULL;
    }

    if (target->intake && settings->api_key == NULL) {
        return "there is no memory";
    }

    error = upload_target_parse(target, url == NULL ? agent : url,
                                target->intake ? NULL : DATADOG_PATH,
                                &settings->arena);

    /* in the clear it would be everybody's */
    if (error == NULL && target->intake
        && strncmp(target->url, "https://", 8) != 0) {
        return "an API key is sent by https only";
    }

    return error;
}


/* Whether one of the list is the same destination, credentials included. */
static bool
is_known(const struct upload_settings *settings,
         const struct upload_target   *target)
{
    uint32_t                    i;
    const struct upload_target *known;

    for (i = 0; i < settings->n_targets; i++) {
        known = &settings->targets[i];

        if (known->kind == target->kind && strcmp(known->url, target->url) == 0
            && strcmp(known->name, target->name) == 0) {
            return true;
        }
    }

    return false;
}


/* A target is of the list once it is found good; there it is but once. */
static int
targets_make(struct upload_settings      *settings,
             const struct nprof_identity *identity, const char *agent,
             struct remarks *remarks)
{
    int                        rc;
    uint32_t                   i, in_use;
    const char                *error;
    struct upload_target      *target;
    const struct nprof_target *wanted;

    rc = 0;
    in_use = 0;

    for (i = 0; i < identity->n_targets && i < UPLOAD_TARGETS_MAX; i++) {
        wanted = &identity->targets[i];
        target = &settings->targets[settings->n_targets];

        memset(target, 0, sizeof(*target));
        target->kind = wanted->kind;
        error = wanted->kind == NPROF_DATADOG
                    ? datadog_target(settings, target, wanted->url, identity,
                                     agent, remarks)
                    : upload_target_parse(target, wanted->url, PYROSCOPE_PATH,
                                          &settings->arena);

        if (error != NULL) {
            /* not the address: it may have credentials */
            remark(remarks, "profiles can't be uploaded to %s: %s",
                   wanted->kind == NPROF_DATADOG ? "Datadog" : "Pyroscope",
                   error);
            rc = -EINVAL;
            continue;
        }

        if (is_known(settings, target)) {
            continue;
        }

        target->results
            = upload_shared_results(settings->shared, target->name, &in_use);
        settings->n_targets++;
    }

    /* no target's name, since those have a path of their own */
    if (settings->agent.url != NULL) {
        settings->agent.results = upload_shared_results(
            settings->shared, settings->agent.name, &in_use);
    }

    return rc;
}


int
upload_settings_make(struct upload_settings      *settings,
                     const struct nprof_identity *identity, char *message,
                     size_t size)
{
    const char    *agent;
    struct remarks remarks = {message, size};

    message[0] = '\0';
    upload_settings_free(settings);
    memset(settings, 0, sizeof(*settings));

    settings->shared = upload_shared_get();

    if (settings->shared == NULL || names_make(settings, identity) != 0) {
        remark(&remarks, NO_MEMORY);
        return -ENOMEM;
    }

    agent = agent_address(settings, identity, &remarks);

    if (agent == NULL) {
        remark(&remarks, NO_MEMORY);
        return -ENOMEM;
    }

    agent_parse(settings, agent);

    return targets_make(settings, identity, agent, &remarks);
}


void
upload_settings_free(struct upload_settings *settings)
{
    block_arena_free(&settings->arena);
}
