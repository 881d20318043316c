
/*
 * Rules of sampling; see trace_rules.h.
 */


#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "trace_rules.h"


/* Case counts for nothing, as Datadog's tracers have it. */
static bool
pattern_matches(const char *pattern, const char *text)
{
    const char *star, *star_text;

    star = NULL;
    star_text = NULL;

    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            star_text = text;
            continue;
        }

        if (*text == '\0') {
            return *pattern == '\0';
        }

        if (*pattern == '?'
            || tolower((unsigned char) *pattern)
                   == tolower((unsigned char) *text)) {
            pattern++;
            text++;
            continue;
        }

        if (star == NULL) {
            return false;
        }

        pattern = star;
        text = ++star_text;
    }
}


double
trace_rate_read(const char *text)
{
    double rate, digit;

    rate = 0;

    if (*text == '\0' || strcmp(text, ".") == 0) {
        return -1;
    }

    for (; *text >= '0' && *text <= '9'; text++) {
        rate = rate * 10 + (*text - '0');
    }

    if (*text == '.') {
        digit = 1;

        for (text++; *text >= '0' && *text <= '9'; text++) {
            digit /= 10;
            rate += digit * (*text - '0');
        }
    }

    return *text == '\0' && rate >= 0 && rate <= 1 ? rate : -1;
}


/* A copy of a pattern, NULL where the rule has none. */
static bool
pattern_read(const json_t *rule, const char *key, char **pattern)
{
    const char *text;

    text = json_string_value(json_object_get(rule, key));
    *pattern = NULL;

    if (text != NULL) {
        *pattern = strdup(text);
        return *pattern != NULL;
    }

    return json_object_get(rule, key) == NULL;
}


static void
rule_free(struct trace_rule *rule)
{
    free(rule->service);
    free(rule->name);
    free(rule->resource);
}


static const char *
rule_read(struct trace_rules *rules, const json_t *json)
{
    bool               read;
    const json_t      *rate;
    struct trace_rule *rule;

    if (rules->n == TRACE_RULES_MAX) {
        return "DD_TRACE_SAMPLING_RULES has too many rules";
    }

    rule = &rules->rules[rules->n];
    rate = json_object_get(json, "sample_rate");

    if (!json_is_object(json) || (rate != NULL && !json_is_number(rate))) {
        return "a rule in DD_TRACE_SAMPLING_RULES is none";
    }

    rule->rate = rate == NULL ? 1 : json_number_value(rate);

    if (rule->rate < 0 || rule->rate > 1) {
        return "a rate in DD_TRACE_SAMPLING_RULES is not from 0 to 1";
    }

    if (json_object_size(json_object_get(json, "tags")) != 0) {
        /* tags are not known when it is decided */
        return "a rule in DD_TRACE_SAMPLING_RULES asks for tags";
    }

    memset(rule, 0, offsetof(struct trace_rule, rate));
    read = pattern_read(json, "service", &rule->service)
           && pattern_read(json, "name", &rule->name)
           && pattern_read(json, "resource", &rule->resource);

    if (!read) {
        rule_free(rule);
        return "a pattern in DD_TRACE_SAMPLING_RULES is no text";
    }

    rules->n++;

    return NULL;
}


static const char *
rules_read(struct trace_rules *rules, const char *text)
{
    size_t      i;
    json_t     *json;
    const char *wrong, *found;

    json = json_loads(text, 0, NULL);

    if (!json_is_array(json)) {
        json_decref(json);
        return "DD_TRACE_SAMPLING_RULES is no JSON array";
    }

    found = NULL;

    for (i = 0; i < json_array_size(json); i++) {
        wrong = rule_read(rules, json_array_get(json, i));
        if (wrong != NULL) {
            found = wrong;
        }
    }

    json_decref(json);

    return found;
}


const char *
trace_rules_read(struct trace_rules *rules, const char *json, const char *rate)
{
    double            number;
    const char       *wrong;
    struct trace_rule all = {.rate = 1};

    rules->n = 0;
    wrong = json == NULL || *json == '\0' ? NULL : rules_read(rules, json);

    if (rate == NULL || *rate == '\0') {
        return wrong;
    }

    number = trace_rate_read(rate);

    if (number < 0) {
        return "DD_TRACE_SAMPLE_RATE is no number from 0 to 1";
    }

    if (rules->n == TRACE_RULES_MAX) {
        return "DD_TRACE_SAMPLING_RULES has too many rules";
    }

    all.rate = number;
    rules->rules[rules->n++] = all;

    return wrong;
}


void
trace_rules_free(struct trace_rules *rules)
{
    while (rules->n > 0) {
        rule_free(&rules->rules[--rules->n]);
    }
}


double
trace_rules_rate(const struct trace_rules *rules, const char *service,
                 const char *name, const char *resource)
{
    size_t                   i;
    const struct trace_rule *rule;

    for (i = 0; i < rules->n; i++) {
        rule = &rules->rules[i];

        if ((rule->service == NULL || pattern_matches(rule->service, service))
            && (rule->name == NULL || pattern_matches(rule->name, name))
            && (rule->resource == NULL
                || pattern_matches(rule->resource, resource))) {
            return rule->rate;
        }
    }

    return -1;
}
