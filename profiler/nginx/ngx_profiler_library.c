
/*
 * Opens libnprof.so from the folder of this module. RTLD_LOCAL is what keeps
 * nginx and its other modules safe: libunwind's and libdw's symbols reach
 * nobody. The library is never unloaded, so its handle is not kept.
 */


/* nginx's own headers come first: they ask for dladdr() */
#include "ngx_profiler.h"

#include <dlfcn.h>

#include "nprof_build_id.h"


#define NGX_PROFILER_LIBRARY "libnprof.so"


static char     *ngx_profiler_library_path(char *path, size_t size);
static ngx_int_t ngx_profiler_library_check(const struct nprof_library *library,
                                            char *path, ngx_log_t *log);


static const struct nprof_library *ngx_profiler_opened;


const struct nprof_library *
ngx_profiler_library(void)
{
    return ngx_profiler_opened;
}


void
ngx_profiler_library_open(ngx_log_t *log)
{
    char                        path[NGX_MAX_PATH];
    void                       *handle;
    const struct nprof_library *library;

    if (ngx_profiler_opened) {
        return;
    }

    if (ngx_profiler_library_path(path, sizeof(path)) == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler is off: the folder of its module is unknown");
        return;
    }

    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler is off: dlopen() "
                      "failed (%s)",
                      dlerror());
        return;
    }

    library = dlsym(handle, NPROF_SYMBOL);

    if (ngx_profiler_library_check(library, path, log) != NGX_OK) {
        dlclose(handle);
        return;
    }

    ngx_profiler_opened = library;
}


static char *
ngx_profiler_library_path(char *path, size_t size)
{
    char   *slash;
    size_t  len;
    Dl_info info;

    if (dladdr(&ngx_profiler_module, &info) == 0 || info.dli_fname == NULL) {
        return NULL;
    }

    slash = strrchr(info.dli_fname, '/');

    if (slash == NULL) {
        return NULL;
    }

    len = slash + 1 - info.dli_fname;

    if (len + sizeof(NGX_PROFILER_LIBRARY) > size) {
        return NULL;
    }

    ngx_memcpy(path, info.dli_fname, len);
    ngx_memcpy(path + len, NGX_PROFILER_LIBRARY, sizeof(NGX_PROFILER_LIBRARY));

    return path;
}


static ngx_int_t
ngx_profiler_library_check(const struct nprof_library *library, char *path,
                           ngx_log_t *log)
{
    if (library == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler is off: \"%s\" has no symbol \"%s\"", path,
                      NPROF_SYMBOL);
        return NGX_ERROR;
    }

    if (library->abi != NPROF_ABI
        || library->size != sizeof(struct nprof_library)) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler is off: \"%s\" has ABI %uD of %uD bytes "
                      "instead of %d of %uz; after an upgrade, restart nginx "
                      "or upgrade its binary (USR2)",
                      path, library->abi, library->size, NPROF_ABI,
                      sizeof(struct nprof_library));
        return NGX_ERROR;
    }

    if (ngx_strcmp(library->build_id, NPROF_BUILD_ID) != 0) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "profiler is off: \"%s\" is of build %s instead of %s; "
                      "after an upgrade, restart nginx or upgrade its binary "
                      "(USR2)",
                      path, library->build_id, NPROF_BUILD_ID);
        return NGX_ERROR;
    }

    return NGX_OK;
}
