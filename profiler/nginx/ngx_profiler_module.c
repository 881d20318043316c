
/*
 * The core module of the profiler: directives of the main context, and the
 * life cycle. Nothing runs in the master: it only opens libnprof and copies
 * unwind data that workers then share. A profiler that can't start is a log
 * line, never a worker that exits.
 */


#include "ngx_profiler.h"


/* milliseconds */
#define NGX_PROFILER_PERIOD_MAX 3600000

/* of what is stored, where nothing else is said: bytes, seconds */
#define NGX_PROFILER_STORE_SIZE (256 * 1024 * 1024)
#define NGX_PROFILER_STORE_KEEP (24 * 3600)


static void     *ngx_profiler_create_conf(ngx_cycle_t *cycle);
static char     *ngx_profiler_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_int_t ngx_profiler_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_profiler_init_process(ngx_cycle_t *cycle);
static void      ngx_profiler_exit_process(ngx_cycle_t *cycle);
static char     *ngx_profiler_set_types(ngx_conf_t *cf, ngx_command_t *cmd,
                                        void *conf);
static char     *ngx_profiler_check_threshold(ngx_conf_t *cf, void *post,
                                              void *data);
static char     *ngx_profiler_check_interval(ngx_conf_t *cf, void *post,
                                             void *data);
static char     *ngx_profiler_cpu_engine(ngx_conf_t *cf, ngx_command_t *cmd,
                                         void *conf);
static char     *ngx_profiler_set_history(ngx_conf_t *cf, ngx_command_t *cmd,
                                          void *conf);
static char     *ngx_profiler_set_store(ngx_conf_t *cf, ngx_command_t *cmd,
                                        void *conf);
static char *ngx_profiler_check_period(ngx_conf_t *cf, void *post, void *data);


static ngx_conf_num_bounds_t ngx_profiler_rate_bounds
    = {ngx_conf_check_num_bounds, 1, 1000};

static ngx_conf_num_bounds_t ngx_profiler_seconds_bounds
    = {ngx_conf_check_num_bounds, 1, 3600};

static ngx_conf_post_t ngx_profiler_period_post = {ngx_profiler_check_period};

static ngx_conf_post_t ngx_profiler_threshold_post
    = {ngx_profiler_check_threshold};

static ngx_conf_post_t ngx_profiler_interval_post
    = {ngx_profiler_check_interval};

/* by enum nprof_job_kind */
static const char *ngx_profiler_type_names[NPROF_PROFILES]
    = {"cpu", "wall", "stall", "heap"};


/* clang-format off */

