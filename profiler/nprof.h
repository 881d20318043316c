
/*
 * libnprof: an in-process sampling profiler for servers that can't stop.
 *
 * The library exports one symbol, nprof_library, the descriptor below. Whoever
 * loads it (dlopen with RTLD_LOCAL: what it links must reach nobody else)
 * compares abi, size and build_id with its own before it calls anything.
 *
 * The workers that prepare() was called for are an instance: what they count is
 * shown as one. A process without a master is an instance of its own.
 *
 * Life: prepare() in the master before fork, start() and stop() in a worker.
 * start() makes two threads: `nprof-profiler` unwinds and aggregates samples,
 * `nprof-export` symbolizes and encodes; and a third where requests are traced,
 * `nprof-trace`, which sends their spans. With the jitter engine the first makes
 * `nprof-looker`, which sees what the others do, and `nprof-nudge`, which has it
 * come in time; and where profiles are uploaded, the worker that does so has
 * `nprof-upload`. All functions but some of struct nprof_labels are called on one
 * thread, the event loop's, return at once, and never wait for another thread but
 * for stop(), whose wait is bounded. None may be called from a signal handler.
 *
 * What takes time is a job: started here, done on the library's threads, and
 * fetched by next_done() when the descriptor of event_fd() is readable.
 */


#ifndef NPROF_H
#define NPROF_H


#include <stddef.h>
#include <stdint.h>


#define NPROF_ABI 8

/* The descriptor's name. */
#define NPROF_SYMBOL "nprof_library"

/* Of the profiler, as receivers of profiles see it. */
#define NPROF_VERSION "1.0.0"

/* CPU samples per second of CPU time and thread, where nothing else is said:
   no divisor of the scheduler's tick rate. */
#define NPROF_RATE_DEFAULT 99

/* The longest name of a label, bytes. */
#define NPROF_LABEL_NAME_MAX 63

/* The most of a label's value, bytes; a longer one is cut. */
#define NPROF_LABEL_VALUE_MAX 127

/* The most labels that a profile can be asked for by. */
#define NPROF_MATCHES_MAX 16

/* Jobs at one time; more are refused with -EAGAIN. */
#define NPROF_JOBS_MAX 64


enum nprof_job_kind {
    /*
     * Profiles (gzipped profile.proto) of all workers of the instance, of the
     * window from window_start() to job_finish(): of CPU time, of where threads
     * spend time whether they run or not, of the event loop's turns that were
     * too long, and of memory that was allocated, and is in use.
     */
    NPROF_JOB_CPU = 0,
    NPROF_JOB_WALL,
    NPROF_JOB_STALL,
    NPROF_JOB_HEAP,

    /*
     * Names of code: input is "0xADDR+0xADDR...", the result has a line
     * "0xADDR name" for each address of a known module.
     */
    NPROF_JOB_SYMBOL,

    /*
     * The profiler's counters: this worker's and the instance's, as a JSON
     * object, or, if input is "prometheus", those of all workers in the text
     * format of Prometheus.
     */
    NPROF_JOB_STATUS,

    /*
     * What is kept on disk: the profile of the name that is the input, or, if
     * that is empty, a page (HTML) of all. -ENOENT: there is none of that name;
     * -EBADMSG: it is damaged.
     */
    NPROF_JOB_STORE
};

/* The kinds that have a window come first. */
#define NPROF_PROFILES (NPROF_JOB_HEAP + 1)

/* A profile in a set of them. */
#define NPROF_TYPE(kind) (1u << (kind))

/* How a profile of the heap is shown, to be added. */
enum nprof_profile_option {
    /* Viewers show first what was allocated, not what is in use. */
    NPROF_ALLOCS_FIRST = 1,

    /* As a text to be read, not as profile.proto. */
    NPROF_AS_TEXT = 2
};

/* Mean bytes between samples of the heap, where nothing else is said, and what
   can be asked for; NPROF_HEAP_EVERY: each allocation is sampled. */
#define NPROF_HEAP_INTERVAL_DEFAULT (512 * 1024)
#define NPROF_HEAP_INTERVAL_MIN 1024
#define NPROF_HEAP_INTERVAL_MAX (1024 * 1024 * 1024)
#define NPROF_HEAP_EVERY 1

/* What can be asked for as a stall, milliseconds. */
#define NPROF_STALL_THRESHOLD_MIN 1
#define NPROF_STALL_THRESHOLD_MAX 60000

/* The shortest period, and the one where nothing else is said, milliseconds. */
#define NPROF_PERIOD_MIN 1000
#define NPROF_PERIOD_DEFAULT 60000


