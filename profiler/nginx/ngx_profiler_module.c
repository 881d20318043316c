
/*
 * The core module of the profiler: directives of the main context, and the
 * life cycle. Nothing runs in the master: it only opens libnprof and copies
 * unwind data that workers then share. A profiler that can't start is a log
 * line, never a worker that exits.
 */


#include "ngx_profiler.h"


static void     *ngx_profiler_create_conf(ngx_cycle_t *cycle);
static char     *ngx_profiler_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_int_t ngx_profiler_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_profiler_init_process(ngx_cycle_t *cycle);
static void      ngx_profiler_exit_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t ngx_profiler_rate_bounds
    = {ngx_conf_check_num_bounds, 1, 1000};

static ngx_conf_num_bounds_t ngx_profiler_seconds_bounds
    = {ngx_conf_check_num_bounds, 1, 3600};


/* clang-format off */

static ngx_command_t  ngx_profiler_commands[] = {

    { ngx_string("profiler"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_profiler_conf_t, enable),
      NULL },

    { ngx_string("profiler_rate"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_profiler_conf_t, rate),
      &ngx_profiler_rate_bounds },

    { ngx_string("profiler_max_seconds"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_profiler_conf_t, max_seconds),
      &ngx_profiler_seconds_bounds },

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
    NGX_MODULE_V1_PADDING
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
    conf->max_seconds = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_profiler_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_profiler_conf_t *pcf = conf;

    ngx_conf_init_value(pcf->enable, 0);
    ngx_conf_init_value(pcf->rate, NPROF_RATE_DEFAULT);
    ngx_conf_init_value(pcf->max_seconds, 300);

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

    rc = library->prepare();

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, -rc,
                      "profiler could not read the unwind data of nginx");
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