static ngx_command_t  ngx_profiler_commands[] = {

    { ngx_string("profiler"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_profiler_conf_t, enable),
      NULL },

    { ngx_string("profiler_types"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_1MORE,
      ngx_profiler_set_types,
      0,
      offsetof(ngx_profiler_conf_t, types),
      NULL },

    { ngx_string("profiler_stall_threshold"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_profiler_conf_t, stall_threshold),
      &ngx_profiler_threshold_post },

    { ngx_string("profiler_rate"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_profiler_conf_t, rate),
      &ngx_profiler_rate_bounds },

    { ngx_string("profiler_cpu_engine"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_profiler_cpu_engine,
      0,
      offsetof(ngx_profiler_conf_t, cpu_engine),
      NULL },

    { ngx_string("profiler_heap_interval"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(ngx_profiler_conf_t, heap_interval),
      &ngx_profiler_interval_post },

    { ngx_string("profiler_max_seconds"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_profiler_conf_t, max_seconds),
      &ngx_profiler_seconds_bounds },

    { ngx_string("profiler_history"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_profiler_set_history,
      0,
      offsetof(ngx_profiler_conf_t, history),
      NULL },

    { ngx_string("profiler_period"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_profiler_conf_t, period),
      &ngx_profiler_period_post },

    { ngx_string("profiler_store"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE123,
      ngx_profiler_set_store,
      0,
      0,
      NULL },

    { ngx_string("profiler_service"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_profiler_conf_t, service),
      NULL },

    { ngx_string("profiler_env"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_profiler_conf_t, env),
      NULL },

    { ngx_string("profiler_version"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_profiler_conf_t, version),
      NULL },

    { ngx_string("profiler_tag"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE2,
      ngx_profiler_tag,
      0,
      0,
      NULL },

    { ngx_string("profiler_upload"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_profiler_upload,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_profiler_module_ctx = {
    ngx_string("profiler"),
    ngx_profiler_create_conf,              /* create configuration */
    ngx_profiler_init_conf                 /* init configuration */
};


ngx_module_t  ngx_profiler_module = {
    NGX_MODULE_V1,
    &ngx_profiler_module_ctx,              /* module context */
    ngx_profiler_commands,                 /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_profiler_init_module,              /* init module */
    ngx_profiler_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_profiler_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    (uintptr_t) &ngx_profiler_label_calls, /* for other modules */
    0, 0, 0, 0, 0, 0, 0
};

/* clang-format on */


static void *
ngx_profiler_create_conf(ngx_cycle_t *cycle)
{
    ngx_profiler_conf_t *conf;

    conf = ngx_pcalloc(cycle->pool, sizeof(ngx_profiler_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->enable = NGX_CONF_UNSET;
    conf->rate = NGX_CONF_UNSET;
    conf->stall_threshold = NGX_CONF_UNSET_MSEC;
    conf->cpu_engine = NGX_CONF_UNSET_UINT;
    conf->heap_interval = NGX_CONF_UNSET_SIZE;
    conf->max_seconds = NGX_CONF_UNSET;
    conf->history = NGX_CONF_UNSET_SIZE;
    conf->period = NGX_CONF_UNSET_MSEC;

    if (ngx_array_init(&conf->tags, cycle->pool, 4, sizeof(struct nprof_tag))
            != NGX_OK
        || ngx_array_init(&conf->targets, cycle->pool, 2,
                          sizeof(struct nprof_target))
               != NGX_OK) {
        return NULL;
    }

    return conf;
}


static char *
ngx_profiler_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_profiler_conf_t *pcf = conf;

    if (ngx_profiler_identity_init(cycle, pcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(pcf->rate, NPROF_RATE_DEFAULT);
    ngx_conf_init_msec_value(pcf->stall_threshold, 10);
    ngx_conf_init_uint_value(pcf->cpu_engine, NPROF_CPU_ENGINE_DEFAULT);
    ngx_conf_init_size_value(pcf->heap_interval, NPROF_HEAP_INTERVAL_DEFAULT);
    ngx_conf_init_value(pcf->max_seconds, 300);
    ngx_conf_init_size_value(pcf->history, 16 * 1024 * 1024);
    ngx_conf_init_msec_value(pcf->period, NPROF_PERIOD_DEFAULT);

    if (pcf->types == 0) {
        pcf->types = NPROF_TYPE(NPROF_JOB_CPU) | NPROF_TYPE(NPROF_JOB_HEAP)
                     | NPROF_TYPE(NPROF_JOB_STALL);
    }

    return NGX_CONF_OK;
}


/* nginx's own setter of an enumeration names neither directive nor values */
static char *
ngx_profiler_cpu_engine(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;
    ngx_uint_t *engine;

    engine = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*engine != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "timers") == 0) {
        *engine = NPROF_CPU_TIMERS;

    } else if (ngx_strcmp(value[1].data, "jitter") == 0) {
        *engine = NPROF_CPU_JITTER;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, "
                           "it must be \"timers\" or \"jitter\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_profiler_init_module(ngx_cycle_t *cycle)
{
    int                         rc;
    ngx_profiler_conf_t        *pcf;
    const struct nprof_library *library;

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_profiler_module);

    if (ngx_test_config || !(pcf->enable || pcf->endpoint)) {
        return NGX_OK;
    }

    ngx_profiler_library_open(cycle->log);

    library = ngx_profiler_library();

    if (library == NULL || !pcf->enable) {
        return NGX_OK;
    }

    ngx_profiler_identify(cycle, pcf);

    rc = library->prepare();

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, -rc,
                      "profiler could not prepare what workers share");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_profiler_init_process(ngx_cycle_t *cycle)
{
    ngx_profiler_conf_t *pcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;
    }

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_profiler_module);

    if (pcf->enable) {
        ngx_profiler_worker_start(cycle, pcf);
    }

    return NGX_OK;
}


static void
ngx_profiler_exit_process(ngx_cycle_t *cycle)
{
    ngx_profiler_worker_stop(cycle);
}


/* the kind of that name; NPROF_PROFILES if there is none */
static ngx_uint_t
ngx_profiler_type(ngx_str_t *name)
{
    ngx_uint_t kind;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        if (ngx_strcmp(name->data, ngx_profiler_type_names[kind]) == 0) {
            break;
        }
    }

    return kind;
}


static char *
ngx_profiler_set_types(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;
    ngx_uint_t *types, i, kind;

    types = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*types != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        kind = ngx_profiler_type(&value[i]);

        if (kind < NPROF_PROFILES && !(*types & NPROF_TYPE(kind))) {
            *types |= NPROF_TYPE(kind);
            continue;
        }

        ngx_conf_log_error(
            NGX_LOG_EMERG, cf, 0, "type \"%V\" in \"%V\" directive %s",
            &value[i], &cmd->name,
            kind < NPROF_PROFILES ? "is given twice"
                                  : "is none of cpu, heap, stall and wall");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_profiler_set_history(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t           *value;
    ngx_profiler_conf_t *pcf = conf;

    value = cf->args->elts;

    if (pcf->history == NGX_CONF_UNSET_SIZE
        && ngx_strcmp(value[1].data, "off") == 0) {
        pcf->history = 0;
        return NGX_CONF_OK;
    }

    return ngx_conf_set_size_slot(cf, cmd, conf);
}


/* max_size= or keep=; what is wrong is logged */
static ngx_int_t
ngx_profiler_store_option(ngx_conf_t *cf, ngx_profiler_conf_t *pcf,
                          ngx_str_t *option)
{
    ngx_str_t value;

    if (ngx_strncmp(option->data, "max_size=", 9) == 0) {
        value.data = option->data + 9;
        value.len = option->len - 9;
        pcf->store_max_size = ngx_parse_offset(&value);

        if (pcf->store_max_size > 0) {
            return NGX_OK;
        }

    } else if (ngx_strncmp(option->data, "keep=", 5) == 0) {
        value.data = option->data + 5;
        value.len = option->len - 5;
        pcf->store_keep = ngx_parse_time(&value, 1);

        if (pcf->store_keep > 0) {
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"profiler_store\" "
                       "directive",
                       option);

    return NGX_ERROR;
}


/* nginx makes the folder, for the user of its workers */
static char *
ngx_profiler_set_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_path_t          *path;
    ngx_profiler_conf_t *pcf = conf;

    if (pcf->store) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "needs a path";
    }

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = value[1];

    if (path->name.data[path->name.len - 1] == '/' && path->name.len > 1) {
        path->name.data[--path->name.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    pcf->store_max_size = NGX_PROFILER_STORE_SIZE;
    pcf->store_keep = NGX_PROFILER_STORE_KEEP;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_profiler_store_option(cf, pcf, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    pcf->store = path;

    return ngx_add_path(cf, &pcf->store) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static char *
ngx_profiler_check_period(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *period = data;

    if (*period < NPROF_PERIOD_MIN || *period > NGX_PROFILER_PERIOD_MAX) {
        ngx_conf_log_error(
            NGX_LOG_EMERG, cf, 0, "value must be between %ds and %ds",
            NPROF_PERIOD_MIN / 1000, NGX_PROFILER_PERIOD_MAX / 1000);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_profiler_check_threshold(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *threshold = data;

    if (*threshold < NPROF_STALL_THRESHOLD_MIN
        || *threshold > NPROF_STALL_THRESHOLD_MAX) {
        ngx_conf_log_error(
            NGX_LOG_EMERG, cf, 0, "value must be between %dms and %ds",
            NPROF_STALL_THRESHOLD_MIN, NPROF_STALL_THRESHOLD_MAX / 1000);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* in between the weights of small blocks would not be exact */
static char *
ngx_profiler_check_interval(ngx_conf_t *cf, void *post, void *data)
{
    size_t *interval = data;

    if (*interval != NPROF_HEAP_EVERY
        && (*interval < NPROF_HEAP_INTERVAL_MIN
            || *interval > NPROF_HEAP_INTERVAL_MAX)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be 1 or between %dk and %dm",
                           NPROF_HEAP_INTERVAL_MIN / 1024,
                           NPROF_HEAP_INTERVAL_MAX / (1024 * 1024));
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
