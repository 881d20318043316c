/*
 * What is collected of workers that left, and what a leader or a worker that
 * was killed leaves behind.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/heap_values.h"
#include "instance/history.h"
#include "instance/instance_collect.h"
#include "instance/worker_totals.h"
#include "nprof.h"
#include "nprof_clock.h"
#include "other_workers.h"
#include "parcel_fixture.h"


/* As words of areas are (peer_exchange.c): asked, and an answer is there. */
#define ASKED 2
#define DONE 4


static struct module_registry registry;
static struct collection      c;
static struct peer_question   nobody;
static struct stack_merge     merge;


/* A parcel of that worker, of one stack, at a place of the file. */
static size_t
parcel_put(uint64_t worker, uint64_t offset, int64_t count)
{
    size_t                n;
    struct parcel_memory  memory;
    struct stack_frame    frame = {.address = 0x1234};
    struct profile_sample sample
        = {.frames = &frame, .n_frames = 1, .thread = "main"};

    sample.values[0] = count;
    memory = parcel_make(worker, 0, &sample, 1, 0);
    n = memory.n;
    cr_assert_eq(instance_write(offset, memory.bytes, n), 0);
    free(memory.bytes);

    return n;
}


/* Totals that have 10 of worker 7, which was taken over. */
static void
totals_put(void)
{
    struct instance_directory *directory;

    cr_assert_eq(instance_join(), 0);
    directory = instance.directory;
    directory->totals.offset = instance_totals_offset(0);
    directory->totals.length
        = parcel_put(WINDOW_BASE_TOTALS, directory->totals.offset, 10);
    directory->taken_ids[0] = 7;
    directory->taken = 1;
}


/* The sum of what is collected of those that are asked, and of who left. */
static int64_t
collected_of(struct peer_question *question, const struct window_base *base)
{
    size_t               i;
    int64_t              sum = 0;
    struct stack_profile profile;

    memset(&c, 0, sizeof(c));
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    c.question = question;
    c.window.base = base;
    c.window.merges[0] = &merge;

    cr_assert_eq(collect(&c), 0);
    collect_end(&c);
    stack_merge_profile(&merge, &profile);

    for (i = 0; i < profile.n_samples; i++) {
        sum += profile.samples[i].values[0];
    }

    stack_merge_free(&merge);

    return sum;
}


static int64_t
collected(const struct window_base *base)
{
    return collected_of(&nobody, base);
}


Test(instance_collect, totals_with_a_worker_that_the_base_does_not_know)
{
    struct window_base known = {0}, unknown = {0};

    totals_put();

    /* it had counted nothing when the window began */
    window_base_source(&known, WINDOW_BASE_TOTALS, 0, 2);
    window_base_source(&known, 7, 0, 2);
    cr_assert_eq(collected(&known), 10);

    /* nobody knows what it had counted then */
    window_base_source(&unknown, WINDOW_BASE_TOTALS, 0, 2);
    window_base_source(&unknown, 7, WINDOW_BASE_UNKNOWN, 0);
    cr_assert_eq(collected(&unknown), 0);

    window_base_free(&known);
    window_base_free(&unknown);
}


Test(instance_collect, worker_that_was_taken_over_but_whose_slot_was_not_freed)
{
    struct instance_slot *slot;

    totals_put();
    slot = &instance.directory->slots[5];
    slot->id = 7;
    slot->left_length = parcel_put(7, instance_left_offset(5), 10);
    slot->state = INSTANCE_LEFT;
    instance.directory->n_slots = 6;

    cr_assert_eq(collected(NULL), 10);

    instance.directory->taken_ids[0] = 0;
    cr_assert_eq(collected(NULL), 20);
}


/* Leaves 10 once it is asked, and a leader takes that over before who asked
   looks. */
static void
leaves_once_asked(void)
{
    unsigned              slot = instance.slot;
    struct instance_slot *own = instance_own_slot();

    if ((instance.directory->slots[0].areas[0].word & 0xff) != ASKED) {
        return;
    }

    own->left_length = parcel_put(own->id, instance_left_offset(slot), 10);
    instance_leave(true);
    cr_assert_eq(worker_totals_take(&registry, &fixture_nginx), 1);
    pause();
}


