/*
 * libnprof's heap profile against a ledger: threads that allocate by every
 * function there is, fail to, and free what others have allocated, and that
 * know exactly what they did. Without nginx.
 *
 * Usage: heap_ledger LIBNPROF exact ROUNDS PROFILE
 *        heap_ledger LIBNPROF crowd BLOCKS
 *
 * exact writes the profile to a file, and prints the ledger: a line "NAME
 * alloc_objects alloc_space inuse_objects inuse_space" for each function that
 * allocates. Each allocation is sampled. A round ends when all its samples are
 * taken in, so none is dropped however slow the machine is.
 *
 * crowd has so many sampled blocks at once, while threads come and go, signals
 * hit the hooks and children are forked, and prints the profiler's status with
 * them and without.
 *
 * Exits with 1 if a call fails that must not.
 */

#include <dlfcn.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nprof.h"


#define THREADS 8
#define STEPS 10
#define MAILBOXES 64
#define STOP_TIMEOUT_MS 60000

/* Blocks of the crowd that are taken in, some at a time: they fill the table.
   Of the others most find the ring full. */
#define PACED 70000
#define PACE 300

/* What is freed behind the profiler's back, in blocks that are mapped each by
   itself, so that nobody gets their addresses soon. */
#define UNSEEN 37
#define UNSEEN_SIZE (1024 * 1024)

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                       \
        }                                                                   \
    } while (0)

/* Not inlined, and not left by a jump: it is on the stack of what it calls. */
#define ON_STACK __attribute__((noinline, noclone, no_icf))
#define STAY_ON_STACK() __asm__ volatile("" ::: "memory")


/* What a function did. */
struct account {
    const char     *name;
    _Atomic int64_t values[4];
};


/* A block, and who allocated it. */
struct block {
    void           *memory;
    size_t          size;
    struct account *account;
};


static const struct nprof_library *library;
static struct nprof               *nprof;

/* Blocks on their way to whoever frees them. */
static struct block    mailboxes[MAILBOXES];
static pthread_mutex_t mailboxes_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_barrier_t round_begin, round_end;
static unsigned          rounds;


static void
book(struct account *account, int64_t alloc, int64_t inuse, size_t size)
{
    atomic_fetch_add(&account->values[0], alloc);
    atomic_fetch_add(&account->values[1], alloc * (int64_t) size);
    atomic_fetch_add(&account->values[2], inuse);
    atomic_fetch_add(&account->values[3], inuse * (int64_t) size);
}


/* The allocating functions, each on the stack by a name of its own. */

#define ALLOCATES(call, expression)                  \
    static ON_STACK void *ledger_##call(size_t size) \
    {                                                \
        void *block;                                 \
                                                     \
        block = (expression);                        \
        STAY_ON_STACK();                             \
                                                     \
        return block;                                \
    }

ALLOCATES(malloc, malloc(size))
ALLOCATES(calloc, calloc(size, 1))
ALLOCATES(realloc, realloc(NULL, size))
ALLOCATES(reallocarray, reallocarray(NULL, 1, size))
ALLOCATES(aligned_alloc, aligned_alloc(64, size))
ALLOCATES(memalign, memalign(256, size))
ALLOCATES(valloc, valloc(size))
ALLOCATES(pvalloc, pvalloc(size))


static ON_STACK void *
ledger_posix_memalign(size_t size)
{
    void *block = NULL;

    CHECK(posix_memalign(&block, 128, size) == 0);
    STAY_ON_STACK();

    return block;
}


/* The C library's own call of malloc(). */
static ON_STACK void *
ledger_strndup(size_t size)
{
    char *block, text[4096];

    memset(text, 'x', sizeof(text));
    block = strndup(text, size - 1);
    STAY_ON_STACK();

    return block;
}


/* To another size: a new block, wherever it is. */
static ON_STACK void *
ledger_resized(void *block, size_t size)
{
    block = realloc(block, size);
    STAY_ON_STACK();

    return block;
}


