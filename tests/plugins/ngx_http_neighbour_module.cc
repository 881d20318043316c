
/*
 * An nginx module in C++ that shares the worker with the profiler. For tests.
 *
 *   neighbour;             location: throws and catches exceptions, and says
 *                          who unwinds them, and how many SIGPROF it got
 *   neighbour_sigprof on;  http: takes SIGPROF in the master, before any
 *                          worker, and has each worker signalled by ITIMER_PROF
 */


extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

extern ngx_module_t  ngx_http_neighbour_module;
extern ngx_module_t *ngx_modules[];
extern char         *ngx_module_names[];
extern char         *ngx_module_order[];
}

#include <csignal>
#include <stdexcept>

#include <dlfcn.h>
#include <sys/time.h>
#include <unwind.h>


#define NGX_HTTP_NEIGHBOUR_THROWS 1000
#define NGX_HTTP_NEIGHBOUR_USEC 10000


namespace {


volatile sig_atomic_t ngx_http_neighbour_signals;

ngx_uint_t ngx_http_neighbour_sigprof;


[[gnu::noinline]] void
ngx_http_neighbour_throw(ngx_uint_t depth)
{
    if (depth == 0) {
        throw std::runtime_error("thrown");
    }

    ngx_http_neighbour_throw(depth - 1);
    __asm__ volatile("" ::: "memory");
}


/* The file of the function that this module's calls reach. */
const char *
ngx_http_neighbour_file(void *function)
{
    Dl_info info;

    return dladdr(function, &info) ? info.dli_fname : "?";
}


ngx_int_t
ngx_http_neighbour_handler(ngx_http_request_t *r)
{
    u_char    *last;
    ngx_str_t  type = ngx_string("text/plain");
    ngx_uint_t i, caught;

    ngx_http_complex_value_t cv;

    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    caught = 0;

    for (i = 0; i < NGX_HTTP_NEIGHBOUR_THROWS; i++) {
        try {
            ngx_http_neighbour_throw(i % 20);
        } catch (const std::exception &) {
            caught++;
        }
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = (u_char *) ngx_pnalloc(r->pool, NGX_MAX_PATH);
    if (cv.value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last
        = ngx_snprintf(cv.value.data, NGX_MAX_PATH, "%ui %s %s %i", caught,
                       ngx_http_neighbour_file((void *) _Unwind_Resume),
                       ngx_http_neighbour_file((void *) _Unwind_RaiseException),
                       (ngx_int_t) ngx_http_neighbour_signals);
    cv.value.len = last - cv.value.data;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


char *
ngx_http_neighbour(ngx_conf_t *cf, ngx_command_t *, void *)
{
    ngx_http_core_loc_conf_t *clcf;

    clcf = (ngx_http_core_loc_conf_t *) ngx_http_conf_get_module_loc_conf(
        cf, ngx_http_core_module);
    clcf->handler = ngx_http_neighbour_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_neighbour_set_sigprof(ngx_conf_t *, ngx_command_t *, void *)
{
    ngx_http_neighbour_sigprof = 1;

    return NGX_CONF_OK;
}


void
ngx_http_neighbour_signal(int)
{
    ngx_http_neighbour_signals = ngx_http_neighbour_signals + 1;
}


ngx_int_t
ngx_http_neighbour_init_module(ngx_cycle_t *)
{
    struct sigaction action;

    if (ngx_http_neighbour_sigprof) {
        ngx_memzero(&action, sizeof(struct sigaction));
        action.sa_handler = ngx_http_neighbour_signal;
        action.sa_flags = SA_RESTART;
        sigaction(SIGPROF, &action, NULL);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_neighbour_init_process(ngx_cycle_t *)
{
    struct itimerval timer
        = {{0, NGX_HTTP_NEIGHBOUR_USEC}, {0, NGX_HTTP_NEIGHBOUR_USEC}};

    if (ngx_http_neighbour_sigprof && ngx_process == NGX_PROCESS_WORKER) {
        setitimer(ITIMER_PROF, &timer, NULL);
    }

    return NGX_OK;
}


/* nginx unmaps the handler before the process ends */
void
ngx_http_neighbour_exit_process(ngx_cycle_t *)
{
    struct itimerval none = {};

    if (ngx_http_neighbour_sigprof) {
        setitimer(ITIMER_PROF, &none, NULL);
        signal(SIGPROF, SIG_IGN);
    }
}


/* clang-format off */

ngx_command_t  ngx_http_neighbour_commands[] = {

    { ngx_string("neighbour"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_neighbour,
      0,
      0,
      NULL },

    { ngx_string("neighbour_sigprof"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_http_neighbour_set_sigprof,
      0,
      0,
      NULL },

      ngx_null_command
};


ngx_http_module_t  ngx_http_neighbour_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};

/* clang-format on */


char ngx_http_neighbour_name[] = "ngx_http_neighbour_module";


} // namespace


/* clang-format off */

ngx_module_t  ngx_http_neighbour_module = {
    NGX_MODULE_V1,
    &ngx_http_neighbour_module_ctx,        /* module context */
    ngx_http_neighbour_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_neighbour_init_module,        /* init module */
    ngx_http_neighbour_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_neighbour_exit_process,       /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};

/* clang-format on */


/* What nginx's build would generate. */
ngx_module_t *ngx_modules[] = {&ngx_http_neighbour_module, NULL};
char         *ngx_module_names[] = {ngx_http_neighbour_name, NULL};
char         *ngx_module_order[] = {NULL};