Test(instance_collect, worker_that_leaves_and_is_taken_over_as_it_is_asked)
{
    struct instance_slot       *slot;
    static struct peer_question asked;

    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(instance_join(), 0);
    peer_begin();
    (void) other_worker(leaves_once_asked);
    slot = &instance.directory->slots[1];

    /* it is asked when its turn comes, once those that left were read */
    asked.types = 1;
    asked.n = 1;
    asked.asks[0].worker = slot->id;
    asked.asks[0].slot = 1;
    asked.asks[0].area = PEER_NO_AREA;

    cr_assert_eq(collected_of(&asked, NULL), 10);
    cr_assert_eq(instance.directory->taken, 1);
    cr_assert_eq(collected(NULL), 10, "in the totals, not in the slot");
    cr_assert_eq(worker_totals_take(&registry, &fixture_nginx), 0);
    cr_assert_eq(slot->state, INSTANCE_LEFT);

    slot->taken_ns -= INSTANCE_TAKEN_NS;
    cr_assert_eq(worker_totals_take(&registry, &fixture_nginx), 0);
    cr_assert_eq(slot->state, INSTANCE_FREE);
    cr_assert_eq(collected(NULL), 10);
}


/* What worker 7 counted and has in use: of one stack, in a slot that it left. */
static void
heap_put(void)
{
    struct parcel_memory  memory;
    struct stack_frame    frame = {.address = 0x1234};
    struct profile_sample sample
        = {.frames = &frame, .n_frames = 1, .thread = "main"};
    struct instance_slot *slot = &instance.directory->slots[5];

    sample.values[HEAP_ALLOC_SPACE] = 100;
    sample.values[HEAP_INUSE_SPACE] = 30;
    memory = parcel_make(7, NPROF_JOB_HEAP, &sample, 1, 0);
    cr_assert_eq(
        instance_write(instance_left_offset(5), memory.bytes, memory.n), 0);
    slot->id = 7;
    slot->left_length = memory.n;
    slot->state = INSTANCE_LEFT;
    instance.directory->n_slots = 6;
    free(memory.bytes);
}


/* The sum of a value of the heap's samples that are marked so, or are not. */
static int64_t
heap_collected(const struct window_base *base, unsigned value, bool draining)
{
    size_t               i;
    int64_t              sum = 0;
    const struct label  *label;
    struct stack_profile profile;

    memset(&c, 0, sizeof(c));
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    c.question = &nobody;
    c.window.base = base;
    c.window.merges[NPROF_JOB_HEAP] = &merge;

    cr_assert_eq(collect(&c), 0);
    collect_end(&c);
    stack_merge_profile(&merge, &profile);

    for (i = 0; i < profile.n_samples; i++) {
        label = stack_profile_label(&profile, profile.samples[i].labels);
        cr_assert(label == NULL || strcmp(label->name, COLLECT_LABEL) == 0);
        sum += (label != NULL) == draining ? profile.samples[i].values[value]
                                           : 0;
    }

    stack_merge_free(&merge);

    return sum;
}


Test(instance_collect, totals_of_a_stack_stay_where_they_are_at_a_reload)
{
    struct window_base base = {0};

    cr_assert_eq(instance_join(), 0);
    heap_put();

    cr_assert_eq(heap_collected(NULL, HEAP_ALLOC_SPACE, false), 100);
    cr_assert_eq(heap_collected(NULL, HEAP_INUSE_SPACE, false), 30);

    /* the worker's configuration is not the newest any more */
    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(heap_collected(NULL, HEAP_ALLOC_SPACE, false), 100);
    cr_assert_eq(heap_collected(NULL, HEAP_ALLOC_SPACE, true), 0);
    cr_assert_eq(heap_collected(NULL, HEAP_INUSE_SPACE, false), 0);
    cr_assert_eq(heap_collected(NULL, HEAP_INUSE_SPACE, true), 30);

    /* of a window all that it did is labelled */
    cr_assert_eq(heap_collected(&base, HEAP_ALLOC_SPACE, false), 0);
    cr_assert_eq(heap_collected(&base, HEAP_ALLOC_SPACE, true), 100);
    cr_assert_eq(heap_collected(&base, HEAP_INUSE_SPACE, true), 30);
}


Test(instance_collect, leader_that_died_as_it_changed_something)
{
    totals_put();
    atomic_fetch_add(&instance.directory->sequence, 1);

    memset(&c, 0, sizeof(c));
    c.question = &nobody;
    cr_assert_eq(collect(&c), -EAGAIN);
    collect_end(&c);

    cr_assert(instance_lead());
    cr_assert_eq(collected(NULL), 10);

    /* one that lives is not disturbed */
    cr_assert(instance_lead());
    cr_assert_eq(instance.directory->sequence, 2);
}


