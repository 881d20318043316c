
/*
 * The export thread; see export_thread.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "export_thread.h"
#include "futex_wait.h"
#include "nprof_clock.h"
#include "profiler_threads.h"
#include "symbolize/symbolizer.h"
#include "thread_context.h"
#include "unwind/module_file.h"
#include "window_job.h"


void
profiler_job_export(struct nprof_job *job, struct job_request *request,
                    enum job_step step)
{
    struct nprof *nprof = job->nprof;

    request->job = job;
    request->step = step;
    job_queue_put(&nprof->exports, &request->link);
    futex_flag_wake(nprof->export_wake);
}


void
profiler_notify(struct nprof *nprof, enum nprof_notice weight,
                const char *format, ...)
{
    va_list                 arguments;
    uint64_t                one = 1;
    struct profiler_notice *notice;

    notice = malloc(sizeof(*notice));
    if (notice == NULL) {
        return;
    }

    notice->weight = weight;

    va_start(arguments, format);
    vsnprintf(notice->text, sizeof(notice->text), format, arguments);
    va_end(arguments);

    job_queue_put(&nprof->notices, &notice->link);
    (void) !write(nprof->event_fd, &one, sizeof(one));
}


static void
profiler_job_done(struct nprof_job *job)
{
    uint64_t      one = 1;
    struct nprof *nprof = job->nprof;

    job_queue_put(&nprof->done, &job->link);
    /* EAGAIN: it is readable already */
    (void) !write(nprof->event_fd, &one, sizeof(one));
}


void
profiler_job_free(struct nprof_job *job)
{
    window_base_free(&job->base);

    if (job->profile != NULL) {
        stack_profile_free(job->profile);
    }

    free(job->filter);
    free(job->data);
    free(job->input);
    free(job);
}


static void
files_open(const struct stack_profile *profile)
{
    uint32_t i;

    for (i = 0; i < profile->n_modules; i++) {
        if (profile->modules[i]->fd == MODULE_FILE_UNTRIED) {
            module_file_open(profile->modules[i]);
        }
    }
}


static int
sample_compare_modules(const void *one, const void *two)
{
    const struct profile_sample *a = one, *b = two;

    return (a->frames->module > b->frames->module)
           - (a->frames->module < b->frames->module);
}


/*
 * The lines "0xADDR name" of a symbol job, module by module, since the
 * symbolizer keeps the tables of one.
 */
static int
symbols_print(struct stack_profile *profile, struct symbolizer *symbolizer,
              FILE *out)
{
    int                        rc;
    size_t                     i;
    const struct symbol_lines *lines;
    const struct stack_frame  *frame;

    qsort(profile->samples, profile->n_samples, sizeof(profile->samples[0]),
          sample_compare_modules);

    for (i = 0; i < profile->n_samples; i++) {
        frame = profile->samples[i].frames;

        rc = symbolizer_resolve(symbolizer, profile->modules[frame->module],
                                frame->address, &lines);
        if (rc != 0) {
            return rc;
        }

        fprintf(out, "%#" PRIx64 " %s\n",
                (uint64_t) profile->samples[i].values[0],
                lines->lines[lines->n - 1].function);
    }

    return 0;
}


static int
symbols_export(struct nprof_job *job, struct symbolizer *symbolizer)
{
    int   rc;
    char *text;
    FILE *out;

    text = NULL;
    out = open_memstream(&text, &job->len);
    if (out == NULL) {
        return -errno;
    }

    fputs("num_symbols: 1\n", out);
    rc = symbols_print(job->profile, symbolizer, out);

    if (fclose(out) != 0 && rc == 0) {
        rc = -ENOMEM;
    }

    job->data = text;

    return rc;
}


static void
symbol_job_export(struct nprof_job *job, struct symbolizer *symbolizer)
{
    if (job->profile == NULL || job->error != 0) {
        return;
    }

    files_open(job->profile);
    job->error = symbols_export(job, symbolizer);
    symbolizer_trim(symbolizer);
    stack_profile_free(job->profile);
    job->profile = NULL;
}


static void
store_job_export(struct nprof_job *job, const struct profile_store *store)
{
    char *page;

    if (job->input != NULL && job->input[0] != '\0') {
        job->error
            = profile_store_read(store, job->input, &job->data, &job->len);
        return;
    }

    job->error = profile_store_list(store, &page, &job->len);

    if (job->error == 0) {
        job->data = page;
    }
}


static void
job_step_do(struct nprof *nprof, struct job_request *request)
{
    bool              wanted;
    struct nprof_job *job = request->job;

    wanted = !atomic_load(&nprof->stopping)
             && !atomic_load_explicit(&job->abandoned, memory_order_relaxed);

    if (request->step == JOB_BEGIN) {
        if (wanted) {
            window_job_open(job);
        }

        return;
    }

    if (wanted && job->kind < NPROF_PROFILES) {
        window_job_close(job);
    } else if (wanted && job->kind == NPROF_JOB_STORE) {
        store_job_export(job, &nprof->store);
    } else if (wanted) {
        symbol_job_export(job, nprof->symbolizer);
    }

    window_job_drop(job);
    profiler_job_done(job);
}


/* Whether there was anything to do. */
static bool
exports_run(struct nprof *nprof)
{
    struct job_link *first, *link, *next;

    first = job_queue_take(&nprof->exports);

    for (link = first; link != NULL; link = next) {
        next = link->next;
        job_step_do(nprof, (struct job_request *) link);
    }

    return first != NULL;
}


/* Does all that others wake this thread for: who waits for the answer of a
   worker uses up wake-ups. */
static void
exports_finish(struct nprof *nprof)
{
    while (exports_run(nprof)) {
        /* void */
    }

    profiler_period_finish(nprof);
}


void *
export_thread_main(void *data)
{
    struct nprof *nprof = data;

    thread_context_enter(EXPORT_THREAD_NAME, THREAD_CONTEXT_NICE);

    while (!atomic_load(&nprof->stopping)) {
        (void) futex_flag_wait(nprof->export_wake,
                               nprof->leader.next_ns
                                   - clock_ns(CLOCK_MONOTONIC));

        exports_finish(nprof);

        if (!atomic_load(&nprof->stopping)) {
            instance_leader_turn(&nprof->leader);
            exports_finish(nprof);
        }

        atomic_store(&nprof->symbol_memory,
                     symbolizer_memory(nprof->symbolizer));
        atomic_store(&nprof->export_cpu_ns,
                     (uint64_t) clock_ns(CLOCK_THREAD_CPUTIME_ID));
    }

    thread_context_leave(nprof);

    return NULL;
}
