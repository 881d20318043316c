
/*
 * Profiles by version; see profile_version.h.
 */


#include <errno.h>
#include <string.h>

#include "profile_version.h"


#define VERSION_LABEL "version"


/* The value of the label, or NULL. */
static const char *
sample_version(const struct stack_profile  *profile,
               const struct profile_sample *sample)
{
    const struct label *label;

    for (label = stack_profile_label(profile, sample->labels); label != NULL;
         label = stack_profile_label(profile, label->rest)) {
        if (strcmp(label->name, VERSION_LABEL) == 0) {
            return label->value;
        }
    }

    return NULL;
}


/* The number of a version; that of none where it is not known, or NULL. */
static uint32_t
version_index(const struct profile_versions *versions, const char *version)
{
    uint32_t i;

    for (i = 0; version != NULL && i < versions->n; i++) {
        if (strcmp(versions->versions[i], version) == 0) {
            return i;
        }
    }

    return 0;
}


void
profile_versions_add(struct profile_versions *versions, const char *version,
                     uint64_t requests)
{
    uint32_t index;

    index = version_index(versions, version);

    if (index == 0 && strcmp(version, versions->versions[0]) != 0
        && versions->n < PROFILE_VERSIONS_MAX) {
        index = versions->n++;
        versions->versions[index] = version;
    }

    versions->found[index] += requests;
}


void
profile_versions_find(struct profile_versions           *versions,
                      const struct stack_profile *const *profiles, uint32_t n,
                      const char *own)
{
    size_t      i;
    uint32_t    p;
    const char *version;

    memset(versions, 0, sizeof(*versions));
    versions->versions[0] = own;
    versions->n = 1;

    for (p = 0; p < n; p++) {
        for (i = 0; i < profiles[p]->n_samples; i++) {
            version = sample_version(profiles[p], &profiles[p]->samples[i]);
            profile_versions_add(versions, version == NULL ? own : version, 1);
        }
    }
}


int
profile_version_select(struct stack_profile          *selected,
                       const struct stack_profile    *profile,
                       const struct profile_versions *versions,
                       uint32_t version, struct block_arena *arena)
{
    size_t i;

    *selected = *profile;
    selected->n_samples = 0;
    selected->samples = block_arena_alloc(
        arena, (profile->n_samples + 1) * sizeof(*selected->samples));
    if (selected->samples == NULL) {
        return -ENOMEM;
    }

    for (i = 0; i < profile->n_samples; i++) {
        if (version_index(versions,
                          sample_version(profile, &profile->samples[i]))
            == version) {
            selected->samples[selected->n_samples++] = profile->samples[i];
        }
    }

    return 0;
}
