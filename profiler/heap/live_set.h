
/*
 * The sampled blocks that are not freed yet, by address.
 *
 * Blocks come and go on any thread, in the allocation hooks, without locks:
 * each step is a fixed number of atomic operations, but for two short lists,
 * whose heads are exchanged until nobody was faster. The profiler thread
 * learns of what was freed by a list, which can't overflow: a block's entry is
 * the message.
 *
 * In front of it is a filter: counts of live blocks by a hash of the address.
 * Nearly every free() reads one byte of it and goes on.
 *
 * Of one address there is one owner at a time: whoever got it from the
 * allocator, until it gives it back. So insert and remove of the same address
 * never meet, whatever the threads.
 *
 * Memory: at most LIVE_SET_MAX blocks, 2.1 MB; mapped at first use, and touched
 * as it is used: 100 KB are enough for 2,000 blocks. It stays for the life of
 * the process, for a hook may be at work.
 */


#ifndef NPROF_LIVE_SET_H
#define NPROF_LIVE_SET_H


#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Blocks at one time: 32 GB of heap with the default interval. */
#define LIVE_SET_MAX 65535

#define LIVE_FILTER_BITS 15

/* No entry. */
#define LIVE_NONE 0

/* The stack of an entry that is counted nowhere: STACK_TABLE_NONE. */
#define LIVE_STACK_NONE UINT32_MAX

/* The stack of an entry whose sample was not unwound yet. */
#define LIVE_STACK_UNKNOWN (UINT32_MAX - 1)


struct live_entry {
    /* Bytes that were asked for. Written before the entry is published. */
    uint64_t size;

    /* Where the stack is counted; the profiler thread's, once the entry is
       published. */
    uint32_t stack;

    /* The next entry of the list that this one is in. */
    _Atomic uint32_t next;
};


/* Places of addresses (live_set.c); as many as the mask says, and one. */
struct live_table {
    _Atomic uint64_t *places;
    uint32_t          mask;
};


/* Set once, before the hooks are there. */
struct live_memory {
    struct live_table  tables[2];
    struct live_entry *entries;
};


struct live_counters {
    /* Blocks that took the address of one that was in the set: nobody told us
       of its end. */
    _Atomic uint64_t missed_free;

    /* Sampled blocks that found no room, and are not in use therefore. */
    _Atomic uint64_t table_full;

    /* Blocks in the set, those included that the profiler thread has not taken
       out yet. */
    _Atomic uint32_t live;
};


extern struct live_counters live_counters;
extern struct live_memory   live_memory;

/* Live blocks by hash; LIVE_FILTER_BITS. */
extern _Atomic uint8_t live_filter[1 << LIVE_FILTER_BITS]
    __attribute__((visibility("hidden")));


static inline uint64_t
live_set_hash(const void *block)
{
    /* allocators align to 16 bytes, most to more in large blocks */
    return ((uint64_t) (uintptr_t) block >> 4) * 0x9e3779b97f4a7c15u;
}


/* Whether the block may be in the set. Its owner; async-signal-safe. */
static inline bool
live_set_may_have(const void *block)
{
    return atomic_load_explicit(
               &live_filter[live_set_hash(block) >> (64 - LIVE_FILTER_BITS)],
               memory_order_relaxed)
           != 0;
}


/* Maps the memory, once. Returns 0 or -errno. */
int live_set_open(void);

/*
 * Takes an entry for a block of that size, LIVE_NONE if there is none. Any
 * thread; it has to publish it or give it back.
 */
uint32_t live_entry_take(uint64_t size);

/* Gives an entry back that is in no list. Any thread. */
void live_entry_give(uint32_t entry);

/* Says of all entries that their stacks are in no table any more. While nobody
   takes any. */
void live_set_orphan(void);

/* The entry of a number. */
struct live_entry *live_entry_at(uint32_t entry);

/*
 * Puts a block into the set, with an entry that was taken for it. One that was
 * there before is freed. False if there is no room: the entry is the caller's
 * still. The block's owner.
 */
bool live_set_insert(const void *block, uint32_t entry);

/*
 * Takes a block out: its entry, or LIVE_NONE. The entry is the caller's, who
 * passes it to live_set_freed(), or inserts it again. The block's owner, before
 * it gives the block back.
 */
uint32_t live_set_remove(const void *block);

/* The entry's block is freed. Any thread. */
void live_set_freed(uint32_t entry);

/*
 * The list of what was freed since the last call, by next; LIVE_NONE ends it.
 * All of it was published before. Profiler thread.
 */
uint32_t live_set_take_freed(void);


/* Bytes of entries, and their places, that were used once. Any thread. */
size_t live_set_memory(void);


#endif /* NPROF_LIVE_SET_H */
