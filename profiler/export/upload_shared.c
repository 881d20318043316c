
/*
 * The shared memory of an instance's uploads; see upload_shared.h.
 */


#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "upload_shared.h"


struct upload_shared *
upload_shared_get(void)
{
    void                        *memory;
    static struct upload_shared *shared;

    if (shared == NULL) {
        memory = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return NULL;
        }

        shared = memory;
        uuid_generate_random(shared->instance);
    }

    return shared;
}


/* FNV-1a; never 0. */
static uint64_t
version_hash(const char *version)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *version != '\0'; version++) {
        hash = (hash ^ (unsigned char) *version) * UINT64_C(0x100000001b3);
    }

    return hash == 0 ? 1 : hash;
}


uint64_t
upload_shared_sequence(struct upload_shared *shared, const char *version)
{
    size_t   i;
    uint64_t hash, found;

    hash = version_hash(version);

    for (i = 0; i < UPLOAD_VERSIONS_MAX - 1; i++) {
        found = 0;

        if (atomic_compare_exchange_strong(&shared->sequences[i].version,
                                           &found, hash)
            || found == hash) {
            break;
        }
    }

    return atomic_fetch_add(&shared->sequences[i].next, 1);
}


struct upload_results *
upload_shared_results(struct upload_shared *shared, const char *name,
                      uint32_t *in_use)
{
    size_t                 i;
    struct upload_results *results, *unused;

    unused = NULL;

    for (i = UPLOAD_RESULTS_MAX; i-- > 0;) {
        results = &shared->results[i];

        if (strncmp(results->name, name, UPLOAD_NAME_MAX) == 0) {
            *in_use |= 1u << i;
            return results;
        }

        if (!(*in_use & 1u << i)
            && (unused == NULL || results->name[0] == '\0')) {
            unused = results;
        }
    }

    if (unused != NULL) {
        memset(unused, 0, sizeof(*unused));
        snprintf(unused->name, sizeof(unused->name), "%s", name);
        *in_use |= 1u << (unused - shared->results);
    }

    return unused;
}
