/*
 * Who the instance is and where its profiles go: Datadog's order of precedence.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export/upload_settings.h"


#define KEY "0123456789abcdef0123456789abcdef"


#define AGENT_SOCKET "/var/run/datadog/apm.socket"


static struct upload_settings settings;
static char                   message[512];

/* Whether the Agent's socket is there, whatever this machine has. */
static bool has_socket;


/* That of the C library, but for that socket. */
int
access(const char *name, int type)
{
    if (strcmp(name, AGENT_SOCKET) == 0) {
        errno = ENOENT;
        return has_socket ? 0 : -1;
    }

    return faccessat(AT_FDCWD, name, type, 0);
}


/* One destination, Datadog with that URL, and these variables. */
static int
make(const char *url, const char *const *environment)
{
    struct nprof_target   target = {NPROF_DATADOG, url};
    struct nprof_identity identity
        = {.environment = environment, .targets = &target, .n_targets = 1};

    return upload_settings_make(&settings, &identity, message, sizeof(message));
}


static void
expect_agent(const char *wanted, const char *const *environment)
{
    cr_assert_eq(make(NULL, environment), 0);
    cr_expect_str_eq(settings.targets[0].name, wanted);
    cr_expect(!settings.targets[0].intake);
}


#define VARIABLES(...) ((const char *const[]){__VA_ARGS__, NULL})


Test(upload_settings, agent_by_precedence)
{
    expect_agent("http://a:1/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_URL=http://a:1", "DD_AGENT_HOST=b",
                           "DD_TRACE_AGENT_PORT=2"));
    expect_agent("http://b:8126/profiling/v1/input",
                 VARIABLES("DD_AGENT_HOST=b"));
    expect_agent("http://localhost:2/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_PORT=2", "DD_AGENT_HOST="));
    expect_agent("http://[::1]:8126/profiling/v1/input",
                 VARIABLES("DD_AGENT_HOST=::1"));
    expect_agent("https://a/base/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_URL=https://a/base/"));

    expect_agent("http://localhost:8126/profiling/v1/input",
                 VARIABLES("OTHER=1"));
}


/* Of profiles and of traces, where no variable says where the Agent is. */
Test(upload_settings, agent_by_its_socket_if_it_is_there)
{
    has_socket = true;

    expect_agent("unix:" AGENT_SOCKET, VARIABLES("DD_AGENT_HOST="));
    cr_expect_str_eq(settings.targets[0].socket, AGENT_SOCKET);
    cr_expect_str_eq(settings.agent.socket, AGENT_SOCKET);

    expect_agent("http://b:8126/profiling/v1/input",
                 VARIABLES("DD_AGENT_HOST=b"));
    expect_agent("http://localhost:2/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_PORT=2"));
    expect_agent("http://a:1/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_URL=http://a:1"));
    cr_expect_null(settings.targets[0].socket);
}


Test(upload_settings, agent_by_socket)
{
    size_t                   i;
    static const char *const urls[] = {
        "DD_TRACE_AGENT_URL=unix:///run/x.sock",
        "DD_TRACE_AGENT_URL=unix:/run/x.sock",
        "DD_TRACE_AGENT_URL=/run/x.sock",
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        expect_agent("unix:/run/x.sock", VARIABLES(urls[i]));
        cr_expect_str_eq(settings.targets[0].socket, "/run/x.sock");
        cr_expect_str_eq(settings.targets[0].url,
                         "http://localhost/profiling/v1/input");
    }
}


Test(upload_settings, bad_agent_url_falls_through)
{
    expect_agent("http://b:8126/profiling/v1/input",
                 VARIABLES("DD_TRACE_AGENT_URL=ftp://a", "DD_AGENT_HOST=b"));
    cr_expect_str_eq(message, "DD_TRACE_AGENT_URL can't be used");
}


Test(upload_settings, directive_goes_before_variables)
{
    cr_assert_eq(make("http://d:3", VARIABLES("DD_TRACE_AGENT_URL=http://a:1",
                                              "DD_PROFILING_AGENTLESS=true",
                                              "DD_API_KEY=" KEY)),
                 0);
    cr_expect_str_eq(settings.targets[0].name, "http://d:3/profiling/v1/input");
    cr_expect(!settings.targets[0].intake);
    cr_expect_str_eq(settings.agent.name, "http://d:3/");

    /* traces are not sent where profiles are */
    cr_assert_eq(make("http://d:3/base/profiling/v1/input", VARIABLES("A=1")),
                 0);
    cr_expect_str_eq(settings.targets[0].name,
                     "http://d:3/base/profiling/v1/input");
    cr_expect_str_eq(settings.agent.name, "http://d:3/base");
}


