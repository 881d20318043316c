
/*
 * Label sets; see label_set.h. An open-addressing hash table whose places are
 * filled once, by compare-and-swap, and never emptied.
 */


#include <stdatomic.h>
#include <string.h>

#include "label_set.h"


#define LABEL_HASH_SIZE (2 * LABEL_SETS)


struct label_node {
    struct label label;
    uint32_t     hash;

    /* Labels of the set; whether the value of one came with a request. */
    uint32_t depth;
    bool     of_request;
};


static struct {
    /* [0] is unused: it is the number of the set without labels. */
    struct label_node nodes[LABEL_SETS];

    /* Numbers of sets, 0 if free. Stored (release) once the set is made, loaded
       (acquire) before it is looked at. */
    _Atomic uint32_t hash[LABEL_HASH_SIZE];

    char bytes[LABEL_BYTES];

    /* Used of nodes and bytes, [0] aside. */
    _Atomic uint64_t n_nodes;
    _Atomic uint64_t n_bytes;

    _Atomic uint64_t dropped;
} label_sets;


static const struct label_node *
node_of(uint32_t set)
{
    return set == LABEL_SET_NONE || set >= LABEL_SETS ? NULL
                                                      : &label_sets.nodes[set];
}


const struct label *
label_set_first(uint32_t set)
{
    const struct label_node *node;

    node = node_of(set);

    return node == NULL || node->label.name == NULL ? NULL : &node->label;
}


const char *
label_set_value(uint32_t set, const char *name)
{
    const struct label *label;

    for (label = label_set_first(set); label != NULL;
         label = label_set_first(label->rest)) {
        if (strcmp(label->name, name) == 0) {
            return label->value;
        }
    }

    return NULL;
}


static bool
text_is(const char *text, struct label_text wanted)
{
    return strncmp(text, wanted.data, wanted.len) == 0
           && text[wanted.len] == '\0';
}


static bool
node_is(const struct label_node *node, uint32_t hash, uint32_t rest,
        struct label_text name, struct label_text value)
{
    return node->hash == hash && node->label.rest == rest
           && text_is(node->label.name, name)
           && text_is(node->label.value, value);
}


/* FNV-1a. */
static uint32_t
hash_bytes(uint32_t hash, const void *data, size_t len)
{
    size_t               i;
    const unsigned char *bytes = data;

    for (i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }

    return hash;
}


static uint32_t
label_hash(uint32_t rest, struct label_text name, struct label_text value)
{
    uint32_t hash;

    hash = hash_bytes(2166136261u, &rest, sizeof(rest));
    hash = hash_bytes(hash, name.data, name.len);
    hash = hash_bytes(hash, "", 1);

    return hash_bytes(hash, value.data, value.len);
}


/* Takes n of a bounded number; its old value, or limit if there is too little.
 */
static uint64_t
take(_Atomic uint64_t *used, uint64_t n, uint64_t limit)
{
    uint64_t before;

    before = atomic_load_explicit(used, memory_order_relaxed);

    do {
        if (before + n > limit) {
            return limit;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        used, &before, before + n, memory_order_relaxed, memory_order_relaxed));

    return before;
}


static char *
text_put(char *at, struct label_text text)
{
    memcpy(at, text.data, text.len);
    at[text.len] = '\0';

    return at + text.len + 1;
}


/* The number of a new set, which nobody knows yet, or LABEL_SET_NONE. */
static uint32_t
node_make(uint32_t hash, uint32_t rest, struct label_text name,
          struct label_text value, bool of_request)
{
    char              *text;
    uint32_t           depth;
    uint64_t           at, bytes, limit, bytes_limit;
    struct label_node *node;

    depth = 0;

    if (rest != LABEL_SET_NONE) {
        depth = node_of(rest)->depth;
        of_request |= node_of(rest)->of_request;
    }

    limit = (of_request ? LABEL_SETS_OF_REQUESTS : LABEL_SETS) - 1;
    bytes_limit = of_request ? LABEL_BYTES_OF_REQUESTS : LABEL_BYTES;
    bytes = name.len + value.len + 2;

