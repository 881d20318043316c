
/*
 * The export thread; see export_thread.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "encode/pprof_encode.h"
#include "export_thread.h"
#include "futex_wait.h"
#include "nprof_clock.h"
#include "symbolize/symbolizer.h"
#include "thread_context.h"
#include "unwind/module_file.h"


/* The longest sleep; it matters to nobody. */
#define IDLE_NS 60000000000


void
profiler_job_export(struct nprof_job *job)
{
    struct nprof *nprof = job->nprof;

    job_queue_put(&nprof->exports, &job->link);
    futex_flag_wake(&nprof->export_wake);
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
    stack_snapshot_free(job->since);

    if (job->profile != NULL) {
        stack_profile_free(job->profile);
    }

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


static int
profile_export(struct nprof_job *job, struct symbolizer *symbolizer)
{
    int      rc;
    uint8_t *bytes;

    rc = pprof_encode(job->profile, symbolizer, EXPORT_GZIP_LEVEL, &bytes,
                      &job->len);
    if (rc == 0) {
        job->data = bytes;
    }

    return rc;
}


static void
job_export(struct nprof_job *job, struct symbolizer *symbolizer)
{
    if (job->profile == NULL || job->error != 0
        || atomic_load_explicit(&job->abandoned, memory_order_relaxed)) {
        return;
    }

    files_open(job->profile);

    job->error = job->kind == NPROF_JOB_SYMBOL
                     ? symbols_export(job, symbolizer)
                     : profile_export(job, symbolizer);

    symbolizer_trim(symbolizer);
    stack_profile_free(job->profile);
    job->profile = NULL;
}


static void
exports_run(struct nprof *nprof)
{
    struct job_link  *link, *next;
    struct nprof_job *job;

    for (link = job_queue_take(&nprof->exports); link != NULL; link = next) {
        next = link->next;
        job = (struct nprof_job *) link;

        if (!atomic_load(&nprof->stopping)) {
            job_export(job, nprof->symbolizer);
        }

        profiler_job_done(job);
    }
}


void *
export_thread_main(void *data)
{
    struct nprof *nprof = data;

    thread_context_enter(EXPORT_THREAD_NAME, THREAD_CONTEXT_NICE);

    while (!atomic_load(&nprof->stopping)) {
        (void) futex_flag_wait(&nprof->export_wake, IDLE_NS);
        exports_run(nprof);
        atomic_store(&nprof->export_cpu_ns,
                     (uint64_t) clock_ns(CLOCK_THREAD_CPUTIME_ID));
    }

    thread_context_leave(nprof);

    return NULL;
}
