
/*
 * The runtime ids of an instance: what joins its profiles and its spans. An
 * instance has one for each version that it serves. They are derived from one
 * random UUID of the instance, so all processes of it agree without asking each
 * other, over reloads and whoever uploads. Any thread.
 */


#ifndef NPROF_RUNTIME_ID_H
#define NPROF_RUNTIME_ID_H


#include <uuid/uuid.h>


/* With hyphens, and the NUL. */
#define RUNTIME_ID_SIZE UUID_STR_LEN


/* The id of a version of the instance; "" is no version. */
void runtime_id_print(const uuid_t instance, const char *version,
                      char id[RUNTIME_ID_SIZE]);


#endif /* NPROF_RUNTIME_ID_H */