/* How CPU samples are taken; docs/accuracy.md compares the two. */
enum nprof_cpu_engine {
    /* A timer on each thread's CPU clock; the kernel looks at it on ticks. */
    NPROF_CPU_TIMERS = 0,

    /* Looks at random times, and a signal to threads that run. */
    NPROF_CPU_JITTER
};

/* The engine, where nothing else is said. */
#define NPROF_CPU_ENGINE_DEFAULT NPROF_CPU_JITTER


/* Bytes that need not end with NUL; data is NULL where there is nothing. */
struct nprof_text {
    const char *data;
    size_t      len;
};


/* Headers that carry a trace from one service to the next. */
enum nprof_trace_header {
    /* x-datadog-trace-id, -parent-id, -sampling-priority, -origin, -tags */
    NPROF_DATADOG_TRACE_ID = 0,
    NPROF_DATADOG_PARENT_ID,
    NPROF_DATADOG_PRIORITY,
    NPROF_DATADOG_ORIGIN,
    NPROF_DATADOG_TAGS,

    /* traceparent, tracestate */
    NPROF_TRACEPARENT,
    NPROF_TRACESTATE,

    NPROF_TRACE_HEADERS
};

/* Room for the values of all, bytes. */
#define NPROF_TRACE_HEADERS_SIZE 2304

/* The label that says which endpoint a request is for; its span's resource. */
#define NPROF_TRACE_ENDPOINT "trace_endpoint"


struct nprof_config {
    /* Samples per second of a thread's CPU time, 1 to 1000. */
    uint32_t rate;

    /* Which profiles are collected: NPROF_TYPE() of one or more. */
    uint32_t types;

    /* A turn of the event loop of so many milliseconds is a stall. */
    uint32_t stall_threshold_ms;

    /* Where it can't work, the other is taken, and warning() says so. */
    enum nprof_cpu_engine cpu_engine;

    /* Mean bytes between samples of the heap; the allocator is hooked only if
       that type is collected. */
    uint32_t heap_interval;

    /* How often what was counted is handed to who stores or sends it; 1 s or
       more, milliseconds. */
    uint32_t period_ms;

    /* The most memory of what is kept of the last hour, bytes, shared by all
       workers; 0: nothing is. */
    uint64_t history_size;

    /* The folder in which profiles of each period are kept, or NULL; the most
       bytes of them in all, and how long they are. Outlives the profiler. */
    const char *store_path;
    uint64_t    store_max_size;
    uint64_t    store_keep_seconds;

    /* Name and version of the program, for status: no character in it needs
       escaping. Outlives the profiler. */
    const char *server;

    /* Whether samples of the event loop get the labels of its requests: needs
       the calls of struct nprof_labels, and hooks socket I/O. */
    uint32_t request_labels;

    /* Not 0: there are spans of requests (struct nprof_traces), as the DD_*
       variables say. */
    uint32_t trace;

    /* The pid that uploads have, 0 for that of the process that called
       identify(): it may have become a daemon since. */
    uint32_t process_id;
};


/* A label, as it is in a profile; with an empty value: that there is none of the
   name. No NUL is part of either. */
struct nprof_label_match {
    struct nprof_text name;
    struct nprof_text value;
};


/* What a profile is of; all zero: of all workers, from start to finish. */
struct nprof_window {
    /* Of that one only, a pid. */
    uint32_t worker;

    /* Not 0: all that was counted since the instance began. It is done without
       job_finish(). */
    uint32_t whole;

    /* Of enum nprof_profile_option; 0 for all but the heap. */
    uint32_t options;

    /*
     * A window that lies behind, CLOCK_REALTIME in nanoseconds, of all workers;
     * both 0: none. It is done without job_finish(), with -ENODATA if nothing
     * is kept of that time.
     */
    int64_t from_ns;
    int64_t to_ns;

    /* Only of samples that have all of these, at most NPROF_MATCHES_MAX, which
       are copied. */
    const struct nprof_label_match *labels;
    uint32_t                        n_labels;
};


/* What profiles are sent to. */
enum nprof_destination {
    /* Datadog's Agent, or its intake. */
    NPROF_DATADOG = 0,

    /* Anything that takes Pyroscope's /ingest. */
    NPROF_PYROSCOPE
};

/* The most destinations. */
#define NPROF_TARGETS_MAX 8


struct nprof_target {
    enum nprof_destination kind;

    /* http://, https:// or unix:PATH; NULL for Datadog: where DD_* variables
       say, else the Agent's default. */
    const char *url;
};


struct nprof_tag {
    const char *name;
    const char *value;
};


/* What the instance is called, and where its profiles go. A text that is NULL
   is not said. */
struct nprof_identity {
    /* "NAME=VALUE", ended by NULL; DD_* and SSL_CERT_FILE are read. What is
       said below goes before them. */
    const char *const *environment;

