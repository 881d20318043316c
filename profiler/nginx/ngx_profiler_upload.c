
/*
 * What the instance is called and where its profiles go: the directives, and
 * the DD_* variables, which only the master has. nginx gives workers no
 * environment, and a new binary (USR2) only what its `env` list names: the
 * variables are added to that, but for keys. libnprof knows what they mean.
 */


#include "ngx_profiler.h"


static ngx_uint_t ngx_profiler_is_repeated(const ngx_array_t         *targets,
                                           const struct nprof_target *target);
static ngx_uint_t ngx_profiler_variable_is(const char *variable,
                                           const char *name);
static ngx_int_t  ngx_profiler_keep_variables(ngx_cycle_t *cycle);
static ngx_uint_t ngx_profiler_asked_for(ngx_array_t *environment);


char *
ngx_profiler_upload(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_profiler_conf_t *pcf = conf;

    ngx_str_t           *value;
    struct nprof_target *target;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        if (pcf->targets.nelts || pcf->upload_off) {
            return "is duplicate";
        }

        pcf->upload_off = 1;
        return NGX_CONF_OK;
    }

    if (pcf->upload_off) {
        return "is duplicate";
    }

    if (pcf->targets.nelts == NPROF_TARGETS_MAX) {
        return "is given too often";
    }

    target = ngx_array_push(&pcf->targets);
    if (target == NULL) {
        return NGX_CONF_ERROR;
    }

    target->url = cf->args->nelts == 3 ? (char *) value[2].data : NULL;

    if (ngx_strcmp(value[1].data, "datadog") == 0) {
        target->kind = NPROF_DATADOG;

    } else if (ngx_strcmp(value[1].data, "pyroscope") == 0) {
        target->kind = NPROF_PYROSCOPE;

        if (target->url == NULL) {
            return "needs the URL of Pyroscope";
        }

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, "
                           "it must be \"datadog\", \"pyroscope\" or \"off\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    /* the URL itself may have a password */
    if (target->url && ngx_strncmp(target->url, "http://", 7) != 0
        && ngx_strncmp(target->url, "https://", 8) != 0
        && ngx_strncmp(target->url, "unix:", 5) != 0) {
        return "has a URL that does not begin with http://, https:// or unix:";
    }

    if (ngx_profiler_is_repeated(&pcf->targets, target)) {
        return "is duplicate";
    }

    return NGX_CONF_OK;
}


/* Whether a target before the last one is the same. */
static ngx_uint_t
ngx_profiler_is_repeated(const ngx_array_t         *targets,
                         const struct nprof_target *target)
{
    const struct nprof_target *other;

    for (other = targets->elts; other != target; other++) {
        if (other->kind != target->kind) {
            continue;
        }

        if (other->url == NULL || target->url == NULL
                ? other->url == target->url
                : ngx_strcmp(other->url, target->url) == 0) {
            return 1;
        }
    }

    return 0;
}


