/*
 * The uploader without nginx: periods that are made up, sent to destinations
 * that the command line names. For tests of what happens to a request.
 *
 * Usage: upload_driver datadog | datadog=URL | pyroscope=URL ...
 *
 * DD_* variables count. Reads commands from standard input, one a line, and
 * answers each with a line of JSON:
 *
 *   period           exports a period of a second; "hot" burns its CPU, half of
 *                    it for version 1.0.0 and a quarter for 2.0.0
 *   large BYTES      sends each destination a profile of so many, which are none
 *   status           what `status` has, and the notices since the last one
 *   stop MS          stops in so many milliseconds, and says how long it took,
 *                    and how many profiles were dropped meanwhile; then, or at the end of the input, the driver exits
 *
 * HANG_DNS=1: looking up a name takes forever.
 */

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "export/upload_period.h"
#include "export/upload_status.h"
#include "instance_uploads.h"
#include "nprof_clock.h"
#include "profile_types.h"
#include "profiler_job.h"
#include "sample/label_set.h"
#include "unwind/module_table.h"


/* Nanoseconds of CPU that each sample stands for. */
#define PERIOD_NS 10000000

#define SAMPLES 4


struct module_table profiler_modules;

static struct nprof          nprof;
static struct symbolizer    *symbolizer;
static struct stack_frame    frame;
static struct profile_sample samples[NPROF_PROFILES][SAMPLES];


/* In place of the C library's. */
int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **found);

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **found)
{
    static int (*real)(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

    while (getenv("HANG_DNS") != NULL) {
        pause();
    }

    *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");

    return real(node, service, hints, found);
}


/* What burns CPU, by name. */
__attribute__((noinline)) void hot(void);

__attribute__((noinline)) void
hot(void)
{
    __asm__ volatile("" ::: "memory");
}


static uint32_t
label(uint32_t set, const char *name, const char *value)
{
    return label_set_with(set, (struct label_text){name, strlen(name)},
                          (struct label_text){value, strlen(value)}, false);
}


static void
samples_make(void)
{
    unsigned                kind, i;
    struct module_identity *self;
    static const char      *versions[SAMPLES] = {"1.0.0", "1.0.0", "2.0.0", ""};

    module_table_update(&profiler_modules);
    module_table_open_files(&profiler_modules);
    self = profiler_modules.identities[0];

    frame.address = (uint64_t) (uintptr_t) hot - self->bias;
    frame.module = 0;
    frame.kind = STACK_FRAME_CODE;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        for (i = 0; i < SAMPLES; i++) {
            samples[kind][i] = (struct profile_sample){
                .frames = &frame,
                .n_frames = 1,
                .thread = "main",
                .values = {1, PERIOD_NS},
            };
            samples[kind][i].labels
                = label(label(LABEL_SET_NONE, "location", "/count"), "version",
                        versions[i]);
            samples[kind][i].labels
                = label(samples[kind][i].labels, "x-kind", "a,b \"c\"");
            samples[kind][i].labels = label(samples[kind][i].labels,
                                            "trace_endpoint", "GET /count");
        }
    }
}


static void
period_export(void)
{
    unsigned                    kind;
    struct stack_profile        profiles[NPROF_PROFILES];
    struct upload_period        period;
    const struct stack_profile *pointers[NPROF_PROFILES];

    static const struct nprof_config config = {
        .rate = 100,
        .heap_interval = NPROF_HEAP_INTERVAL_DEFAULT,
    };
    static const struct upload_endpoint endpoints[] = {
        {"GET /count", "1.0.0", 7},
        {"GET /count", "2.0.0", 5},
        {"GET /other", "1.0.0", 3},
    };

    memset(&period, 0, sizeof(period));
    period.end_ns = clock_ns(CLOCK_REALTIME);
    period.start_ns = period.end_ns - 1000000000;

    for (kind = 0; kind < NPROF_PROFILES; kind++) {
        memset(&profiles[kind], 0, sizeof(profiles[kind]));
        profile_type_describe(&profiles[kind], kind, 0, &config);
        profiles[kind].modules = profiler_modules.identities;
        profiles[kind].n_modules = profiler_modules.n_identities;
        profiles[kind].time_ns = period.start_ns;
        profiles[kind].duration_ns = 1000000000;
        profiles[kind].samples = samples[kind];
        profiles[kind].n_samples = SAMPLES;
        pointers[kind] = &profiles[kind];
    }

    period.profiles = pointers;
    period.n_profiles = NPROF_PROFILES;
    period.endpoints = endpoints;
    period.n_endpoints = sizeof(endpoints) / sizeof(endpoints[0]);

    upload_period_export(nprof.uploader, &instance_identity, &period,
                         symbolizer);
    puts("{}");
}