    const char             *service;
    const char             *env;
    const char             *version;
    const struct nprof_tag *tags;
    uint32_t                n_tags;

    const struct nprof_target *targets;
    uint32_t                   n_targets;
};


/* Where a request is: its sockets, -1 where there is none. */
struct nprof_request_sockets {
    int client_fd;

    /* Not 0: the client's connection has other requests too (HTTP/2). */
    int shared;

    int upstream_fd;
};


/*
 * What samples are labelled with. A label set is a number, 0 is the empty one;
 * sets are never freed. These may be called whether a profiler runs or not;
 * none waits or fails, and what finds no room is left out and counted.
 */
struct nprof_labels {
    /*
     * The set with one label more, or with another value of it. Names have at
     * most NPROF_LABEL_NAME_MAX bytes, values are cut at 127; an empty one is
     * no label. of_request: the value comes with a request, there may be any
     * number of them. Any thread.
     */
    uint32_t (*with)(uint32_t set, const char *name, size_t name_len,
                     const char *value, size_t value_len, int of_request);

    /* That of the calling thread's work, with the request that it is done for
       in the upper half. */
    uint64_t (*current)(void);

    /* Makes it that of the calling thread's work, and of any but the event
       loop's thread the request, too; returns what was before. */
    uint64_t (*apply)(uint64_t work);

    /*
     * A request of the event loop: from begin to end it has a number, which is
     * never used again; 0 if there is no room. enter says that it is worked
     * for, what its samples have from now on, and where its sockets are. Event
     * loop's thread.
     */
    uint64_t (*request_begin)(void);
    void (*request_enter)(uint64_t request, uint32_t set,
                          const struct nprof_request_sockets *sockets);
    void (*request_end)(uint64_t request);

    /* The samples of the request have that span, 0: none. Event loop's thread.
     */
    void (*request_span)(uint64_t request, uint64_t span_id);

    /* A request of a client with that label set ended: profiles say how many
       they are of. Event loop's thread. */
    void (*request_count)(uint32_t set);
};


/* The trace that a request is part of, and its place there. */
struct nprof_span;

/* Texts of a request that its span tells. */
enum nprof_span_text {
    NPROF_SPAN_METHOD = 0,
    NPROF_SPAN_HOST,
    NPROF_SPAN_PATH,
    NPROF_SPAN_USER_AGENT,
    NPROF_SPAN_UPSTREAM,
    NPROF_SPAN_TEXTS
};


/* A request that ends. */
struct nprof_span_end {
    /* Its label set: the one of NPROF_TRACE_ENDPOINT is the span's resource,
       one of "version" its version. */
    uint32_t labels;

    /* Of the response, 0 if there is none. */
    uint32_t status;

    /* Not 0: the client came by TLS. */
    uint32_t tls;

    /* Milliseconds that its upstreams took, -1 if it had none. */
    int64_t upstream_ms;

    /* Long ones are cut. */
    struct nprof_text texts[NPROF_SPAN_TEXTS];
};


/*
 * Spans of requests. They may be called while a profiler runs that
 * traces; none waits or fails. Event loop's thread.
 */
struct nprof_traces {
    /* Bytes of a span, which is the caller's memory, aligned to 8. */
    size_t span_size;

    /*
     * A request's span, from its headers, whose text has to be valid as long as
     * the span. start_ns: when it began (CLOCK_REALTIME), 0: now.
     */
    void (*begin)(struct nprof_span      *span,
                  const struct nprof_text headers[NPROF_TRACE_HEADERS],
                  int64_t                 start_ns);

    /* The trace's id, 128 bits in 32 hex digits, and the span's in 16; no NUL.
     */
    void (*print_ids)(const struct nprof_span *span, char trace_id[32],
                      char span_id[16]);

    uint64_t (*span_id)(const struct nprof_span *span);

    /*
     * Headers for whom the request is passed on to, in a buffer of
     * NPROF_TRACE_HEADERS_SIZE bytes. Whether the trace is kept is decided now,
     * by the labels that the request has. Those that are not to be sent have no
     * data.
     */
    void (*inject)(struct nprof_span *span, uint32_t labels, char *buffer,
                   struct nprof_text values[NPROF_TRACE_HEADERS]);

    /* The request ends, and the span is sent to the agent. */
    void (*end)(struct nprof_span *span, const struct nprof_span_end *end);
};


/* How much a notice weighs. */
enum nprof_notice {
    /* Something works, or works again. */
    NPROF_NOTICE_INFO = 0,

    /* Something does not. */
    NPROF_NOTICE_WARN
};


/* A running profiler; one a process. */
struct nprof;