    if (depth == LABELS_MAX) {
        return LABEL_SET_NONE;
    }

    at = take(&label_sets.n_nodes, 1, limit);
    if (at == limit) {
        return LABEL_SET_NONE;
    }

    node = &label_sets.nodes[at + 1];
    at = take(&label_sets.n_bytes, bytes, bytes_limit);
    if (at == bytes_limit) {
        return LABEL_SET_NONE;
    }

    text = &label_sets.bytes[at];
    node->hash = hash;
    node->depth = depth + 1;
    node->of_request = of_request;
    node->label.rest = rest;
    node->label.name = text;
    node->label.value = text_put(text, name);
    (void) text_put(text + name.len + 1, value);

    return (uint32_t) (node - label_sets.nodes);
}


/* The set of that label and the rest, made if need be; rest if there is no
   room. */
static uint32_t
node_find(uint32_t rest, struct label_text name, struct label_text value,
          bool of_request)
{
    uint32_t hash, at, set, made;

    hash = label_hash(rest, name, value);
    at = hash % LABEL_HASH_SIZE;
    made = LABEL_SET_NONE;

    for (;;) {
        set = atomic_load_explicit(&label_sets.hash[at], memory_order_acquire);

        if (set == LABEL_SET_NONE) {
            if (made == LABEL_SET_NONE) {
                made = node_make(hash, rest, name, value, of_request);
                if (made == LABEL_SET_NONE) {
                    atomic_fetch_add(&label_sets.dropped, 1);
                    return rest;
                }
            }

            /* where another thread was first its set is looked at; if it is the
               same, ours stays unused */
            if (atomic_compare_exchange_strong_explicit(
                    &label_sets.hash[at], &set, made, memory_order_acq_rel,
                    memory_order_acquire)) {
                return made;
            }
        }

        if (node_is(&label_sets.nodes[set], hash, rest, name, value)) {
            return set;
        }

        at = (at + 1) % LABEL_HASH_SIZE;
    }
}


/*
 * The set without the label of that name: those that stand before it are put
 * on what is left. *found says whether it had the very value.
 */
static uint32_t
set_without(uint32_t set, struct label_text name, struct label_text value,
            bool *found)
{
    uint32_t                 rest;
    const struct label_node *node;

    node = node_of(set);

    if (node == NULL) {
        return set;
    }

    if (text_is(node->label.name, name)) {
        *found = text_is(node->label.value, value);
        return node->label.rest;
    }

    rest = set_without(node->label.rest, name, value, found);

    if (rest == node->label.rest) {
        return set;
    }

    return node_find(
        rest, (struct label_text){node->label.name, strlen(node->label.name)},
        (struct label_text){node->label.value, strlen(node->label.value)},
        node->of_request);
}


/* Up to a NUL; of what is longer the whole characters that fit. */
static struct label_text
value_cut(struct label_text value)
{
    value.len = strnlen(value.data, value.len);

    if (value.len > NPROF_LABEL_VALUE_MAX) {
        value.len = NPROF_LABEL_VALUE_MAX;

        while (value.len > 0 && (value.data[value.len] & 0xc0) == 0x80) {
            value.len--;
        }
    }

    return value;
}


uint32_t
label_set_with(uint32_t set, struct label_text name, struct label_text value,
               bool of_request)
{
    bool     same;
    uint32_t rest;

    if (name.len == 0 || name.len > NPROF_LABEL_NAME_MAX
        || strnlen(name.data, name.len) != name.len || value.len == 0) {
        return set;
    }

    value = value_cut(value);

    if (value.len == 0) {
        return set;
    }

    if (label_set_first(set) == NULL) {
        set = LABEL_SET_NONE;
    }

    same = false;
    rest = set_without(set, name, value, &same);

    return same ? set : node_find(rest, name, value, of_request);
}


void
label_set_count(struct label_counters *counters)
{
    counters->sets = atomic_load(&label_sets.n_nodes);
    counters->dropped = atomic_load(&label_sets.dropped);
}
