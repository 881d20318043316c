
/*
 * Tags of git; see git_tags.h.
 */


#include <errno.h>
#include <string.h>

#include "arena_text.h"
#include "git_tags.h"
#include "upload_settings.h"


#define URL_TAG "git.repository_url"
#define COMMIT_TAG "git.commit.sha"


static int
tag_add(struct tag_list *tags, const char *tag, const char *value,
        struct block_arena *arena)
{
    if (value == NULL) {
        return 0;
    }

    value = arena_text(arena, "%s", value);
    tag_list_set(tags, tag, value);

    return value == NULL ? -ENOMEM : 0;
}


int
git_tags_add(struct tag_list *tags, const char *const *environment,
             struct block_arena *arena)
{
    int rc;

    rc = tag_add(tags, COMMIT_TAG,
                 environment_value(environment, "DD_GIT_COMMIT_SHA"), arena);

    return rc != 0 ? rc
                   : tag_add(
                       tags, URL_TAG,
                       environment_value(environment, "DD_GIT_REPOSITORY_URL"),
                       arena);
}


int
git_tags_clean(struct tag_list *tags, struct block_arena *arena)
{
    const char *url, *scheme, *host, *at;

    url = tag_list_get(tags, URL_TAG);
    if (url == NULL) {
        return 0;
    }

    /* user and password end at the last @ before the path; the user of
       git@host:path is no secret, and part of the address */
    scheme = strstr(url, "://");
    host = scheme == NULL ? url : scheme + 3;
    at = memrchr(host, '@', strcspn(host, "/?#"));

    if (at == NULL
        || (scheme == NULL
            && memchr(host, ':', (size_t) (at - host)) == NULL)) {
        return 0;
    }

    url = arena_text(arena, "%.*s%s", (int) (host - url), url, at + 1);
    tag_list_set(tags, URL_TAG, url);

    return url == NULL ? -ENOMEM : 0;
}
