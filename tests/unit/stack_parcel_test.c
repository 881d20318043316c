/*
 * Parcels: what is written is read again, and what is none is refused.
 */

#include <criterion/criterion.h>
#include <errno.h>

#include "instance/parcel_record.h"
#include "parcel_fixture.h"


static const struct stack_frame frames[] = {
    {.address = 0x2010, .module = 1, .kind = STACK_FRAME_CODE},
    {.address = 0x1fff, .module = 0, .kind = STACK_FRAME_ROOT_MAIN},
    {.module = STACK_FRAME_NO_MODULE, .kind = STACK_FRAME_LOST},
};


static struct parcel_memory
parcel_usual(void)
{
    struct profile_sample samples[] = {
        {.frames = frames,
         .n_frames = 2,
         .thread = "main",
         .labels = 2,
         .values = {3, INT64_MAX}},
        {.frames = frames + 2,
         .n_frames = 1,
         .thread = "",
         .values = {-1, INT64_MIN}},
    };

    return parcel_make(7, 1, samples, 2, 0);
}


Test(stack_parcel, is_read_as_written)
{
    struct parcel_memory memory = parcel_usual();
    struct parcel_reader r;
    struct parcel_sample s;

    cr_assert_eq(parcel_read(&r, memory.bytes, memory.n), 0);
    cr_assert_eq(r.worker, 7);
    cr_assert_eq(r.pid, 42);

    cr_assert_eq(parcel_next(&r, &s), PARCEL_PROFILE);
    cr_assert_eq(r.kind, 1);
    cr_assert_eq(r.n_values, 2);

    cr_assert_eq(parcel_next(&r, &s), PARCEL_SAMPLE);
    cr_assert_eq(s.n_frames, 2);
    cr_assert_eq(s.frames[0].address, 0x2010);
    cr_assert_str_eq(r.modules[s.frames[0].module].identity.path,
                     "/plug-in.so");
    cr_assert_eq(r.modules[s.frames[0].module].identity.inode, 77);
    cr_assert_eq(s.frames[1].address, 0x1fff);
    cr_assert_eq(s.frames[1].kind, STACK_FRAME_ROOT_MAIN);
    cr_assert_str_eq(r.threads[s.thread], "main");
    cr_assert_str_eq(r.labels[s.labels].name, "b");
    cr_assert_str_eq(r.labels[r.labels[s.labels].rest].value, "1");
    cr_assert_eq(s.values[0], 3);
    cr_assert_eq(s.values[1], INT64_MAX);

    cr_assert_eq(parcel_next(&r, &s), PARCEL_SAMPLE);
    cr_assert_eq(s.n_frames, 1);
    cr_assert_eq(s.frames[0].module, STACK_FRAME_NO_MODULE);
    cr_assert_eq(s.frames[0].kind, STACK_FRAME_LOST);
    cr_assert_str_eq(r.threads[s.thread], "");
    cr_assert_eq(s.hash, parcel_mark_hash("", STACK_FRAME_LOST));
    cr_assert_eq(s.values[0], -1);
    cr_assert_eq(s.values[1], INT64_MIN);

    cr_assert_eq(parcel_next(&r, &s), PARCEL_END);
    parcel_read_end(&r);
    free(memory.bytes);
}


/* What happens to the reader: the last event. */
static int
read_all(const void *bytes, size_t n)
{
    int                  event;
    struct parcel_reader r;
    struct parcel_sample s;

    event = parcel_read(&r, bytes, n);

    if (event == 0) {
        do {
            event = parcel_next(&r, &s);
        } while (event > PARCEL_END);
    }

    parcel_read_end(&r);

    return event;
}


Test(stack_parcel, cut_anywhere_is_refused)
{
    size_t               n;
    void                *part;
    struct parcel_memory memory = parcel_usual();

    cr_assert_eq(read_all(memory.bytes, memory.n), PARCEL_END);

    for (n = 0; n < memory.n; n++) {
        /* of exactly its size: what is beyond is not to be read */
        part = malloc(n + (n == 0));
        memcpy(part, memory.bytes, n);
        cr_assert_eq(read_all(part, n), -EBADMSG, "%zu bytes", n);
        free(part);
    }

    parcel_memory_sink(&memory, "", 1);
    cr_assert_eq(read_all(memory.bytes, memory.n), -EBADMSG);
    free(memory.bytes);
}