static struct {
    void *(*call)(size_t size);
    struct account account;
} calls[] = {
    {ledger_malloc, {.name = "ledger_malloc"}},
    {ledger_calloc, {.name = "ledger_calloc"}},
    {ledger_realloc, {.name = "ledger_realloc"}},
    {ledger_reallocarray, {.name = "ledger_reallocarray"}},
    {ledger_aligned_alloc, {.name = "ledger_aligned_alloc"}},
    {ledger_memalign, {.name = "ledger_memalign"}},
    {ledger_valloc, {.name = "ledger_valloc"}},
    {ledger_pvalloc, {.name = "ledger_pvalloc"}},
    {ledger_posix_memalign, {.name = "ledger_posix_memalign"}},
    {ledger_strndup, {.name = "ledger_strndup"}},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static struct account resized = {.name = "ledger_resized"};


static unsigned
random_below(unsigned *state, unsigned n)
{
    *state = *state * 1103515245 + 12345;

    return (*state >> 8) % n;
}


static void
block_free(struct block *block)
{
    if (block->memory != NULL) {
        book(block->account, 0, -1, block->size);
        free(block->memory);
        block->memory = NULL;
    }
}


static struct block
block_make(unsigned *state)
{
    struct block block;
    unsigned     i;

    i = random_below(state, CALLS);
    block.size = 1 + random_below(state, 3000);
    block.account = &calls[i].account;
    block.memory = calls[i].call(block.size);
    CHECK(block.memory != NULL);
    book(block.account, 1, 1, block.size);

    return block;
}


/* Calls that fail, after which all is as it was. */
static void
failures(struct block *block)
{
    volatile size_t huge = (size_t) PTRDIFF_MAX;

    CHECK(malloc(huge) == NULL);
    CHECK(calloc(huge, 3) == NULL);
    CHECK(reallocarray(block->memory, huge, 5) == NULL);
    CHECK(ledger_resized(block->memory, huge) == NULL);
}


/* Another size, or none: then the block is gone. */
static void
resize(struct block *block, unsigned *state)
{
    volatile size_t none = 0;

    book(block->account, 0, -1, block->size);

    if (random_below(state, 4) == 0) {
        CHECK(ledger_resized(block->memory, none) == NULL);
        block->memory = NULL;
        return;
    }

    block->size = 1 + random_below(state, 9000);
    block->memory = ledger_resized(block->memory, block->size);
    CHECK(block->memory != NULL);
    block->account = &resized;
    book(&resized, 1, 1, block->size);
}


static void
step(unsigned *state)
{
    struct block block, *mailbox;

    block = block_make(state);

    if (random_below(state, 4) == 0) {
        failures(&block);
    }

    if (random_below(state, 4) == 0) {
        resize(&block, state);
    }

    /* what lies there is freed, whoever left it */
    pthread_mutex_lock(&mailboxes_lock);
    mailbox = &mailboxes[random_below(state, MAILBOXES)];
    block_free(mailbox);
    *mailbox = block;
    pthread_mutex_unlock(&mailboxes_lock);
}


static void *
worker(void *data)
{
    unsigned i, n, state;

    state = (unsigned) (uintptr_t) data;

    for (n = 0; n < rounds; n++) {
        pthread_barrier_wait(&round_begin);

        for (i = 0; i < STEPS; i++) {
            step(&state);
        }

        pthread_barrier_wait(&round_end);
    }

    return NULL;
}


/* Waits for the job that was started: all that was sampled before it is taken
   in. The caller's result, which is malloc'ed. */
static void *
job_wait(size_t *len)
{
    void             *copy;
    const void       *data;
    struct nprof_job *job;
    struct pollfd     ready = {library->event_fd(nprof), POLLIN, 0};

    while ((job = library->next_done(nprof)) == NULL) {
        CHECK(poll(&ready, 1, 60000) == 1);
    }

    CHECK(library->job_result(job, &data, len) == 0);
    copy = malloc(*len + 1);
    CHECK(copy != NULL);
    memcpy(copy, data, *len);
    ((char *) copy)[*len] = '\0';
    library->job_free(job);

    return copy;
}


static char *
status_read(void)
{
    size_t            len;
    struct nprof_job *job;

    CHECK(library->job_start(nprof, NPROF_JOB_STATUS, NULL, 0, NULL, &job)
          == 0);

    return job_wait(&len);
}


static void *
profile_read(size_t *len)
{
    struct nprof_job         *job;
    const struct nprof_window whole = {.whole = 1};

    CHECK(library->window_start(nprof, NPROF_JOB_HEAP, &whole, NULL, &job)
          == 0);

    return job_wait(len);
}


static void
status_print(void)
{
    char *status;

    status = status_read();
    fputs(status, stdout);
    free(status);
}


static ON_STACK void *
ledger_unseen(size_t size)
{
    void *block;

    block = malloc(size);
    STAY_ON_STACK();

    return block;
}


/* As a module would that was loaded a moment ago: past the hooks. */
static void
free_unseen(void)
{
    int   i;
    void *blocks[UNSEEN];
    void (*unhooked)(void *);

    CHECK(mallopt(M_MMAP_THRESHOLD, UNSEEN_SIZE / 2) == 1);
    *(void **) &unhooked = dlsym(RTLD_DEFAULT, "free");
    CHECK(unhooked != NULL);

    for (i = 0; i < UNSEEN; i++) {
        blocks[i] = ledger_unseen(UNSEEN_SIZE);
    }

    for (i = 0; i < UNSEEN; i++) {
        unhooked(blocks[i]);
    }

    printf("ledger_unseen %d %d %d %d\n", UNSEEN, UNSEEN * UNSEEN_SIZE, UNSEEN,
           UNSEEN * UNSEEN_SIZE);
}


static void
account_print(const struct account *account)
{
    printf("%s %ld %ld %ld %ld\n", account->name, (long) account->values[0],
           (long) account->values[1], (long) account->values[2],
           (long) account->values[3]);
}


static void
exact(const char *path)
{
    void     *data;
    FILE     *file;
    size_t    i, len;
    unsigned  n;
    pthread_t threads[THREADS];

    pthread_barrier_init(&round_begin, NULL, THREADS + 1);
    pthread_barrier_init(&round_end, NULL, THREADS + 1);

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, worker, (void *) (i + 1)) == 0);
    }

    for (n = 0; n < rounds; n++) {
        pthread_barrier_wait(&round_begin);
        pthread_barrier_wait(&round_end);
        free(status_read());
    }

    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }

    free_unseen();

    for (i = 0; i < CALLS; i++) {
        account_print(&calls[i].account);
    }

    account_print(&resized);
    /* before the profile is made: to name its frames takes more than fits */
    status_print();

    data = profile_read(&len);
    file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(data, 1, len, file) == len);
    CHECK(fclose(file) == 0);
}


