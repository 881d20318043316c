
/*
 * The HTTP endpoint of the profiler: what /debug/pprof/ is in Go programs.
 * This file has its directive and its paths.
 */


#include "ngx_http_profiler.h"


typedef struct {
    ngx_str_t  name;
    ngx_uint_t methods;
    ngx_int_t (*handler)(ngx_http_request_t *r);
    /* whose stacks the index counts; NPROF_PROFILES: none's */
    enum nprof_job_kind kind;
    const char         *about;
} ngx_http_profiler_path_t;


static ngx_int_t ngx_http_profiler_init(ngx_conf_t *cf);
static void     *ngx_http_profiler_create_loc_conf(ngx_conf_t *cf);
static char     *ngx_http_profiler_merge_loc_conf(ngx_conf_t *cf, void *parent,
                                                  void *child);
static char     *ngx_http_profiler_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
                                            void *conf);
static ngx_int_t ngx_http_profiler_init_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_profiler_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_refuse_method(ngx_http_request_t *r,
                                                 ngx_uint_t          methods);
static ngx_http_profiler_path_t *ngx_http_profiler_find(ngx_str_t *path);
static ngx_int_t ngx_http_profiler_subpath(ngx_http_request_t *r,
                                           ngx_str_t          *path);
static ngx_int_t ngx_http_profiler_index(ngx_http_request_t *r);
static ngx_int_t ngx_http_profiler_cmdline(ngx_http_request_t *r);


/* clang-format off */

