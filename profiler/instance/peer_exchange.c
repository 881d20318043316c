
/*
 * Questions and answers between workers; see peer_exchange.h.
 */


#include <errno.h>
#include <string.h>

#include "../futex_wait.h"
#include "../nprof.h"
#include "../nprof_clock.h"
#include "peer_exchange.h"


/*
 * An area's word: its state in the lowest byte, the slot of who is asked in the
 * next 16 bits, the types in the 8 after them, and in the upper half who is
 * asked: the id's lower half, since another worker may have the slot later. It
 * changes as a whole, so that who takes a question knows that it is the one that
 * was read.
 */
enum area_state {
    AREA_FREE = 0,

    /* The asking side's, which has not asked yet. */
    AREA_RESERVED,

    /* The asked side may take it, and the asking side take it back. */
    AREA_ASKED,

    /* The asked side writes. */
    AREA_TAKEN,

    /* The answer is there; no length: it failed. */
    AREA_DONE
};

#define AREA_STATE(word) ((enum area_state)((word) &0xff))
#define AREA_SLOT(word) ((unsigned) ((word) >> 8 & 0xffff))
#define AREA_TYPES(word) ((uint32_t) ((word) >> 24 & 0xff))
#define AREA_WORKER(word) ((uint32_t) ((word) >> 32))

_Static_assert(NPROF_PROFILES <= 8, "types have 8 bits of an area's word");

/*
 * Questions are asked at their time, by the event loop, and answers taken when
 * the export thread gets to it: the areas that are left are for what found none
 * then, so that one question can't wait for areas that a later one has.
 */
#define AREAS_EARLY 12

/* How long a wait for another worker is without a look whether it lives. */
#define LOOK_NS 100000000


static uint64_t
area_word(enum area_state state, const struct peer_ask *ask, uint32_t types)
{
    return (uint64_t) (uint32_t) ask->worker << 32 | (uint64_t) types << 24
           | (uint64_t) ask->slot << 8 | state;
}


/* Areas whose answer nobody waits for: it comes late, or never will. The export
   thread's. */
static uint32_t areas_abandoned;


/* No answer is waited for beyond this, of CLOCK_MONOTONIC. Stored by the event
   loop. */
static _Atomic int64_t wait_limit_ns;


/* Nobody writes to the area any more. What is in it, an answer that nobody
   wanted or a part of one, needs no memory. */
static void
area_clear(unsigned i)
{
    instance_free(instance_area_offset(instance.slot, i), INSTANCE_PARCEL_MAX);
    atomic_store(&instance_own_slot()->areas[i].word, AREA_FREE);
}


/* Whether who took the question may still write to its area: another worker
   gets the slot only once the process that had it is gone. */
static bool
taker_lives(uint64_t word)
{
    unsigned slot = AREA_SLOT(word);

    return (uint32_t) atomic_load(&instance.directory->slots[slot].id)
               == AREA_WORKER(word)
           && instance_slot_lives(slot);
}


/* Takes back what was abandoned and will not be written to any more. */
static void
areas_recover(void)
{
    unsigned              i;
    uint64_t              word;
    struct instance_area *area;

    for (i = 0; i < INSTANCE_AREAS; i++) {
        if (!(areas_abandoned & 1u << i)) {
            continue;
        }

        area = &instance_own_slot()->areas[i];
        word = atomic_load(&area->word);

        if (AREA_STATE(word) == AREA_DONE || !taker_lives(word)) {
            areas_abandoned &= ~(1u << i);
            area_clear(i);
        }
    }
}


void
peer_begin(void)
{
    unsigned              i;
    uint64_t              word;
    struct instance_area *areas = instance_own_slot()->areas;

    areas_abandoned = 0;
    atomic_store(&wait_limit_ns, INT64_MAX);

    for (i = 0; i < INSTANCE_AREAS; i++) {
        word = atomic_load(&areas[i].word);

        if (AREA_STATE(word) == AREA_ASKED) {
            (void) atomic_compare_exchange_strong(&areas[i].word, &word,
                                                  AREA_FREE);
            word = atomic_load(&areas[i].word);
        }

        if (AREA_STATE(word) == AREA_TAKEN) {
            areas_abandoned |= 1u << i;
        } else {
            area_clear(i);
        }
    }
}