Test(stack_parcel, damage_does_no_harm)
{
    int                  event;
    size_t               i, bit;
    struct parcel_memory memory = parcel_usual();

    for (i = 0; i < memory.n; i++) {
        for (bit = 0; bit < 8; bit++) {
            memory.bytes[i] ^= (unsigned char) (1 << bit);
            event = read_all(memory.bytes, memory.n);
            cr_assert(event == PARCEL_END || event == -EBADMSG);
            cr_assert(i >= 8 || event == -EBADMSG);
            memory.bytes[i] ^= (unsigned char) (1 << bit);
        }
    }

    free(memory.bytes);
}


static void
put_byte(struct parcel_memory *memory, unsigned char byte)
{
    parcel_memory_sink(memory, &byte, 1);
}


/* A number below 2^14. */
static void
put_number(struct parcel_memory *memory, uint32_t number)
{
    put_byte(memory, (unsigned char) (number | 0x80));
    put_byte(memory, (unsigned char) (number >> 7));
}


/* A parcel with a set of n labels, each a record, that are as many sets. */
static struct parcel_memory
parcel_of_labels(uint32_t n)
{
    uint32_t             i;
    struct parcel_memory memory = parcel_make(1, 0, NULL, 0, 0);

    memory.n--;

    for (i = 0; i < n; i++) {
        put_byte(&memory, PARCEL_RECORD_LABEL);
        put_number(&memory, i);
        parcel_memory_sink(&memory, "\1a\0\1b", 6);
    }

    put_byte(&memory, PARCEL_RECORD_END);

    return memory;
}


Test(stack_parcel, sets_of_labels_have_a_bounded_depth)
{
    struct parcel_memory memory;

    memory = parcel_of_labels(PARCEL_LABEL_DEPTH);
    cr_assert_eq(read_all(memory.bytes, memory.n), PARCEL_END);
    free(memory.bytes);

    memory = parcel_of_labels(PARCEL_LABEL_DEPTH + 1);
    cr_assert_eq(read_all(memory.bytes, memory.n), -EBADMSG);
    free(memory.bytes);

    memory = parcel_of_labels(16000);
    cr_assert_eq(read_all(memory.bytes, memory.n), -EBADMSG);
    free(memory.bytes);
}


/* The hash of the first sample. */
static uint64_t
hash_of(uint32_t labels, const char *thread, int plugin_first)
{
    uint64_t              hash;
    struct stack_frame    swapped[2];
    struct profile_sample sample
        = {.n_frames = 2, .thread = thread, .labels = labels};
    struct parcel_memory memory;
    struct parcel_reader r;
    struct parcel_sample s;

    memcpy(swapped, frames, sizeof(swapped));
    swapped[0].module ^= plugin_first;
    swapped[1].module ^= plugin_first;
    sample.frames = swapped;

    memory = parcel_make(1, 0, &sample, 1, plugin_first);
    cr_assert_eq(parcel_read(&r, memory.bytes, memory.n), 0);
    cr_assert_eq(parcel_next(&r, &s), PARCEL_PROFILE);
    cr_assert_eq(parcel_next(&r, &s), PARCEL_SAMPLE);
    hash = s.hash;
    parcel_read_end(&r);
    free(memory.bytes);

    return hash;
}


Test(stack_parcel, the_hash_is_of_what_is_meant)
{
    uint64_t hash = hash_of(2, "main", 0);

    cr_assert_eq(hash, hash_of(2, "main", 1), "the order of modules");
    cr_assert_eq(hash, hash_of(4, "main", 0), "the order of labels");
    cr_assert_neq(hash, hash_of(1, "main", 0));
    cr_assert_neq(hash, hash_of(3, "main", 0));
    cr_assert_neq(hash, hash_of(2, "nginx", 0));
}