static ngx_command_t  ngx_http_profiler_commands[] = {

    { ngx_string("profiler_endpoint"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_profiler_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("profiler_label"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_profiler_label,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_profiler_loc_conf_t, labels),
      NULL },

    { ngx_string("profiler_trace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_profiler_trace,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_profiler_loc_conf_t, trace),
      NULL },

    { ngx_string("profiler_trace_resource"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_profiler_loc_conf_t, trace_resource),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_profiler_module_ctx = {
    ngx_http_profiler_trace_variables,     /* preconfiguration */
    ngx_http_profiler_init,                /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_profiler_create_loc_conf,     /* create location configuration */
    ngx_http_profiler_merge_loc_conf       /* merge location configuration */
};


static ngx_http_profiler_path_t  ngx_http_profiler_paths[] = {

    { ngx_string("ui"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_ui,
      NPROF_PROFILES,
      "flame graphs and comparisons, in the browser" },

    { ngx_string("profile"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_cpu,
      NPROF_JOB_CPU,
      "CPU of all workers over ?seconds=N (30)" },

    { ngx_string("wall"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_wall,
      NPROF_JOB_WALL,
      "where threads spend time, running or not, over ?seconds=N (30)" },

    { ngx_string("stall"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_stall,
      NPROF_JOB_STALL,
      "what held event loops up, over ?seconds=N (30)" },

    { ngx_string("heap"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_heap,
      NPROF_JOB_HEAP,
      "memory in use of all workers; what was allocated over ?seconds=N" },

    { ngx_string("allocs"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_allocs,
      NPROF_JOB_HEAP,
      "the same, allocations first: all since the start" },

    { ngx_string("symbol"),
      NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST,
      ngx_http_profiler_symbol,
      NPROF_PROFILES,
      "names of the addresses in a POST, 0xADDR+0xADDR" },

    { ngx_string("cmdline"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_cmdline,
      NPROF_PROFILES,
      "the command line, NUL between arguments" },

    { ngx_string("status"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_status,
      NPROF_PROFILES,
      "what the profiler counts, as JSON; ?format=prometheus" },

    /* with what is below it */
    { ngx_string("store"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_store,
      NPROF_PROFILES,
      "profiles of the past that profiler_store keeps" },

    /* empty, and not listed */
    { ngx_string("block"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_foreign,
      NPROF_PROFILES,
      NULL },

    { ngx_string("mutex"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_foreign,
      NPROF_PROFILES,
      NULL },

    { ngx_string("goroutine"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_foreign,
      NPROF_PROFILES,
      NULL },

    { ngx_string("threadcreate"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_foreign,
      NPROF_PROFILES,
      NULL },

    /* of Go's fgprof: for an exact location of that name, and not listed */
    { ngx_string("fgprof"),
      NGX_HTTP_GET|NGX_HTTP_HEAD,
      ngx_http_profiler_wall,
      NPROF_JOB_WALL,
      NULL }
};


static ngx_http_profiler_path_t  ngx_http_profiler_index_path = {
    ngx_null_string,
    NGX_HTTP_GET|NGX_HTTP_HEAD,
    ngx_http_profiler_index,
    NPROF_PROFILES,
    NULL
};


ngx_module_t  ngx_http_profiler_module = {
    NGX_MODULE_V1,
    &ngx_http_profiler_module_ctx,         /* module context */
    ngx_http_profiler_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_profiler_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};

/* clang-format on */

#define NGX_HTTP_PROFILER_PATHS \
    (sizeof(ngx_http_profiler_paths) / sizeof(ngx_http_profiler_paths[0]))


static ngx_str_t ngx_http_profiler_html
    = ngx_string("text/html; charset=utf-8");


static ngx_int_t
ngx_http_profiler_init(ngx_conf_t *cf)
{
    if (ngx_http_profiler_label_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_profiler_trace_init(cf);
}


static void *
ngx_http_profiler_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_profiler_loc_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_profiler_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    if (ngx_http_profiler_label_location(cf, &conf->name) != NGX_OK) {
        return NULL;
    }

    conf->trace = NGX_CONF_UNSET;

    return conf;
}


/* "if" and "limit_except" in a location are of that location */
static char *
ngx_http_profiler_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_profiler_loc_conf_t *prev = parent;
    ngx_http_profiler_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t *clcf;

    if (conf->name.len == 0) {
        conf->name = prev->name;
    }

    if (conf->labels == NULL) {
        conf->labels = prev->labels;
    }

    ngx_conf_merge_value(conf->trace, prev->trace, 0);

    if (conf->trace_resource == NULL) {
        conf->trace_resource = prev->trace_resource;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && prev->location) {
        conf->location = prev->location;

        if (clcf->handler == NULL) {
            clcf->handler = ngx_http_profiler_handler;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_profiler_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_profiler_loc_conf_t *plcf = conf;

    ngx_profiler_conf_t      *pcf;
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_profiler_handler) {
        return "is duplicate";
    }

    if (clcf->named) {
        return "is not allowed in a named location";
    }

#if (NGX_PCRE)
    if (clcf->regex) {
        return "is not allowed in a location given by a regular expression";
    }
#endif

    if (clcf->noname) {
        return "is not allowed in an \"if\" or \"limit_except\"";
    }

    clcf->handler = ngx_http_profiler_handler;
    plcf->location = clcf;

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    pcf = (ngx_profiler_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                               ngx_profiler_module);
    pcf->endpoint = 1;

    return NGX_CONF_OK;
}


/*
 * All of the life cycle is the core module's, whose place depends on what nginx
 * was built with. This one comes after the event modules in any, with or without
 * an http block.
 */
static ngx_int_t
ngx_http_profiler_init_process(ngx_cycle_t *cycle)
{
    ngx_profiler_worker_listen(cycle);

    return NGX_OK;
}


static ngx_int_t
ngx_http_profiler_handler(ngx_http_request_t *r)
{
    ngx_str_t                 path;
    ngx_int_t                 rc;
    ngx_http_profiler_path_t *found;

    if (ngx_http_profiler_subpath(r, &path) == NGX_DECLINED) {
        return ngx_http_profiler_redirect(r);
    }

    found = ngx_http_profiler_find(&path);

    if (found && r->method == NGX_HTTP_POST && (found->methods & r->method)) {
        /* the one handler of a body reads it itself */
        return found->handler(r);
    }

    /* else what is left of the body would be taken for the next request */
    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (found == NULL) {
        return ngx_http_profiler_send_error(r, NGX_HTTP_NOT_FOUND,
                                            "Unknown profile");
    }

    if (!(r->method & found->methods)) {
        return ngx_http_profiler_refuse_method(r, found->methods);
    }

    return found->handler(r);
}


/* 405 says what is allowed, by RFC 9110 15.5.6. */
static ngx_int_t
ngx_http_profiler_refuse_method(ngx_http_request_t *r, ngx_uint_t methods)
{
    ngx_str_t *allow;

    static ngx_str_t get = ngx_string("GET, HEAD");
    static ngx_str_t post = ngx_string("GET, HEAD, POST");

    allow = methods & NGX_HTTP_POST ? &post : &get;

    if (ngx_http_profiler_add_header(r, "Allow", allow) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_profiler_send_error(r, NGX_HTTP_NOT_ALLOWED,
                                        "Method not allowed");
}


static ngx_http_profiler_path_t *
ngx_http_profiler_find(ngx_str_t *path)
{
    size_t                    len;
    ngx_uint_t                i;
    ngx_http_profiler_path_t *p;

    if (path->len == 0) {
        return &ngx_http_profiler_index_path;
    }

    len = path->len;

    if (len >= 6 && ngx_strncmp(path->data, "store/", 6) == 0
        && ngx_strlchr(path->data + 6, path->data + len, '/') == NULL) {
        len = 5;
    }

    for (i = 0; i < NGX_HTTP_PROFILER_PATHS; i++) {
        p = &ngx_http_profiler_paths[i];

        if (len == p->name.len
            && ngx_strncmp(path->data, p->name.data, len) == 0) {
            return p;
        }
    }

    return NULL;
}


/*
 * The URI less the location's prefix; in an exact location its last
 * component. NGX_DECLINED if it is the prefix itself, without a slash.
 */
static ngx_int_t
ngx_http_profiler_subpath(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char                       *last;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_profiler_loc_conf_t *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_profiler_module);
    clcf = plcf->location;

    last = r->uri.data + r->uri.len;

    if (clcf->exact_match) {
        path->data = last;

        while (path->data > r->uri.data && path->data[-1] != '/') {
            path->data--;
        }

    } else {
        path->data = r->uri.data + ngx_min(clcf->name.len, r->uri.len);

        if (path->data == last && path->data > r->uri.data
            && path->data[-1] != '/') {
            return NGX_DECLINED;
        }

        if (path->data < last && *path->data == '/') {
            path->data++;
        }
    }

    path->len = last - path->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_profiler_redirect(ngx_http_request_t *r)
{
    size_t  len;
    u_char *p;

    len = r->uri.len + 1 + (r->args.len ? r->args.len + 1 : 0);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_clear_location(r);

    r->headers_out.location = ngx_list_push(&r->headers_out.headers);
    if (r->headers_out.location == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(r->headers_out.location, sizeof(ngx_table_elt_t));
    r->headers_out.location->hash = 1;
    ngx_str_set(&r->headers_out.location->key, "Location");
    r->headers_out.location->value.len = len;
    r->headers_out.location->value.data = p;

    p = ngx_cpymem(p, r->uri.data, r->uri.len);
    *p++ = '/';

    if (r->args.len) {
        *p++ = '?';
        ngx_memcpy(p, r->args.data, r->args.len);
    }

    return NGX_HTTP_MOVED_PERMANENTLY;
}


/* A row of the index: as Go's, with the number of different stacks first. */
static u_char *
ngx_http_profiler_index_row(u_char *p, u_char *last,
                            ngx_http_profiler_path_t *path)
{
    uint64_t                    stacks;
    const struct nprof_library *library;

    library = ngx_profiler_library();
    p = ngx_slprintf(p, last, "<tr><td>");

    if (path->kind != NPROF_PROFILES) {
        stacks = library ? library->stacks(path->kind) : 0;
        p = ngx_slprintf(p, last, "%uL", stacks);
    }

    return ngx_slprintf(p, last,
                        "</td><td><a href=\"%V\">%V</a></td><td>%s</td></tr>\n",
                        &path->name, &path->name, path->about);
}


static ngx_int_t
ngx_http_profiler_index(ngx_http_request_t *r)
{
    u_char    *p, *last;
    ngx_uint_t i;
    u_char     page[4096];

    last = page + sizeof(page);
    p = ngx_slprintf(page, last,
                     "<!DOCTYPE html>\n<html lang=\"en\">\n<head>"
                     "<title>/debug/pprof/</title></head>\n<body>\n"
                     "<h1>Profiles of nginx worker %P</h1>\n<table>\n"
                     "<tr><th>Stacks</th><th>Profile</th><th></th></tr>\n",
                     ngx_pid);

    for (i = 0; i < NGX_HTTP_PROFILER_PATHS; i++) {
        if (ngx_http_profiler_paths[i].about) {
            p = ngx_http_profiler_index_row(p, last,
                                            &ngx_http_profiler_paths[i]);
        }
    }

    p = ngx_slprintf(p, last, "</table>\n</body>\n</html>\n");

    return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_html, NULL,
                                  page, p - page);
}


static ngx_int_t
ngx_http_profiler_cmdline(ngx_http_request_t *r)
{
    int     i;
    size_t  len;
    u_char *line, *p;

    len = 0;

    for (i = 0; i < ngx_argc; i++) {
        len += ngx_strlen(ngx_argv[i]) + 1;
    }

    line = ngx_pnalloc(r->pool, len);
    if (line == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = line;

    for (i = 0; i < ngx_argc; i++) {
        p = ngx_cpymem(p, ngx_argv[i], ngx_strlen(ngx_argv[i]) + 1);
    }

    /* between the arguments, not after the last */
    return ngx_http_profiler_send(r, NGX_HTTP_OK, &ngx_http_profiler_plain,
                                  NULL, line, len ? len - 1 : 0);
}
