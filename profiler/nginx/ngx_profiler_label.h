
/*
 * Sample labels for other modules: names and values that the profiler puts on
 * what it sees of their work, beside those of the request.
 *
 * This header is all that it takes. Nothing is linked: the profiler's module is
 * found by its name, whichever of the two was loaded first, and where it is
 * missing, off, or of another interface, the calls do nothing.
 *
 *     static const ngx_profiler_label_calls_t  *labels;
 *
 *     in init_module:
 *         labels = ngx_profiler_label_find(cycle);
 *
 *     in a handler, around some work:
 *         ngx_str_t             name = ngx_string("codec");
 *         ngx_profiler_labels_t mine, before;
 *
 *         mine = ngx_profiler_label_with(labels,
 *                                        ngx_profiler_label_current(labels),
 *                                        &name, &codec);
 *         before = ngx_profiler_label_apply(labels, mine);
 *         ... work ...
 *         ngx_profiler_label_apply(labels, before);
 *
 * A module that serves a request also says with what, for the request's span:
 *
 *         ngx_profiler_label_serve(labels, r, mine);
 *
 * A label set is a number, and stays valid as long as the request: the task of a thread pool takes the
 * event loop's along, with `mine` above made before it is posted, applies it
 * when it begins, and restores what was there when it ends.
 *
 * apply() is for the thread that calls it. Restore what it returned before you
 * return to the event loop, finalize the request, or end the task. In the event
 * loop keep it around computing: I/O on a socket and sending a response make
 * the labels those of the request again. Names should be constants and values
 * few: there are at most 4,095 different sets, and a label that finds no room
 * is left out.
 */


#ifndef NGX_PROFILER_LABEL_H
#define NGX_PROFILER_LABEL_H


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_PROFILER_LABEL_ABI 2


struct ngx_http_request_s;

/* A set of labels, and the request that they are of; 0 is none. */
typedef uint64_t ngx_profiler_labels_t;


typedef struct {
    /* NGX_PROFILER_LABEL_ABI */
    ngx_uint_t abi;

    /* Those of the calling thread's work; in the event loop the request's. */
    ngx_profiler_labels_t (*current)(void);

    /* The set with one label more, or with another value of it. */
    ngx_profiler_labels_t (*with)(ngx_profiler_labels_t set, ngx_str_t *name,
                                  ngx_str_t *value);

    /* Makes them those of the calling thread's work; returns the former. */
    ngx_profiler_labels_t (*apply)(ngx_profiler_labels_t set);

    /* They are tags of the request's span, of which "version" is the version.
       In the event loop. */
    void (*serve)(struct ngx_http_request_s *r, ngx_profiler_labels_t set);
} ngx_profiler_label_calls_t;


/*
 * The calls of the profiler's module in that cycle, or NULL. Call it in
 * init_module: the modules of a cycle are all there, and in a process that
 * reloads without workers the calls of the cycle before may be gone.
 */
static ngx_inline const ngx_profiler_label_calls_t *
ngx_profiler_label_find(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    const ngx_profiler_label_calls_t *calls;

    for (i = 0; cycle->modules[i]; i++) {
        if (ngx_strcmp(cycle->modules[i]->name, "ngx_profiler_module") == 0) {
            calls = (const ngx_profiler_label_calls_t *) cycle->modules[i]
                        ->spare_hook0;

            return calls && calls->abi == NGX_PROFILER_LABEL_ABI ? calls : NULL;
        }
    }

    return NULL;
}


static ngx_inline ngx_profiler_labels_t
ngx_profiler_label_current(const ngx_profiler_label_calls_t *calls)
{
    return calls ? calls->current() : 0;
}


static ngx_inline ngx_profiler_labels_t
ngx_profiler_label_with(const ngx_profiler_label_calls_t *calls,
                        ngx_profiler_labels_t set, ngx_str_t *name,
                        ngx_str_t *value)
{
    return calls ? calls->with(set, name, value) : set;
}


static ngx_inline ngx_profiler_labels_t
ngx_profiler_label_apply(const ngx_profiler_label_calls_t *calls,
                         ngx_profiler_labels_t             set)
{
    return calls ? calls->apply(set) : 0;
}


/* Whatever serves a request says once what it served it with. */
static ngx_inline void
ngx_profiler_label_serve(const ngx_profiler_label_calls_t *calls,
                         struct ngx_http_request_s        *r,
                         ngx_profiler_labels_t             set)
{
    if (calls) {
        calls->serve(r, set);
    }
}


#endif /* NGX_PROFILER_LABEL_H */
