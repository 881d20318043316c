
/*
 * Tags; see tag_list.h.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tag_list.h"


void
tag_list_set(struct tag_list *list, const char *name, const char *value)
{
    uint32_t i;

    if (name == NULL || name[0] == '\0' || value == NULL || value[0] == '\0') {
        return;
    }

    for (i = 0; i < list->n; i++) {
        if (strcmp(list->tags[i].name, name) == 0) {
            break;
        }
    }

    if (i == TAGS_MAX) {
        return;
    }

    list->tags[i].name = name;
    list->tags[i].value = value;

    if (i == list->n) {
        list->n++;
    }
}


const char *
tag_list_get(const struct tag_list *list, const char *name)
{
    uint32_t i;

    for (i = 0; i < list->n; i++) {
        if (strcmp(list->tags[i].name, name) == 0) {
            return list->tags[i].value;
        }
    }

    return NULL;
}


void
tag_list_remove(struct tag_list *list, const char *name)
{
    uint32_t i;

    for (i = 0; i < list->n; i++) {
        if (strcmp(list->tags[i].name, name) == 0) {
            list->n--;
            memmove(&list->tags[i], &list->tags[i + 1],
                    (list->n - i) * sizeof(list->tags[0]));
            return;
        }
    }
}


/* Ends the text before the white space at its end, and returns where it begins
   after that at its start. */
static char *
trim(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    len = strlen(text);

    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
        len--;
    }

    text[len] = '\0';

    return text;
}


int
tag_list_parse(struct tag_list *list, const char *text,
               struct block_arena *arena)
{
    char       *copy, *item, *colon, *rest;
    size_t      size;
    const char *separator;

    size = strlen(text) + 1;
    copy = block_arena_alloc(arena, size);
    if (copy == NULL) {
        return -ENOMEM;
    }

    memcpy(copy, text, size);
    separator = strchr(text, ',') != NULL ? "," : " ";

    for (item = strtok_r(copy, separator, &rest); item != NULL;
         item = strtok_r(NULL, separator, &rest)) {
        colon = strchr(item, ':');
        if (colon != NULL) {
            *colon = '\0';
            tag_list_set(list, trim(item), trim(colon + 1));
        }
    }

    return 0;
}


static void
print_clean(FILE *out, const char *text)
{
    size_t len;

    text += strspn(text, ":");
    len = strlen(text);

    while (len > 0 && text[len - 1] == ':') {
        len--;
    }

    for (; len > 0; len--, text++) {
        fputc(*text == ',' || (unsigned char) *text < ' ' || *text == 0x7f
                  ? '_'
                  : *text,
              out);
    }
}


/* Nothing is left of it where it is printed. */
static bool
is_bare(const char *text)
{
    return text[strspn(text, ":")] == '\0';
}


char *
tag_list_print(const struct tag_list *list)
{
    FILE       *out;
    char       *text;
    size_t      len;
    uint32_t    i;
    const char *separator;

    separator = "";
    text = NULL;
    out = open_memstream(&text, &len);
    if (out == NULL) {
        return NULL;
    }

    for (i = 0; i < list->n; i++) {
        if (is_bare(list->tags[i].name) || is_bare(list->tags[i].value)) {
            continue;
        }

        fputs(separator, out);
        separator = ",";
        print_clean(out, list->tags[i].name);
        fputc(':', out);
        print_clean(out, list->tags[i].value);
    }

    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