char *
ngx_profiler_tag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_profiler_conf_t *pcf = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    struct nprof_tag *tag, *tags;

    static const char *directives[] = {"service", "env", "version"};

    value = cf->args->elts;

    if (value[1].len == 0 || value[2].len == 0) {
        return "has an empty name or value";
    }

    for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (ngx_strcmp(value[1].data, directives[i]) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%s\" is set by the \"profiler_%s\" directive",
                               directives[i], directives[i]);
            return NGX_CONF_ERROR;
        }
    }

    tags = pcf->tags.elts;

    for (i = 0; i < pcf->tags.nelts; i++) {
        if (ngx_strcmp(tags[i].name, value[1].data) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "tag \"%V\" in \"%V\" directive is duplicate",
                               &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    tag = ngx_array_push(&pcf->tags);
    if (tag == NULL) {
        return NGX_CONF_ERROR;
    }

    tag->name = (char *) value[1].data;
    tag->value = (char *) value[2].data;

    return NGX_CONF_OK;
}


/* "NAME=VALUE" is of that name */
static ngx_uint_t
ngx_profiler_variable_is(const char *variable, const char *name)
{
    size_t len;

    len = ngx_strlen(name);

    return ngx_strncmp(variable, name, len) == 0 && variable[len] == '=';
}


static ngx_uint_t
ngx_profiler_variable_wanted(const char *variable)
{
    return ngx_strncmp(variable, "DD_", 3) == 0
           || ngx_profiler_variable_is(variable, "SSL_CERT_FILE");
}


/*
 * The variables as nginx and its `env` directives have them, the latter first,
 * for libnprof.
 */
static ngx_int_t
ngx_profiler_read_variables(ngx_cycle_t *cycle, ngx_array_t *environment)
{
    char           **p;
    ngx_str_t       *var;
    ngx_uint_t       i;
    const char     **variable;
    ngx_core_conf_t *ccf;

    if (ngx_array_init(environment, cycle->pool, 16, sizeof(char *))
        != NGX_OK) {
        return NGX_ERROR;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    var = ccf->env.elts;

    for (i = 0; i < ccf->env.nelts; i++) {
        if (var[i].data[var[i].len] == '='
            && ngx_profiler_variable_wanted((char *) var[i].data)) {
            variable = ngx_array_push(environment);
            if (variable == NULL) {
                return NGX_ERROR;
            }

            *variable = (char *) var[i].data;
        }
    }

    for (p = environ; *p; p++) {
        if (ngx_profiler_variable_wanted(*p)) {
            variable = ngx_array_push(environment);
            if (variable == NULL) {
                return NGX_ERROR;
            }

            *variable = *p;
        }
    }

    variable = ngx_array_push(environment);
    if (variable == NULL) {
        return NGX_ERROR;
    }

    *variable = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_profiler_keep_variables(ngx_cycle_t *cycle)
{
    char           **p, *value;
    ngx_str_t       *var;
    ngx_core_conf_t *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    for (p = environ; *p; p++) {
        value = strchr(*p, '=');

        if (value == NULL || ngx_strncmp(*p, "DD_", 3) != 0
            || ngx_profiler_variable_is(*p, "DD_API_KEY")
            || ngx_profiler_variable_is(*p, "DD_APP_KEY")) {
            continue;
        }

        var = ngx_array_push(&ccf->env);
        if (var == NULL) {
            return NGX_ERROR;
        }

        /* only the name: nginx takes the value when it needs it */
        var->len = value - *p;
        var->data = ngx_pnalloc(cycle->pool, var->len + 1);
        if (var->data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn(var->data, (u_char *) *p, var->len + 1);
    }

    return NGX_OK;
}


/* DD_PROFILING_ENABLED says yes */
static ngx_uint_t
ngx_profiler_asked_for(ngx_array_t *environment)
{
    ngx_uint_t  i;
    const char *value, **variable;

    static const char name[] = "DD_PROFILING_ENABLED";

    variable = environment->elts;

    for (i = 0; variable[i]; i++) {
        if (!ngx_profiler_variable_is(variable[i], name)) {
            continue;
        }

        value = variable[i] + sizeof(name);

        return ngx_strcasecmp((u_char *) value, (u_char *) "true") == 0
               || ngx_strcmp(value, "1") == 0 || ngx_strcmp(value, "auto") == 0;
    }

    return 0;
}


ngx_int_t
ngx_profiler_identity_init(ngx_cycle_t *cycle, ngx_profiler_conf_t *conf)
{
    ngx_uint_t           asked;
    struct nprof_target *target;

    if (ngx_profiler_read_variables(cycle, &conf->environment) != NGX_OK) {
        return NGX_ERROR;
    }

    asked = ngx_profiler_asked_for(&conf->environment);
    ngx_conf_init_value(conf->enable, asked);

    /* a later configuration may turn it on */
    if (ngx_profiler_keep_variables(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!conf->enable) {
        return NGX_OK;
    }

    if (asked && !conf->upload_off && conf->targets.nelts == 0) {
        target = ngx_array_push(&conf->targets);
        if (target == NULL) {
            return NGX_ERROR;
        }

        target->kind = NPROF_DATADOG;
        target->url = NULL;
    }

    return NGX_OK;
}


void
ngx_profiler_identify(ngx_cycle_t *cycle, ngx_profiler_conf_t *conf)
{
    char                  message[512];
    struct nprof_identity identity;

    ngx_memzero(&identity, sizeof(struct nprof_identity));

    identity.environment = conf->environment.elts;
    identity.service = (char *) conf->service.data;
    identity.env = (char *) conf->env.data;
    identity.version = (char *) conf->version.data;
    identity.tags = conf->tags.elts;
    identity.n_tags = conf->tags.nelts;
    identity.targets = conf->targets.elts;
    identity.n_targets = conf->targets.nelts;

    (void) ngx_profiler_library()->identify(&identity, message,
                                            sizeof(message));

    if (message[0] != '\0') {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "profiler: %s", message);
    }
}
