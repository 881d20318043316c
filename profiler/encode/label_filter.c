
/*
 * Filters of samples; see label_filter.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "label_filter.h"
#include "pprof_label.h"


/* NUL-terminated; value is "" where there has to be no such label. */
struct wanted_label {
    const char *name;
    const char *value;

    /* It is said of spans, whose id the value is; 0: of none. */
    bool     of_span;
    uint64_t span;
};

struct label_filter {
    uint32_t            n;
    struct wanted_label labels[];
};


/* Puts the text where there is room, and moves that on. */
static const char *
text_put(char **room, const struct nprof_text *text)
{
    char *copy = *room;

    memcpy(copy, text->data, text->len);
    copy[text->len] = '\0';
    *room += text->len + 1;

    return copy;
}


/* The number that a file has for a span, signed or not; false if it is none. */
static bool
span_read(const char *text, uint64_t *span)
{
    char *end;

    if ((*text < '0' || *text > '9') && *text != '-') {
        return false;
    }

    errno = 0;
    *span = strtoull(text, &end, 10);

    return errno == 0 && *end == '\0' && *span != 0;
}


static void
label_want(struct wanted_label *wanted, const char *name, const char *value)
{
    wanted->name = name;
    wanted->value = value;
    wanted->of_span = strcmp(name, PPROF_LABEL_SPAN) == 0
                      || strcmp(name, PPROF_LABEL_ROOT_SPAN) == 0;

    /* what is no number is no span's: nothing is wanted then */
    if (wanted->of_span && *value != '\0' && !span_read(value, &wanted->span)) {
        wanted->of_span = false;
    }
}


struct label_filter *
label_filter_create(const struct nprof_label_match *labels, uint32_t n)
{
    char                *room;
    size_t               size;
    uint32_t             i;
    const char          *name, *value;
    struct label_filter *filter;

    size = sizeof(*filter) + n * sizeof(filter->labels[0]);

    for (i = 0; i < n; i++) {
        size += labels[i].name.len + labels[i].value.len + 2;
    }

    filter = calloc(1, size);
    if (filter == NULL) {
        return NULL;
    }

    room = (char *) &filter->labels[n];

    for (i = 0; i < n; i++) {
        name = text_put(&room, &labels[i].name);
        value = text_put(&room, &labels[i].value);
        label_want(&filter->labels[i], name, value);
    }

    filter->n = n;

    return filter;
}


/* What a file has as the sample's label of that name; "" if there is none. */
static const char *
sample_value(const struct stack_profile  *profile,
             const struct profile_sample *sample, const char *name)
{
    const struct label *label;

    if (strcmp(name, PPROF_LABEL_THREAD) == 0 && sample->thread[0] != '\0') {
        return sample->thread;
    }

    for (label = stack_profile_label(profile, sample->labels); label != NULL;
         label = stack_profile_label(profile, label->rest)) {
        if (strcmp(label->name, name) == 0) {
            return label->value;
        }
    }

    return "";
}


static bool
label_matches(const struct wanted_label   *wanted,
              const struct stack_profile  *profile,
              const struct profile_sample *sample)
{
    return strcmp(sample_value(profile, sample, wanted->name), wanted->value)
           == 0;
}


/* Leaves the sample its share of the span that is wanted, as one, or what is of
   none. */
static void
spans_sift(const struct wanted_label *wanted, struct profile_sample *sample)
{
    int64_t              ns = 0, share;
    uint32_t             i, v;
    struct profile_span *spans = (struct profile_span *) sample->spans;

    for (i = 0; i < sample->n_spans; i++) {
        if (wanted->span == 0 || spans[i].span == wanted->span) {
            ns += spans[i].ns;
        }
    }

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        /* the product may have more than 64 bits */
        share = ns == 0 ? 0
                        : (int64_t) ((__int128) sample->values[v] * ns
                                     / sample->span_ns);

        sample->values[v]
            = wanted->span == 0 ? sample->values[v] - share : share;
    }

    sample->n_spans = 0;

    if (wanted->span != 0 && ns != 0) {
        spans[0].span = wanted->span;
        spans[0].ns = ns;
        sample->span_ns = ns;
        sample->n_spans = 1;
    }
}


static bool
values_any(const struct profile_sample *sample)
{
    unsigned v;

    for (v = 0; v < STACK_PROFILE_MAX_VALUES; v++) {
        if (sample->values[v] != 0) {
            return true;
        }
    }

    return false;
}


/* Whether anything of the sample is wanted; what is not is taken off. */
static bool
sample_sift(const struct label_filter  *filter,
            const struct stack_profile *profile, struct profile_sample *sample)
{
    uint32_t                   i;
    const struct wanted_label *wanted;

    for (i = 0; i < filter->n; i++) {
        wanted = &filter->labels[i];

        if (wanted->of_span) {
            spans_sift(wanted, sample);
        } else if (!label_matches(wanted, profile, sample)) {
            return false;
        }
    }

    return values_any(sample);
}


static bool
request_is_wanted(const struct label_filter   *filter,
                  const struct stack_profile  *profile,
                  const struct profile_sample *sample)
{
    uint32_t                   i;
    const struct wanted_label *wanted;

    for (i = 0; i < filter->n; i++) {
        wanted = &filter->labels[i];

        if (!wanted->of_span && strcmp(wanted->name, PPROF_LABEL_THREAD) != 0
            && !label_matches(wanted, profile, sample)) {
            return false;
        }
    }

    return true;
}


void
label_filter_samples(const struct label_filter *filter,
                     struct stack_profile      *profile)
{
    size_t i, n = 0;

    for (i = 0; i < profile->n_samples; i++) {
        if (sample_sift(filter, profile, &profile->samples[i])) {
            profile->samples[n++] = profile->samples[i];
        }
    }

    profile->n_samples = n;
}


void
label_filter_requests(const struct label_filter *filter,
                      struct stack_profile      *profile)
{
    size_t i, n = 0;

    for (i = 0; i < profile->n_samples; i++) {
        if (request_is_wanted(filter, profile, &profile->samples[i])) {
            profile->samples[n++] = profile->samples[i];
        }
    }

    profile->n_samples = n;
}
