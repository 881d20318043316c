
/*
 * The versions that samples are of: the label `version`, which says what served
 * the request (two versions of a plug-in can do so side by side). Each has
 * profiles of its own. The export thread.
 */


#ifndef NPROF_PROFILE_VERSION_H
#define NPROF_PROFILE_VERSION_H


#include <stdint.h>

#include "../aggregate/stack_profile.h"
#include "../symbolize/block_arena.h"


/* Versions of one period; samples of further ones stay with those of none. */
#define PROFILE_VERSIONS_MAX 16


/* [0] is that of samples without a label. */
struct profile_versions {
    uint32_t    n;
    const char *versions[PROFILE_VERSIONS_MAX];

    /* Samples of all profiles, and requests, by version. */
    uint64_t found[PROFILE_VERSIONS_MAX];
};


/* Finds the versions of n profiles; own is that of samples without a label, ""
   if it is not known. The texts are as old as the profiles. */
void profile_versions_find(struct profile_versions           *versions,
                           const struct stack_profile *const *profiles,
                           uint32_t n, const char *own);

/* So many requests were of that version, which may have no samples. Its text is
   to be as old as the profiles. */
void profile_versions_add(struct profile_versions *versions,
                          const char *version, uint64_t requests);

/*
 * A copy of a profile with the samples of one version only, which are the
 * arena's and share their frames with the profile's. 0 or -ENOMEM.
 */
int profile_version_select(struct stack_profile          *selected,
                           const struct stack_profile    *profile,
                           const struct profile_versions *versions,
                           uint32_t version, struct block_arena *arena);


#endif /* NPROF_PROFILE_VERSION_H */
