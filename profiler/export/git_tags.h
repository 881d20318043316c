
/*
 * What git knows of the sources, as tags: DD_GIT_*, or what is said of it
 * elsewhere. In the master.
 */


#ifndef NPROF_GIT_TAGS_H
#define NPROF_GIT_TAGS_H


#include "../symbolize/block_arena.h"
#include "tag_list.h"


/* Sets the tags that the variables have. The texts are the arena's. 0 or
   -ENOMEM. */
int git_tags_add(struct tag_list *tags, const char *const *environment,
                 struct block_arena *arena);

/* Takes the credentials out of the repository's URL, if it has any: it is shown
   to many. As the former. */
int git_tags_clean(struct tag_list *tags, struct block_arena *arena);


#endif /* NPROF_GIT_TAGS_H */
