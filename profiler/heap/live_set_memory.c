
/*
 * The memory of the set of live blocks. It is apart from live_set.c, which may
 * call nothing that an allocation hook may not.
 */


#include <errno.h>
#include <stddef.h>

#include "../lazy_pages.h"
#include "live_set.h"


/* Places of the tables: the second has four for each entry. */
#define SMALL_PLACES 4096u
#define LARGE_PLACES (128u * 1024)


static int
table_open(struct live_table *table, uint32_t places)
{
    if (table->places == NULL) {
        table->places = lazy_pages_map(places * sizeof(*table->places));
        table->mask = places - 1;
    }

    return table->places == NULL ? -ENOMEM : 0;
}


int
live_set_open(void)
{
    if (table_open(&live_memory.tables[0], SMALL_PLACES) != 0
        || table_open(&live_memory.tables[1], LARGE_PLACES) != 0) {
        return -ENOMEM;
    }

    if (live_memory.entries == NULL) {
        live_memory.entries
            = lazy_pages_map((LIVE_SET_MAX + 1) * sizeof(*live_memory.entries));
    }

    return live_memory.entries == NULL ? -ENOMEM : 0;
}
