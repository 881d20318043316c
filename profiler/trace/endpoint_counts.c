
/*
 * Counters of endpoints; see endpoint_counts.h.
 */


#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "../export/profile_version.h"
#include "../nprof.h"
#include "endpoint_counts.h"


#define TEXT_SIZE (NPROF_LABEL_VALUE_MAX + 1)

/* Those after them are ENDPOINT_OTHER of each version. */
#define PLACES_OWN (ENDPOINTS_MAX - PROFILE_VERSIONS_MAX)


enum {
    ENTRY_FREE = 0,
    ENTRY_WRITTEN,
    ENTRY_READY
};


struct endpoint_entry {
    /* Whoever takes a free one writes the texts, and then says that they are
       ready. Two processes at once may make two of the same. */
    _Atomic uint32_t state;

    char endpoint[TEXT_SIZE];
    char version[TEXT_SIZE];

    /* Ever counted, and taken of that. */
    _Atomic uint64_t requests;
    _Atomic uint64_t taken;
};


/* Shared by all processes of the instance. */
static struct endpoint_entry *entries;

/* Of a label set: 1 + the index of its entry, 0 if it was not looked for. The
   event loop's. */
static uint16_t entry_of_set[LABEL_SETS];


void
endpoint_counts_prepare(void)
{
    if (entries == NULL) {
        entries
            = mmap(NULL, ENDPOINTS_MAX * sizeof(entries[0]),
                   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (entries == MAP_FAILED) {
            entries = NULL;
        }
    }
}


const char *
endpoint_of(uint32_t labels)
{
    const char *endpoint;

    endpoint = label_set_value(labels, NPROF_TRACE_ENDPOINT);

    return endpoint == NULL ? ENDPOINT_OTHER : endpoint;
}


static void
entry_write(struct endpoint_entry *entry, const char *endpoint,
            const char *version)
{
    strncpy(entry->endpoint, endpoint, TEXT_SIZE - 1);
    strncpy(entry->version, version, TEXT_SIZE - 1);

    /* release: pairs with entry_is_ready() */
    atomic_store_explicit(&entry->state, ENTRY_READY, memory_order_release);
}


static bool
entry_is_ready(struct endpoint_entry *entry)
{
    return atomic_load_explicit(&entry->state, memory_order_acquire)
           == ENTRY_READY;
}


/* The index of the entry, made if need be, among those from first on; end if all
   of them are others'. */
static uint16_t
place_find(uint16_t first, uint16_t end, const char *endpoint,
           const char *version)
{
    uint16_t i;
    uint32_t none;

    for (i = first; i < end; i++) {
        none = ENTRY_FREE;

        if (atomic_compare_exchange_strong(&entries[i].state, &none,
                                           ENTRY_WRITTEN)) {
            entry_write(&entries[i], endpoint, version);
            return i;
        }

        if (entry_is_ready(&entries[i])
            && strncmp(entries[i].endpoint, endpoint, TEXT_SIZE - 1) == 0
            && strncmp(entries[i].version, version, TEXT_SIZE - 1) == 0) {
            return i;
        }
    }

    return end;
}


static uint16_t
entry_find(const char *endpoint, const char *version)
{
    uint16_t i;

    i = place_find(0, PLACES_OWN, endpoint, version);

    if (i == PLACES_OWN) {
        i = place_find(PLACES_OWN, ENDPOINTS_MAX, ENDPOINT_OTHER, version);
    }

    return i == ENDPOINTS_MAX ? ENDPOINTS_MAX - 1 : i;
}


void
endpoint_count(uint32_t labels, const char *version)
{
    const char *own;
    uint16_t   *place;

    if (entries == NULL || labels >= LABEL_SETS) {
        return;
    }

    place = &entry_of_set[labels];

    if (*place == 0) {
        own = label_set_value(labels, "version");
        *place = 1 + entry_find(endpoint_of(labels), own ? own : version);
    }

    atomic_fetch_add_explicit(&entries[*place - 1].requests, 1,
                              memory_order_relaxed);
}


void
endpoint_counts_state(uint32_t *endpoints, uint64_t *others)
{
    uint32_t i;

    *endpoints = 0;
    *others = 0;

    for (i = 0; entries != NULL && i < ENDPOINTS_MAX; i++) {
        if (i < PLACES_OWN) {
            *endpoints += entry_is_ready(&entries[i]);
        } else {
            *others += atomic_load(&entries[i].requests);
        }
    }
}


/* Requests since the last call. */
static uint64_t
entry_take(struct endpoint_entry *entry)
{
    uint64_t requests;

    requests = atomic_load(&entry->requests);

    return requests - atomic_exchange(&entry->taken, requests);
}


void
endpoint_counts_discard(void)
{
    uint32_t i;

    for (i = 0; entries != NULL && i < ENDPOINTS_MAX; i++) {
        (void) entry_take(&entries[i]);
    }
}


/* Adds to what is there of that endpoint and version; returns how many there
   are then. */
static uint32_t
endpoint_add(struct upload_endpoint *endpoints, uint32_t n,
             const struct endpoint_entry *entry, uint64_t requests)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(endpoints[i].endpoint, entry->endpoint) == 0
            && strcmp(endpoints[i].version, entry->version) == 0) {
            endpoints[i].requests += requests;
            return n;
        }
    }

    endpoints[n]
        = (struct upload_endpoint){entry->endpoint, entry->version, requests};

    return n + 1;
}


uint32_t
endpoint_counts_take(struct upload_endpoint endpoints[ENDPOINTS_MAX])
{
    uint32_t i, n;
    uint64_t requests;

    n = 0;

    for (i = 0; entries != NULL && i < ENDPOINTS_MAX; i++) {
        requests = entry_is_ready(&entries[i]) ? entry_take(&entries[i]) : 0;

        if (requests != 0) {
            n = endpoint_add(endpoints, n, &entries[i], requests);
        }
    }

    return n;
}