void
peer_limit_waits(int64_t until_ns)
{
    atomic_store(&wait_limit_ns, until_ns);
    futex_flag_wake(&instance_own_slot()->export_wake);
}


/* Whether there was one of the first n areas for it. */
static bool
peer_ask_one(struct peer_ask *ask, uint32_t types, unsigned n)
{
    unsigned              i;
    uint64_t              is_free;
    struct instance_slot *own = instance_own_slot();

    ask->area = PEER_NO_AREA;

    for (i = 0; i < n; i++) {
        is_free = AREA_FREE;

        if (atomic_compare_exchange_strong(
                &own->areas[i].word, &is_free,
                area_word(AREA_RESERVED, ask, types))) {
            break;
        }
    }

    if (i == n) {
        return false;
    }

    ask->area = (uint8_t) i;
    atomic_store(&own->areas[i].length, 0);
    atomic_store(&own->areas[i].word, area_word(AREA_ASKED, ask, types));
    futex_flag_wake(&instance.directory->slots[ask->slot].profiler_wake);

    return true;
}


static void
peer_ask_slot(struct peer_question *question, unsigned slot)
{
    struct peer_ask            *ask;
    const struct instance_slot *peer = &instance.directory->slots[slot];

    ask = &question->asks[question->n++];
    ask->slot = (uint16_t) slot;
    ask->pid = atomic_load(&peer->pid);
    ask->worker = atomic_load(&peer->id);
    ask->drains = instance_slot_drains(peer);
    ask->used = false;
    (void) peer_ask_one(ask, question->types, AREAS_EARLY);
}


void
peer_ask_all(struct peer_question *question, uint32_t types, pid_t pid)
{
    unsigned                    i;
    const struct instance_slot *slot;

    question->types = types;
    question->n = 0;

    /* itself first: the files of its modules are open */
    if (pid == 0 || atomic_load(&instance_own_slot()->pid) == (uint32_t) pid) {
        peer_ask_slot(question, instance.slot);
    }

    for (i = 0; i < instance_slots(); i++) {
        slot = &instance.directory->slots[i];

        if (i != instance.slot && atomic_load(&slot->state) == INSTANCE_LIVE
            && (pid == 0 || atomic_load(&slot->pid) == (uint32_t) pid)) {
            peer_ask_slot(question, i);
        }
    }
}


/* The worker that was asked has the slot no more, or died. */
static bool
peer_is_gone(const struct peer_ask *ask)
{
    const struct instance_slot *slot;

    slot = &instance.directory->slots[ask->slot];

    return atomic_load(&slot->state) != INSTANCE_LIVE
           || atomic_load(&slot->id) != ask->worker
           || !instance_slot_lives(ask->slot);
}


/* Takes a question back; its area is free, or abandoned to who answers. */
static void
peer_withdraw(struct peer_ask *ask, uint32_t types)
{
    uint64_t              word;
    struct instance_area *area;

    if (ask->area == PEER_NO_AREA) {
        return;
    }

    area = &instance_own_slot()->areas[ask->area];
    word = area_word(AREA_ASKED, ask, types);

    if (!atomic_compare_exchange_strong(&area->word, &word, AREA_FREE)) {
        areas_abandoned |= 1u << ask->area;
        areas_recover();
    }

    ask->area = PEER_NO_AREA;
}


/* Asks this one and the next ones, if they were not, and there is room. */
static void
peer_ask_ahead(struct peer_question *question, unsigned i)
{
    unsigned end = i + (INSTANCE_AREAS - AREAS_EARLY);

    areas_recover();

    for (/* void */; i < question->n && i < end; i++) {
        if (question->asks[i].area == PEER_NO_AREA
            && !peer_ask_one(&question->asks[i], question->types,
                             INSTANCE_AREAS)) {
            return;
        }
    }
}


/* Whether the answer is there. */
static bool
peer_has_answered(const struct peer_ask *ask)
{
    return ask->area != PEER_NO_AREA
           && AREA_STATE(
                  atomic_load(&instance_own_slot()->areas[ask->area].word))
                  == AREA_DONE;
}