/* A thread whose last sample is on its way when it ends. */
static void *
brief(void *data)
{
    free(malloc(100));

    return malloc((size_t) data);
}


/* A child neither samples nor waits for anybody. */
static void
child_run(void)
{
    int   i, status;
    pid_t child;

    child = fork();
    CHECK(child >= 0);

    if (child == 0) {
        for (i = 0; i < 100000; i++) {
            free(malloc(100));
        }
        _exit(0);
    }

    CHECK(waitpid(child, &status, 0) == child && status == 0);
}


static void
crowd(size_t n)
{
    void    **blocks, *last;
    size_t    i;
    pthread_t thread;

    blocks = calloc(n, sizeof(*blocks));
    CHECK(blocks != NULL);

    for (i = 0; i < n; i++) {
        blocks[i] = malloc(16 + i % 64);
        CHECK(blocks[i] != NULL);

        if (i < PACED && i % PACE == 0) {
            free(status_read());
        }

        if (i % (n / 20 + 1) == 0) {
            child_run();
            CHECK(pthread_create(&thread, NULL, brief, (void *) 50) == 0);
            CHECK(pthread_join(thread, &last) == 0);
            free(last);
        }
    }

    status_print();

    for (i = 0; i < n; i++) {
        free(blocks[i]);
    }

    free(blocks);
    status_print();
}


int
main(int argc, char **argv)
{
    uint64_t unsent;
    bool     is_exact;
    void    *handle;

    struct nprof_config config = {
        .rate = 1000,
        .types = NPROF_TYPE(NPROF_JOB_HEAP),
        .stall_threshold_ms = 10,
        .heap_interval = NPROF_HEAP_EVERY,
        .period_ms = NPROF_PERIOD_DEFAULT,
    };

    CHECK(argc >= 4);
    is_exact = strcmp(argv[2], "exact") == 0;
    rounds = (unsigned) strtoul(argv[3], NULL, 10);

    handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(handle != NULL);
    library = dlsym(handle, NPROF_SYMBOL);
    CHECK(library != NULL && library->abi == NPROF_ABI);

    if (!is_exact) {
        /* its signals hit the hooks */
        config.types |= NPROF_TYPE(NPROF_JOB_CPU);
    }

    CHECK(library->prepare() == 0);
    CHECK(library->start(&config, &nprof) == 0);
    CHECK(library->warning(nprof) == NULL);

    if (is_exact) {
        CHECK(argc == 5);
        exact(argv[4]);
    } else {
        crowd(rounds);
    }

    CHECK(library->stop(nprof, STOP_TIMEOUT_MS, &unsent) == 0);

    return 0;
}
