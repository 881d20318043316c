
/*
 * Parsing of symbol requests; see symbol_request.h.
 */


#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "symbol_request.h"


static size_t
request_count(const char *text)
{
    size_t n;

    for (n = 1; *text != '\0' && n < SYMBOL_REQUEST_MAX; text++) {
        n += *text == '+';
    }

    return n;
}


static struct stack_profile *
request_profile(const struct module_table *modules, size_t n)
{
    size_t                size;
    struct stack_profile *profile;

    size = modules->n_identities * sizeof(profile->modules[0]);
    profile = calloc(
        1,
        sizeof(*profile) + size
            + n * (sizeof(struct profile_sample) + sizeof(struct stack_frame)));
    if (profile == NULL) {
        return NULL;
    }

    profile->modules = (struct module_identity **) (profile + 1);
    profile->n_modules = modules->n_identities;
    memcpy(profile->modules, modules->identities, size);
    profile->samples
        = (struct profile_sample *) (profile->modules + profile->n_modules);

    return profile;
}


/*
 * A word of the request: its length bytes are followed by a plus or the end.
 * White space may end it, as it does the body of a hand-made request. 0, which
 * is no address of code, if it is no hexadecimal number.
 */
static uint64_t
address_parse(const char *word, size_t length)
{
    char    *end;
    uint64_t address;

    if (!isxdigit((unsigned char) *word)) {
        return 0;
    }

    address = strtoull(word, &end, 16);
    end += strspn(end, " \t\r\n");

    return end == word + length ? address : 0;
}


struct stack_profile *
symbol_request_parse(const struct module_table *modules, const char *text)
{
    size_t                      n, length;
    uint64_t                    address;
    struct stack_frame         *frame;
    struct stack_profile       *profile;
    struct profile_sample      *sample;
    const struct loaded_module *module;

    n = request_count(text);
    profile = request_profile(modules, n);
    if (profile == NULL) {
        return NULL;
    }

    frame = (struct stack_frame *) (profile->samples + n);

    while (*text != '\0' && profile->n_samples < n) {
        length = strcspn(text, "+");
        address = address_parse(text, length);
        module = module_table_find(modules, address);

        if (module != NULL) {
            frame->kind = STACK_FRAME_CODE;
            frame->module = module->identity;
            frame->address = address - module->bias;

            sample = &profile->samples[profile->n_samples++];
            sample->frames = frame++;
            sample->n_frames = 1;
            sample->thread = "";
            sample->values[0] = (int64_t) address;
        }

        text += length;
        text += *text == '+';
    }

    return profile;
}