static int
peer_wait(struct peer_question *question, unsigned i, int64_t until_ns)
{
    int64_t               left, limit;
    struct peer_ask      *ask = &question->asks[i];
    struct instance_slot *own = instance_own_slot();

    while (!peer_has_answered(ask)) {
        peer_ask_ahead(question, i);
        limit = atomic_load(&wait_limit_ns);
        left
            = (limit < until_ns ? limit : until_ns) - clock_ns(CLOCK_MONOTONIC);

        if (left <= 0) {
            return -ETIMEDOUT;
        }

        if (!futex_flag_wait(&own->export_wake, left < LOOK_NS ? left : LOOK_NS)
            && peer_is_gone(ask)) {
            return -ESRCH;
        }
    }

    return 0;
}


int
peer_take(struct peer_question *question, unsigned i, int64_t until_ns,
          struct parcel_bytes *answer)
{
    int                         rc;
    struct peer_ask            *ask = &question->asks[i];
    const struct instance_area *area;

    memset(answer, 0, sizeof(*answer));

    rc = peer_wait(question, i, until_ns);

    if (rc == 0) {
        area = &instance_own_slot()->areas[ask->area];
        rc = parcel_bytes_read(answer,
                               instance_area_offset(instance.slot, ask->area),
                               atomic_load(&area->length));
    }

    peer_withdraw(ask, question->types);

    return rc;
}


void
peer_drop(struct peer_question *question)
{
    unsigned i;

    for (i = 0; i < question->n; i++) {
        peer_withdraw(&question->asks[i], question->types);
    }

    question->n = 0;
}


/* Calls with each area that has a question to this worker in that state. */
static void
areas_visit(unsigned own, enum area_state state,
            void (*visit)(void *data, unsigned slot, unsigned i, uint64_t word),
            void *data)
{
    unsigned              slot, i;
    uint32_t              worker;
    uint64_t              word;
    struct instance_slot *asking;

    worker = (uint32_t) atomic_load(&instance.directory->slots[own].id);

    for (slot = 0; slot < instance_slots(); slot++) {
        asking = &instance.directory->slots[slot];

        if (atomic_load_explicit(&asking->state, memory_order_relaxed)
            != INSTANCE_LIVE) {
            continue;
        }

        for (i = 0; i < INSTANCE_AREAS; i++) {
            word = atomic_load(&asking->areas[i].word);

            if (AREA_STATE(word) == state && AREA_SLOT(word) == own
                && AREA_WORKER(word) == worker) {
                visit(data, slot, i, word);
            }
        }
    }
}


/* If it is not taken back at this moment. */
static void
peer_accept(void *data, unsigned slot, unsigned i, uint64_t word)
{
    struct instance_area *area = &instance.directory->slots[slot].areas[i];

    (void) data;
    (void) atomic_compare_exchange_strong(
        &area->word, &word, (word & ~UINT64_C(0xff)) | AREA_TAKEN);
}


void
peer_accept_all(unsigned own)
{
    areas_visit(own, AREA_ASKED, peer_accept, NULL);
}


struct peer_writer {
    int (*write)(void *data, uint32_t types, struct parcel_file *file);
    void *data;
};


static void
peer_answer(void *data, unsigned slot, unsigned i, uint64_t word)
{
    const struct peer_writer *writer = data;
    struct instance_slot     *asking = &instance.directory->slots[slot];
    struct instance_area     *area = &asking->areas[i];
    struct parcel_file        file = {.offset = instance_area_offset(slot, i)};

    if (writer->write(writer->data, AREA_TYPES(word), &file) == 0) {
        atomic_store(&area->length, file.length);
    }

    atomic_store(&area->word, (word & ~UINT64_C(0xff)) | AREA_DONE);
    futex_flag_wake(&asking->export_wake);
}


void
peer_answer_all(unsigned own,
                int (*write)(void *data, uint32_t types,
                             struct parcel_file *file),
                void *data)
{
    struct peer_writer writer = {write, data};

    areas_visit(own, AREA_TAKEN, peer_answer, &writer);
}