static void
large_export(size_t bytes)
{
    uint32_t            target;
    struct upload_item *item;

    for (target = 0; target < instance_identity.n_targets; target++) {
        item = calloc(1, sizeof(*item));

        if (item != NULL) {
            item->event = strdup("{}");
            item->profile = calloc(1, bytes);
            item->len = bytes;
        }

        if (item == NULL || item->event == NULL || item->profile == NULL) {
            exit(1);
        }

        uploader_put(nprof.uploader, target, item);
    }

    puts("{}");
}


static void
notices_print(void)
{
    const char             *separator = "";
    struct job_link        *link, *next;
    struct profiler_notice *notice;

    for (link = job_queue_take(&nprof.notices); link != NULL; link = next) {
        next = link->next;
        notice = (struct profiler_notice *) link;

        printf("%s[%d, \"%s\"]", separator, (int) notice->weight, notice->text);
        separator = ", ";
        free(notice);
    }
}


static void
status_print(void)
{
    FILE  *out;
    char  *status;
    size_t len, i;

    fputs("{\"notices\": [", stdout);
    notices_print();
    fputs("]", stdout);

    out = open_memstream(&status, &len);
    if (out == NULL) {
        exit(1);
    }

    upload_status_print(out, &instance_identity);
    fclose(out);

    for (i = 0; i < len; i++) {
        putchar(status[i] == '\n' ? ' ' : status[i]);
    }

    puts("}");
    free(status);
}


static void
uploads_stop(long ms)
{
    bool     stopped;
    int64_t  start;
    uint64_t dropped;

    start = clock_ns(CLOCK_MONOTONIC);
    dropped = uploader_dropped(nprof.uploader);

    /* the parts are those of profiler_threads.c */
    uploader_end(nprof.uploader, start + ms * 750000);
    stopped = uploader_join(nprof.uploader, start + ms * 1000000);

    printf("{\"stopped\": %s, \"ms\": %ld, \"dropped\": %lu}\n",
           stopped ? "true" : "false",
           (long) ((clock_ns(CLOCK_MONOTONIC) - start) / 1000000),
           uploader_dropped(nprof.uploader) - dropped);
    fflush(stdout);

    if (!stopped) {
        /* as nginx would */
        exit(0);
    }

    uploader_destroy(nprof.uploader);
    symbolizer_destroy(symbolizer);
    upload_settings_free(&instance_identity);
    exit(0);
}


static void
commands_run(void)
{
    char line[64];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "period\n") == 0) {
            period_export();

        } else if (strncmp(line, "large ", 6) == 0) {
            large_export((size_t) atol(line + 6));

        } else if (strcmp(line, "status\n") == 0) {
            status_print();

        } else if (strncmp(line, "stop ", 5) == 0) {
            uploads_stop(atol(line + 5));
        }

        fflush(stdout);
    }
}


static void *
commands_thread(void *data)
{
    (void) data;
    commands_run();

    return NULL;
}


int
main(int argc, char **argv)
{
    int                   i;
    char                  message[512], *url;
    sigset_t              all;
    pthread_t             thread;
    pthread_attr_t        attr;
    struct nprof_target   targets[NPROF_TARGETS_MAX];
    struct nprof_identity identity;

    memset(&identity, 0, sizeof(identity));
    identity.environment = (const char *const *) environ;
    identity.targets = targets;

    for (i = 1; i < argc && i <= NPROF_TARGETS_MAX; i++) {
        url = strchr(argv[i], '=');
        targets[i - 1].kind = strncmp(argv[i], "datadog", 7) == 0
                                  ? NPROF_DATADOG
                                  : NPROF_PYROSCOPE;
        targets[i - 1].url = url == NULL ? NULL : url + 1;
        identity.n_targets++;
    }

    (void) upload_settings_make(&instance_identity, &identity, message,
                                sizeof(message));
    printf("{\"message\": \"%s\"}\n", message);
    fflush(stdout);

    samples_make();
    symbolizer = symbolizer_create(NULL);
    nprof.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    nprof.uploader = uploader_create(&instance_identity, &nprof);

    if (symbolizer == NULL || nprof.uploader == NULL) {
        return 1;
    }

    /* a thread as the export thread is: without signals, with its stack */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SYMBOLIZER_STACK_SIZE);

    if (pthread_create(&thread, &attr, commands_thread, NULL) != 0) {
        return 1;
    }

    pthread_join(thread, NULL);

    return 0;
}