Test(upload_settings, intake_wants_a_key)
{
    cr_assert_eq(
        make(NULL, VARIABLES("DD_PROFILING_AGENTLESS=true", "DD_API_KEY=" KEY,
                             "DD_SITE=datadoghq.eu")),
        0);
    cr_expect_str_eq(settings.targets[0].name,
                     "https://intake.profile.datadoghq.eu/api/v2/profile");
    cr_expect(settings.targets[0].intake);
    cr_expect_str_eq(settings.api_key, KEY);
    cr_expect_str_eq(message, "");

    cr_assert_eq(
        make(NULL, VARIABLES("DD_PROFILING_AGENTLESS=true",
                             "DD_API_KEY=tooshort", "DD_AGENT_HOST=b")),
        0);
    cr_expect_str_eq(settings.targets[0].name,
                     "http://b:8126/profiling/v1/input");
    cr_expect(strstr(message, "DD_API_KEY") != NULL);
    cr_expect(strstr(message, "tooshort") == NULL);
    cr_expect_null(settings.api_key);
}


/* A key that the Agent makes superfluous goes nowhere. */
Test(upload_settings, key_alone_is_not_used)
{
    expect_agent("http://b:8126/profiling/v1/input",
                 VARIABLES("DD_API_KEY=" KEY, "DD_AGENT_HOST=b"));
    cr_expect_null(settings.api_key);
}


Test(upload_settings, key_is_never_sent_in_the_clear)
{
    cr_assert_eq(
        make(NULL, VARIABLES("DD_PROFILING_AGENTLESS=true", "DD_API_KEY=" KEY,
                             "DD_PROFILING_URL=http://x/api")),
        -EINVAL);
    cr_expect_eq(settings.n_targets, 0);
    cr_expect(strstr(message, "https") != NULL);
}


Test(upload_settings, bad_addresses)
{
    size_t i;
    char   path[200];

    static const char *const urls[]
        = {"ftp://x", "http://", "unix:relative", "http://a:99999"};

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        cr_expect_eq(make(urls[i], VARIABLES("OTHER=1")), -EINVAL, "%s",
                     urls[i]);
        cr_expect_eq(settings.n_targets, 0);
        cr_expect(message[0] != '\0');
    }

    memset(path, 'x', sizeof(path));
    memcpy(path, "unix:/", 6);
    path[sizeof(path) - 1] = '\0';
    cr_expect_eq(make(path, VARIABLES("OTHER=1")), -EINVAL);
}


Test(upload_settings, credentials_are_not_shown)
{
    cr_assert_eq(make("http://user:secret@h:1/x", VARIABLES("OTHER=1")), 0);
    cr_expect_str_eq(settings.targets[0].url,
                     "http://user:secret@h:1/x/profiling/v1/input");
    cr_expect_str_eq(settings.targets[0].name,
                     "http://h:1/x/profiling/v1/input");
}


Test(upload_settings, names_by_precedence)
{
    struct nprof_identity identity = {.service = "directive"};
    static const char    *environment[] = {
           "DD_SERVICE=variable", "DD_ENV=variable",
           "DD_TAGS=service:tag, env:tag,version:tag,team:x:y , bad,:v,e:", NULL};

    identity.environment = environment;
    cr_assert_eq(
        upload_settings_make(&settings, &identity, message, sizeof(message)),
        0);
    cr_expect_str_eq(settings.service, "directive");
    cr_expect_str_eq(settings.env, "variable");
    cr_expect_str_eq(settings.version, "tag");
    cr_expect_eq(settings.tags.n, 1);
    cr_expect_str_eq(tag_list_get(&settings.tags, "team"), "x:y");
    cr_expect_null(tag_list_get(&settings.tags, "bad"));
    cr_expect_null(tag_list_get(&settings.tags, "e"));

    cr_assert_eq(make(NULL, VARIABLES("DD_TAGS=a:1 b:2 a:3")), 0);
    cr_expect_str_eq(tag_list_get(&settings.tags, "a"), "3");
    cr_expect_str_eq(tag_list_get(&settings.tags, "b"), "2");
    cr_expect_str_eq(settings.service, "nginx");
    cr_expect_null(settings.version);
}