struct nprof_job;


struct nprof_library {
    /* NPROF_ABI, sizeof(struct nprof_library), and the id of the sources. */
    uint32_t    abi;
    uint32_t    size;
    const char *build_id;

    /*
     * In the master, before workers are forked, again at each reload: makes
     * what they share, says that those of before drain, copies the unwind data of all modules and opens their files, so that workers
     * share both. Waits for the disk. Does nothing where a profiler runs: that
     * one follows the modules itself. Returns 0 or -errno.
     */
    int (*prepare)(void);

    /*
     * In the master, before workers are forked, again at each reload: who the
     * instance is, and where its profiles go. Copied. Does nothing where a
     * profiler runs: that one keeps what it has. Returns 0; -EINVAL: all but a
     * destination can be used; or -ENOMEM: nothing is uploaded. message gets
     * what is to be said of it, "" if nothing.
     */
    int (*identify)(const struct nprof_identity *identity, char *message,
                    size_t size);

    /*
     * In a worker: starts to sample all threads of the process. Returns 0 or
     * -errno; then nothing runs, and the process goes on as it was (-EBUSY:
     * this copy of the library, or another one, runs already).
     */
    int (*start)(const struct nprof_config *config, struct nprof **nprof);

    /* What of a started profiler can't work here, or NULL. Valid until stop().
     */
    const char *(*warning)(struct nprof *nprof);

    /*
     * Ends sampling and all threads, and frees all jobs, in at most
     * timeout_ms milliseconds. A thread that does not end by then is left
     * behind, with what it uses, and -ETIMEDOUT is returned; else 0. unsent
     * gets how many profiles could not be uploaded any more.
     */
    int (*stop)(struct nprof *nprof, unsigned timeout_ms, uint64_t *unsent);

    /* Readable (an eventfd) when next_done() or next_notice() have something
       to give. */
    int (*event_fd)(struct nprof *nprof);

    /*
     * Starts a job for owner. input is copied, and NULL where the kind has
     * none. Returns 0 or -errno (-EAGAIN: too many jobs, -ENOTSUP: a profile
     * that is not collected).
     */
    int (*job_start)(struct nprof *nprof, enum nprof_job_kind kind,
                     const char *input, size_t input_len, void *owner,
                     struct nprof_job **job);

    /*
     * Starts a job of a profile for owner. Returns as job_start(), -ESRCH if
     * there is no such worker, or -EINVAL if the kind has no such options, or
     * the labels are too many.
     */
    int (*window_start)(struct nprof *nprof, enum nprof_job_kind kind,
                        const struct nprof_window *window, void *owner,
                        struct nprof_job **job);

    /* Ends the window of a job that has one; nothing if it is ended. */
    void (*job_finish)(struct nprof_job *job);

    /* The process exits soon: the event loop's last turn is over, and from now
       on other workers have timeout_ms to answer. */
    void (*hurry)(struct nprof *nprof, unsigned timeout_ms);

    /* What happened that an administrator has to know, or NULL if there is no
       more of it; valid until the next call. */
    const char *(*next_notice)(struct nprof *nprof, enum nprof_notice *weight);

    /* Nobody wants the job any more: it is never given by next_done(). */
    void (*job_abandon)(struct nprof_job *job);

    /*
     * The next job that is done, or NULL. It is the caller's, who frees it
     * with job_free().
     */
    struct nprof_job *(*next_done)(struct nprof *nprof);

    void *(*job_owner)(const struct nprof_job *job);

    /* 0 and the result, which the job owns, or -errno. */
    int (*job_result)(const struct nprof_job *job, const void **data,
                      size_t *len);

    void (*job_free)(struct nprof_job *job);

    /*
     * A profile of that kind without samples, of a window of no length, for a
     * process in which it is not collected. malloc'ed, the caller's. Returns 0
     * or -errno.
     */
    int (*empty_profile)(enum nprof_job_kind kind, unsigned options,
                         void **data, size_t *len);

    /*
     * The same of a profile that Go has and a worker has not: block, mutex,
     * goroutine, threadcreate. -ENOENT: another name.
     */
    int (*foreign_profile)(const char *name, void **data, size_t *len);

    /* How many different stacks all workers have of that kind, a second ago. 0
       where it is not collected. */
    uint64_t (*stacks)(enum nprof_job_kind kind);

    /*
     * The size of a profile in a folder of stored ones; it is not read. Returns
     * 0, -ENOENT (there is none of that name, or it is no name of a profile).
     * Whether a profiler runs or not.
     */
    int (*stored_size)(const char *folder, const char *name, uint64_t *size);

    struct nprof_labels labels;
    struct nprof_traces traces;
};


#endif /* NPROF_H */
