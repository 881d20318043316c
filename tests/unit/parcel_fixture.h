/*
 * Parcels of made-up profiles, in memory.
 */

#ifndef PARCEL_FIXTURE_H
#define PARCEL_FIXTURE_H


#include <stdlib.h>
#include <string.h>

#include "instance/stack_parcel.h"
#include "profile_types.h"


struct parcel_memory {
    unsigned char *bytes;
    size_t         n;
};


static struct module_identity fixture_nginx = {
    .path = "/nginx",
    .build_id = {1, 2, 3},
    .build_id_len = 3,
    .text_start = 0x1000,
    .text_end = 0x9000,
    .fd = -1,
};

static struct module_identity fixture_plugin = {
    .path = "/plug-in.so",
    .inode = 77,
    .text_start = 0x2000,
    .text_end = 0x5000,
    .fd = -1,
};

/* Number 2 is the set a=1, b=2; 3 the set b=2 and 4 again b=2, a=1. */
static const struct label fixture_labels[] = {
    {0, NULL, NULL}, {0, "a", "1"}, {1, "b", "2"}, {0, "b", "2"}, {3, "a", "1"},
};


static void
parcel_memory_sink(void *data, const void *bytes, size_t n)
{
    struct parcel_memory *memory = data;

    memory->bytes = realloc(memory->bytes, memory->n + n + 1);
    memcpy(memory->bytes + memory->n, bytes, n);
    memory->n += n;
}


/* A parcel with one profile of that kind; the modules in either order. */
static struct parcel_memory
parcel_make(uint64_t worker, unsigned kind, struct profile_sample *samples,
            size_t n_samples, int plugin_first)
{
    struct parcel_memory    memory = {0};
    struct parcel_writer    writer;
    struct stack_profile    profile = {0};
    struct module_identity *modules[2] = {&fixture_nginx, &fixture_plugin};

    if (plugin_first) {
        modules[0] = &fixture_plugin;
        modules[1] = &fixture_nginx;
    }

    profile.modules = modules;
    profile.n_modules = 2;
    profile.n_value_types = profile_type_shape(kind)->n_values;
    profile.samples = samples;
    profile.n_samples = n_samples;
    profile.label_sets = fixture_labels;
    profile.n_label_sets = 5;

    parcel_begin(&writer, worker, 42, parcel_memory_sink, &memory);
    parcel_add(&writer, kind, &profile);
    if (parcel_end(&writer) != 0) {
        abort();
    }

    return memory;
}


#endif /* PARCEL_FIXTURE_H */