Test(upload_settings, git_without_credentials)
{
    unsigned                 i;
    char                     variable[128];
    static const char *const urls[][2] = {
        {"https://u:p@g.com/x.git", "https://g.com/x.git"},
        {"https://u:p@ss@g.com/x.git", "https://g.com/x.git"},
        {"https://g.com/x@v1", "https://g.com/x@v1"},
        {"https://g.com?x=a@b", "https://g.com?x=a@b"},
        {"ssh://git@g.com:22/x.git", "ssh://g.com:22/x.git"},
        {"git@g.com:x.git", "git@g.com:x.git"},
        {"user:token@g.com:x.git", "g.com:x.git"},
        {"g.com/x@v1", "g.com/x@v1"},
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        snprintf(variable, sizeof(variable), "DD_GIT_REPOSITORY_URL=%s",
                 urls[i][0]);
        cr_assert_eq(make(NULL, VARIABLES(variable)), 0);
        cr_expect_str_eq(tag_list_get(&settings.tags, "git.repository_url"),
                         urls[i][1]);
    }

    cr_assert_eq(
        make(NULL, VARIABLES("DD_GIT_REPOSITORY_URL=https://u:p@g.com/x.git",
                             "DD_GIT_COMMIT_SHA=abc")),
        0);
    cr_expect_str_eq(tag_list_get(&settings.tags, "git.repository_url"),
                     "https://g.com/x.git");
    cr_expect_str_eq(tag_list_get(&settings.tags, "git.commit.sha"), "abc");

    cr_assert_eq(make(NULL, VARIABLES("DD_GIT_COMMIT_SHA=abc",
                                      "DD_TRACE_GIT_METADATA_ENABLED=false")),
                 0);
    cr_expect_null(tag_list_get(&settings.tags, "git.commit.sha"));
}


Test(upload_settings, git_without_credentials_in_tags)
{
    cr_assert_eq(make(NULL, VARIABLES("DD_TAGS=git.repository_url:"
                                      "https://u:p@g.com/x.git")),
                 0);
    cr_expect_str_eq(tag_list_get(&settings.tags, "git.repository_url"),
                     "https://g.com/x.git");
}


/* A tag never ends with a colon, and has a name. */
Test(upload_settings, tags_of_colons)
{
    char           *text;
    struct tag_list list = {0};

    tag_list_set(&list, ":", "a");
    tag_list_set(&list, "b", "::");
    tag_list_set(&list, ":c:", ":d:");
    tag_list_set(&list, "e", "f:g");
    text = tag_list_print(&list);
    cr_expect_str_eq(text, "c:d,e:f:g");
    free(text);
}


Test(upload_settings, timeout)
{
    size_t i;

    static const struct {
        const char *text;
        long        ms;
    } cases[] = {
        {"DD_PROFILING_UPLOAD_TIMEOUT=1500ms", 1500},
        {"DD_PROFILING_UPLOAD_TIMEOUT=3s", 3000},
        {"DD_PROFILING_UPLOAD_TIMEOUT=1m", 60000},
        {"DD_PROFILING_UPLOAD_TIMEOUT=2m", 10000},
        {"DD_PROFILING_UPLOAD_TIMEOUT=0s", 10000},
        {"DD_PROFILING_UPLOAD_TIMEOUT=10", 10000},
        {"OTHER=1", 10000},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(make(NULL, VARIABLES(cases[i].text)), 0);
        cr_expect_eq(settings.timeout_ms, cases[i].ms, "%s", cases[i].text);
    }
}


/* However the address is written; credentials make another one. */
Test(upload_settings, a_destination_is_there_once)
{
    static const char *const environment[] = {"OTHER=1", NULL};

    struct nprof_target targets[] = {
        {NPROF_DATADOG, NULL},
        {NPROF_DATADOG, "http://a:1"},
        {NPROF_DATADOG, "http://a:1/"},
        {NPROF_DATADOG, "http://user:secret@a:1"},
        {NPROF_PYROSCOPE, "http://a:1"},
        {NPROF_DATADOG, "unix:/run/x.sock"},
        {NPROF_DATADOG, "unix:/run/y.sock"},
    };
    struct nprof_identity identity = {
        .environment = environment,
        .targets = targets,
        .n_targets = sizeof(targets) / sizeof(targets[0]),
    };

    cr_assert_eq(
        upload_settings_make(&settings, &identity, message, sizeof(message)),
        0);
    cr_assert_eq(settings.n_targets, 5);
    cr_expect_str_eq(settings.targets[1].url,
                     "http://user:secret@a:1/profiling/v1/input");
    cr_expect_eq(settings.targets[0].results, settings.targets[1].results);
    cr_expect_eq(settings.targets[2].kind, NPROF_PYROSCOPE);
    cr_expect_str_eq(settings.targets[3].socket, "/run/x.sock");
    cr_expect_str_eq(settings.targets[4].socket, "/run/y.sock");
}


/* The counters of a destination outlive a reload, whatever its place. */
Test(upload_settings, results_are_kept_by_name)
{
    struct upload_results *results;

    cr_assert_eq(make("http://a:1", VARIABLES("OTHER=1")), 0);
    results = settings.targets[0].results;
    atomic_store(&results->sent, 7);

    cr_assert_eq(make("http://b:1", VARIABLES("OTHER=1")), 0);
    cr_assert_neq(settings.targets[0].results, results);
    cr_assert_eq(atomic_load(&settings.targets[0].results->sent), 0);

    cr_assert_eq(make("http://a:1", VARIABLES("OTHER=1")), 0);
    cr_assert_eq(settings.targets[0].results, results);
    cr_assert_eq(atomic_load(&results->sent), 7);
}
