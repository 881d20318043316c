/*
 * The count module: its directives and configuration. Runs in the master
 * while a configuration is read; plug-ins are opened there, and closed with
 * the configuration. What happens to requests is in count/.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_count.h"
#include "value_shelf.h"

#include <ngx_thread_pool.h>


#define NGX_HTTP_COUNT_MAX_VALUES (100 * 1024)


static ngx_int_t ngx_http_count_init_module(ngx_cycle_t *cycle);
static void      ngx_http_count_exit_process(ngx_cycle_t *cycle);
static void     *ngx_http_count_create_main_conf(ngx_conf_t *cf);
static void     *ngx_http_count_create_loc_conf(ngx_conf_t *cf);
static char     *ngx_http_count_merge_loc_conf(ngx_conf_t *cf, void *parent,
                                               void *child);
static char     *ngx_http_count(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char     *ngx_http_count_plugin(ngx_conf_t *cf, ngx_command_t *cmd,
                                       void *conf);
static char     *ngx_http_count_sort(ngx_conf_t *cf, ngx_command_t *cmd,
                                     void *conf);
static char     *ngx_http_count_input(ngx_conf_t *cf, ngx_command_t *cmd,
                                      void *conf);
static char     *ngx_http_count_threads(ngx_conf_t *cf, ngx_command_t *cmd,
                                        void *conf);


static ngx_conf_num_bounds_t ngx_http_count_values_bounds
    = {ngx_conf_check_num_bounds, 1, -1};


/* clang-format off */

