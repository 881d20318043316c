
/*
 * Rules of sampling, as the person who runs the server gives them: the first
 * one that matches a trace's first span says its rate. Made once, then only
 * read.
 */


#ifndef NPROF_TRACE_RULES_H
#define NPROF_TRACE_RULES_H


#include <stddef.h>

#include "../nprof.h"


#define TRACE_RULES_MAX 64


/* Patterns, in which * is any text and ? any character; NULL matches all. */
struct trace_rule {
    char  *service;
    char  *name;
    char  *resource;
    double rate;
};


struct trace_rules {
    struct trace_rule rules[TRACE_RULES_MAX];
    size_t            n;
};


/*
 * Reads DD_TRACE_SAMPLING_RULES, a JSON array, and DD_TRACE_SAMPLE_RATE, which
 * is a last rule for all; either may be NULL. What can't be used is left out:
 * returns what is wrong, a static text, or NULL.
 */
const char *trace_rules_read(struct trace_rules *rules, const char *json,
                             const char *rate);

void trace_rules_free(struct trace_rules *rules);

/* The rate of the first rule that matches; a negative number: none does. */
double trace_rules_rate(const struct trace_rules *rules, const char *service,
                        const char *name, const char *resource);

/* A number from 0 to 1 and nothing else, whatever the locale; a negative number
   if the text is none. */
double trace_rate_read(const char *text);


#endif /* NPROF_TRACE_RULES_H */
