
/*
 * The runtime ids of an instance; see runtime_id.h.
 */


#include <string.h>

#include "runtime_id.h"


void
runtime_id_print(const uuid_t instance, const char *version,
                 char id[RUNTIME_ID_SIZE])
{
    uuid_t uuid;

    uuid_generate_sha1(uuid, instance, version, strlen(version));
    uuid_unparse_lower(uuid, id);
}
