
/*
 * Tags of what is uploaded: names with a value, as Datadog has them. No name is
 * there twice. Any thread, one at a time.
 */


#ifndef NPROF_TAG_LIST_H
#define NPROF_TAG_LIST_H


#include <stdbool.h>
#include <stdint.h>

#include "../symbolize/block_arena.h"


#define TAGS_MAX 64


struct tag {
    const char *name;
    const char *value;
};


/* All zero is an empty one. The texts are not owned. */
struct tag_list {
    uint32_t   n;
    struct tag tags[TAGS_MAX];
};


/*
 * Sets a tag, in place of one of that name. Nothing is set for an empty name or
 * value (NULL is one, too), nor where there are TAGS_MAX.
 */
void tag_list_set(struct tag_list *list, const char *name, const char *value);

/* The value, or NULL. */
const char *tag_list_get(const struct tag_list *list, const char *name);

/* Removes the tag of that name, if there is one. */
void tag_list_remove(struct tag_list *list, const char *name);

/*
 * Sets the tags of a text as DD_TAGS has it: NAME:VALUE, between commas, or
 * between spaces where there is no comma. The texts are put into the arena.
 * 0 or -ENOMEM.
 */
int tag_list_parse(struct tag_list *list, const char *text,
                   struct block_arena *arena);

/*
 * "name:value,name:value", malloc'ed, the caller's; NULL if memory lacks. A
 * comma or a control character in a name or value is "_" there, and no value
 * begins or ends with a colon.
 */
char *tag_list_print(const struct tag_list *list);


#endif /* NPROF_TAG_LIST_H */
