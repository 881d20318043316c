
/*
 * The text of a heap profile; see heap_text.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../heap/heap_values.h"
#include "heap_text.h"
#include "pprof_tables.h"


static int
compare_in_use(const void *one, const void *two)
{
    const struct profile_sample *a = one, *b = two;

    if (a->values[HEAP_INUSE_SPACE] != b->values[HEAP_INUSE_SPACE]) {
        return a->values[HEAP_INUSE_SPACE] < b->values[HEAP_INUSE_SPACE] ? 1
                                                                         : -1;
    }

    return (a->values[HEAP_ALLOC_SPACE] < b->values[HEAP_ALLOC_SPACE])
           - (a->values[HEAP_ALLOC_SPACE] > b->values[HEAP_ALLOC_SPACE]);
}


static void
print_values(FILE *out, const int64_t *values)
{
    fprintf(out, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @",
            values[HEAP_INUSE_OBJECTS], values[HEAP_INUSE_SPACE],
            values[HEAP_ALLOC_OBJECTS], values[HEAP_ALLOC_SPACE]);
}


static void
print_head(FILE *out, const struct stack_profile *profile)
{
    size_t   i, v;
    int64_t  sums[HEAP_VALUES] = {0};
    uint64_t sum;

    for (i = 0; i < profile->n_samples; i++) {
        for (v = 0; v < HEAP_VALUES; v++) {
            sum = (uint64_t) sums[v] + (uint64_t) profile->samples[i].values[v];
            sums[v] = (int64_t) sum;
        }
    }

    fputs("heap profile: ", out);
    print_values(out, sums);
    fputs(" heap/1\n", out);
}


static const struct pprof_location *
location_of(struct pprof_tables *tables, const struct stack_frame *frame)
{
    return &tables->locations[pprof_tables_location(tables, frame)];
}


/* The frame with the calls that were inlined in it. */
static void
print_frame(FILE *out, struct pprof_tables *tables,
            const struct stack_frame *frame)
{
    uint32_t                     i;
    const struct pprof_line     *line;
    const struct pprof_location *location;
    const struct pprof_function *function;

    location = location_of(tables, frame);

    for (i = 0; i < location->n_lines; i++) {
        line = &location->lines[i];
        function = &tables->functions[line->function];

        fprintf(out, "#\t%#" PRIx64 "\t%s\t%s:%" PRIu32 "\n", location->address,
                tables->strings.texts[function->name],
                tables->strings.texts[function->file], line->line);
    }
}


static void
print_sample(FILE *out, struct pprof_tables *tables,
             const struct profile_sample *sample)
{
    uint32_t i;

    print_values(out, sample->values);

    for (i = 0; i < sample->n_frames; i++) {
        fprintf(out, " %#" PRIx64,
                location_of(tables, &sample->frames[i])->address);
    }

    fputc('\n', out);

    for (i = 0; i < sample->n_frames; i++) {
        print_frame(out, tables, &sample->frames[i]);
    }

    fputc('\n', out);
}


/* Locations and names of all frames. */
static int
tables_fill(struct pprof_tables *tables, const struct stack_profile *profile,
            struct block_arena *arena, struct symbolizer *symbolizer)
{
    int                          rc;
    size_t                       s;
    uint32_t                     f;
    const struct profile_sample *sample;

    rc = pprof_tables_init(tables, profile, arena);

    for (s = 0; rc == 0 && s < profile->n_samples; s++) {
        sample = &profile->samples[s];

        for (f = 0; rc == 0 && f < sample->n_frames; f++) {
            if (pprof_tables_location(tables, &sample->frames[f])
                == ID_TABLE_NONE) {
                rc = -ENOMEM;
            }
        }
    }

    return rc == 0 ? pprof_tables_name(tables, symbolizer) : rc;
}


static int
text_print(const struct stack_profile *profile, struct pprof_tables *tables,
           char **text, size_t *len)
{
    FILE  *out;
    size_t i;

    *text = NULL;

    out = open_memstream(text, len);
    if (out == NULL) {
        return -ENOMEM;
    }

    print_head(out, profile);

    for (i = 0; i < profile->n_samples; i++) {
        print_sample(out, tables, &profile->samples[i]);
    }

    if (fclose(out) != 0) {
        free(*text);
        *text = NULL;
        return -ENOMEM;
    }

    return 0;
}


int
heap_text(struct stack_profile *profile, struct symbolizer *symbolizer,
          char **text, size_t *len)
{
    int                 rc;
    struct block_arena  arena = {0};
    struct pprof_tables tables = {0};

    qsort(profile->samples, profile->n_samples, sizeof(profile->samples[0]),
          compare_in_use);

    rc = tables_fill(&tables, profile, &arena, symbolizer);
    if (rc == 0) {
        rc = text_print(profile, &tables, text, len);
    }

    block_arena_free(&arena);

    return rc;
}
