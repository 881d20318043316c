
/*
 * The labels of other modules, which find these calls through the core module;
 * see ngx_profiler_label.h. On any thread, whether a profiler runs or not.
 */


#include "ngx_http_profiler.h"


static ngx_profiler_labels_t ngx_profiler_current(void);
static ngx_profiler_labels_t
ngx_profiler_with(ngx_profiler_labels_t set, ngx_str_t *name, ngx_str_t *value);
static ngx_profiler_labels_t ngx_profiler_apply(ngx_profiler_labels_t set);
static void                  ngx_profiler_serve(struct ngx_http_request_s *r,
                                                ngx_profiler_labels_t      set);


const ngx_profiler_label_calls_t ngx_profiler_label_calls = {
    NGX_PROFILER_LABEL_ABI, ngx_profiler_current, ngx_profiler_with,
    ngx_profiler_apply,     ngx_profiler_serve,
};


static ngx_profiler_labels_t
ngx_profiler_current(void)
{
    const struct nprof_library *library = ngx_profiler_library();

    return library ? library->labels.current() : 0;
}


static ngx_profiler_labels_t
ngx_profiler_with(ngx_profiler_labels_t set, ngx_str_t *name, ngx_str_t *value)
{
    const struct nprof_library *library = ngx_profiler_library();

    if (library == NULL || !ngx_profiler_worker_running()) {
        return set;
    }

    return (set & ~(ngx_profiler_labels_t) UINT32_MAX)
           | library->labels.with((uint32_t) set, (char *) name->data,
                                  name->len, (char *) value->data, value->len,
                                  0);
}


static ngx_profiler_labels_t
ngx_profiler_apply(ngx_profiler_labels_t set)
{
    const struct nprof_library *library = ngx_profiler_library();

    return library ? library->labels.apply(set) : 0;
}


static void
ngx_profiler_serve(struct ngx_http_request_s *r, ngx_profiler_labels_t set)
{
    ngx_http_profiler_label_serve(r, (uint32_t) set);
}
