
/*
 * Profiles with Datadog's names of sample types. The export thread.
 */


#ifndef NPROF_DATADOG_PROFILE_H
#define NPROF_DATADOG_PROFILE_H


#include <stdbool.h>

#include "../aggregate/stack_profile.h"


/*
 * Gives the profile, whose samples are the caller's, Datadog's value types in
 * Datadog's order. False, with the profile as it was: Datadog has no name for
 * any of them.
 */
bool datadog_profile_convert(struct stack_profile *profile);


#endif /* NPROF_DATADOG_PROFILE_H */