Test(instance_collect, answers_that_nobody_took_keep_no_memory)
{
    char        bytes[65536] = {1};
    unsigned    i;
    struct stat status;

    cr_assert_eq(instance_join(), 0);

    for (i = 0; i < INSTANCE_AREAS; i++) {
        cr_assert_eq(instance_write(instance_area_offset(instance.slot, i),
                                    bytes, sizeof(bytes)),
                     0);
        instance_own_slot()->areas[i].word = DONE;
    }

    cr_assert_eq(fstat(instance.fd, &status), 0);
    cr_assert_geq(status.st_blocks, 16 * 128);

    peer_begin();

    cr_assert_eq(fstat(instance.fd, &status), 0);
    cr_assert_eq(status.st_blocks, 0);
}


static void
count_lost(void *data, uint32_t pid)
{
    (void) pid;
    ++*(unsigned *) data;
}


Test(instance_collect, slots_of_the_dead_are_there_for_who_comes)
{
    unsigned i, lost = 0;

    instance_reap(count_lost, &lost);
    cr_assert_eq(lost, 0);

    cr_assert_eq(instance_prepare(), 0);

    for (i = 0; i < INSTANCE_SLOTS; i++) {
        instance.directory->slots[i].state = INSTANCE_LIVE;
    }

    instance.directory->n_slots = INSTANCE_SLOTS;
    cr_assert_eq(instance_join(), -ENOSPC);

    instance_reap(count_lost, &lost);
    cr_assert_eq(lost, INSTANCE_SLOTS);
    cr_assert_eq(instance_join(), 0);
}


Test(instance_collect, history_that_is_made_smaller_gives_memory_back)
{
    char        bytes[65536] = {1};
    struct stat status;

    cr_assert_eq(instance_join(), 0);
    cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
    cr_assert_eq(instance_write(instance_history_offset() + (1 << 20), bytes,
                                sizeof(bytes)),
                 0);

    cr_assert_eq(history_add(&merge, 1, 1, 2, 1 << 20), 0);
    cr_assert_eq(instance.directory->history_count, 1);
    cr_assert_eq(fstat(instance.fd, &status), 0);
    cr_assert_leq(status.st_blocks, 8);

    history_drop();
    cr_assert_eq(instance.directory->history_count, 0);
    cr_assert_eq(fstat(instance.fd, &status), 0);
    cr_assert_eq(status.st_blocks, 0);

    stack_merge_free(&merge);
}


/* An answer of one stack, of which the last byte is missing. */
static int
cut_write(void *data, uint32_t types, struct parcel_file *file)
{
    (void) data;
    (void) types;
    file->length = parcel_put(instance_own_slot()->id, file->offset, 10) - 1;

    return 0;
}


static int
whole_write(void *data, uint32_t types, struct parcel_file *file)
{
    (void) cut_write(data, types, file);
    file->length++;

    return 0;
}


static void
answer_cut(void)
{
    peer_accept_all(instance.slot);
    peer_answer_all(instance.slot, cut_write, NULL);
}


static void
answer_whole(void)
{
    peer_accept_all(instance.slot);
    peer_answer_all(instance.slot, whole_write, NULL);
}


Test(instance_collect, answer_that_is_no_parcel_is_counted_and_left_out)
{
    pid_t                       pids[2];
    unsigned                    i;
    static struct peer_question asked;

    cr_assert_eq(instance_prepare(), 0);
    cr_assert_eq(instance_join(), 0);
    peer_begin();
    pids[0] = other_worker(answer_whole);
    pids[1] = other_worker(answer_cut);

    for (i = 0; i < 2; i++) {
        memset(&c, 0, sizeof(c));
        cr_assert_eq(stack_merge_init(&merge, &registry, &fixture_nginx), 0);
        c.question = &asked;
        c.window.merges[0] = &merge;

        peer_ask_all(&asked, 1, pids[i]);
        cr_assert_eq(collect(&c), 0);
        cr_assert_eq(c.answered, 1 - i);
        cr_assert_eq(c.malformed, i);
        cr_assert_eq(instance.directory->malformed, i);
        cr_assert_eq(merge.sample_ids.n, 1 - i, "nothing of half a parcel");

        collect_end(&c);
        stack_merge_free(&merge);
    }
}