static ngx_command_t  ngx_http_count_commands[] = {

    { ngx_string("count"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_count,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("count_plugin"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_count_plugin,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("count_sort"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_count_sort,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("count_input"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_count_input,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("count_max_values"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_count_loc_conf_t, max_values),
      &ngx_http_count_values_bounds },

    { ngx_string("count_threads"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_count_threads,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_count_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_count_create_main_conf,       /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_count_create_loc_conf,        /* create location configuration */
    ngx_http_count_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_count_module = {
    NGX_MODULE_V1,
    &ngx_http_count_module_ctx,            /* module context */
    ngx_http_count_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_count_init_module,            /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_count_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};

/* clang-format on */


const ngx_profiler_label_calls_t *ngx_http_count_labels;


ngx_http_count_plugin_t *
ngx_http_count_find_plugin(ngx_http_count_main_conf_t *mcf, ngx_str_t *name)
{
    ngx_uint_t                i;
    ngx_http_count_plugin_t **plugins;

    plugins = mcf->plugins.elts;

    for (i = 0; i < mcf->plugins.nelts; i++) {
        if (plugins[i]->name.len == name->len
            && ngx_memcmp(plugins[i]->name.data, name->data, name->len) == 0) {
            return plugins[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_count_init_module(ngx_cycle_t *cycle)
{
    ngx_http_count_labels = ngx_profiler_label_find(cycle);

    return NGX_OK;
}


/* Thread pools, whose module stands before us, have ended by now, or were told
   to. */
static void
ngx_http_count_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_count_wait(cycle->log);
    value_shelf_clear();
}


static void *
ngx_http_count_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_count_main_conf_t *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_count_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->plugins, cf->pool, 4,
                       sizeof(ngx_http_count_plugin_t *))
        != NGX_OK) {
        return NULL;
    }

    return mcf;
}


static void *
ngx_http_count_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_count_loc_conf_t *clcf;

    clcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_count_loc_conf_t));
    if (clcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     clcf->enabled = 0;
     *     clcf->sort = NULL;
     *     clcf->plugin = NULL;
     *     clcf->input = NULL;
     */

    clcf->max_values = NGX_CONF_UNSET_SIZE;
    clcf->thread_pool = NGX_CONF_UNSET_PTR;

    return clcf;
}


/* Looks up the plug-in of a count_sort without variables. */
static ngx_int_t
ngx_http_count_resolve(ngx_conf_t *cf, ngx_http_count_loc_conf_t *clcf)
{
    ngx_str_t                  *name;
    ngx_http_count_main_conf_t *mcf;

    if (clcf->sort == NULL || clcf->sort->lengths != NULL) {
        return NGX_OK;
    }

    name = &clcf->sort->value;
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_count_module);

    clcf->plugin = ngx_http_count_find_plugin(mcf, name);
    if (clcf->plugin != NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"count_sort\" names \"%V\", but no \"count_plugin\" does, "
                  "in %V:%ui",
                  name, &clcf->sort_place.file, clcf->sort_place.line);

    return NGX_ERROR;
}


static char *
ngx_http_count_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_count_loc_conf_t *prev = parent;
    ngx_http_count_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t *core;

    if (conf->sort == NULL) {
        conf->sort = prev->sort;
        conf->sort_place = prev->sort_place;
    }

    if (conf->input == NULL) {
        conf->input = prev->input;
    }

    ngx_conf_merge_size_value(conf->max_values, prev->max_values,
                              NGX_HTTP_COUNT_MAX_VALUES);
    ngx_conf_merge_ptr_value(conf->thread_pool, prev->thread_pool, NULL);

    if (ngx_http_count_resolve(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* "if" and "limit_except" serve what the location around them does */
    if (core->noname && core->handler == NULL && prev->enabled) {
        conf->enabled = 1;
        core->handler = ngx_http_count_handler;
    }

    if (conf->enabled && conf->sort == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"count\" needs a \"count_sort\" in %V:%ui",
                      &conf->count_place.file, conf->count_place.line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_count_remember_place(ngx_conf_t *cf, ngx_http_count_place_t *place)
{
    place->file = cf->conf_file->file.name;
    place->line = cf->conf_file->line;
}


static char *
ngx_http_count(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_count_loc_conf_t *clcf = conf;

    ngx_http_core_loc_conf_t *core;

    if (clcf->enabled) {
        return "is duplicate";
    }

    clcf->enabled = 1;
    ngx_http_count_remember_place(cf, &clcf->count_place);

    core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    core->handler = ngx_http_count_handler;

    return NGX_CONF_OK;
}


static void
ngx_http_count_close_plugin(void *data)
{
    sort_loader_close(data);
}


/* Prepares the beginning of all answers that the plug-in has a part in. */
static ngx_int_t
ngx_http_count_make_head(ngx_conf_t *cf, ngx_http_count_plugin_t *plugin)
{
    u_char *p, *name, *version;
    size_t  name_len, version_len, size;

    name = (u_char *) plugin->library.plugin->name;
    version = (u_char *) plugin->library.plugin->version;
    name_len = ngx_strlen(name);
    version_len = ngx_strlen(version);

    size = sizeof("{\"algorithm\":\"\",\"version\":\"\",\"count\":") - 1
           + name_len + ngx_escape_json(NULL, name, name_len) + version_len
           + ngx_escape_json(NULL, version, version_len);

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    plugin->head.data = p;

    p = ngx_sprintf(p, "{\"algorithm\":\"");
    p = (u_char *) ngx_escape_json(p, name, name_len);
    p = ngx_sprintf(p, "\",\"version\":\"");
    p = (u_char *) ngx_escape_json(p, version, version_len);
    p = ngx_sprintf(p, "\",\"count\":");

    plugin->head.len = p - plugin->head.data;

    return NGX_OK;
}


static char *
ngx_http_count_plugin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_count_main_conf_t *mcf = conf;

    char                      error[SORT_LOADER_ERROR];
    ngx_str_t                *value;
    ngx_pool_cleanup_t       *cln;
    ngx_http_count_plugin_t  *plugin;
    ngx_http_count_plugin_t **slot;

    value = cf->args->elts;

    if (ngx_http_count_find_plugin(mcf, &value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate plug-in \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &value[2], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(&mcf->plugins);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_count_plugin_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    plugin = cln->data;
    plugin->name = value[1];
    *slot = plugin;

    if (sort_loader_open((char *) value[2].data, &plugin->library, error,
                         sizeof(error))
        != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "plug-in \"%V\": %s",
                           &value[1], error);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_count_close_plugin;
    cln->data = &plugin->library;

    return ngx_http_count_make_head(cf, plugin) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static char *
ngx_http_count_sort(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_count_loc_conf_t *clcf = conf;

    ngx_str_t                       *value;
    ngx_http_compile_complex_value_t ccv;

    if (clcf->sort != NULL) {
        return "is duplicate";
    }

    clcf->sort = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (clcf->sort == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = clcf->sort;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_count_remember_place(cf, &clcf->sort_place);

    return NGX_CONF_OK;
}


static char *
ngx_http_count_input(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_count_loc_conf_t *clcf = conf;

    ngx_str_t *value;

    if (clcf->input != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    clcf->input = ngx_http_count_input_create(cf, &value[1]);

    return clcf->input != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_count_threads(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_count_loc_conf_t *clcf = conf;

    ngx_str_t *value;

    if (clcf->thread_pool != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        clcf->thread_pool = NULL;
        return NGX_CONF_OK;
    }

    /* a pool that no thread_pool defines is refused by its module */
    clcf->thread_pool = ngx_thread_pool_add(cf, &value[1]);

    return clcf->thread_pool != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}
