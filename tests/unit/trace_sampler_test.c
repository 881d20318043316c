
/*
 * Which traces are kept: rules, the agent's rates, and the limit.
 */


#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "trace/agent_answer.h"
#include "trace/trace_context.h"
#include "trace/trace_sampler.h"


static double
rate_of(const char *json, const char *rate, const char *resource)
{
    double             found;
    struct trace_rules rules;

    cr_assert_null(trace_rules_read(&rules, json, rate), "%s", json);
    found = trace_rules_rate(&rules, "web", "nginx.request", resource);
    trace_rules_free(&rules);

    return found;
}


Test(trace_sampler, rules)
{
    const char *rules = "[{\"resource\": \"GET /a*\", \"sample_rate\": 0.25},"
                        "{\"service\": \"W?B\", \"resource\": \"*/b\"},"
                        "{\"name\": \"other\", \"sample_rate\": 0.1},"
                        "{\"service\": \"w\", \"sample_rate\": 0.2}]";

    cr_assert_eq(rate_of(NULL, NULL, "GET /"), -1);
    cr_assert_eq(rate_of("[]", "", "GET /"), -1);
    cr_assert_eq(rate_of(rules, "0.5", "GET /abc"), 0.25);
    cr_assert_eq(rate_of(rules, "0.5", "get /a"), 0.25);
    cr_assert_eq(rate_of(rules, "0.5", "PUT /b/b"), 1);
    cr_assert_eq(rate_of(rules, "0.5", "PUT /b/c"), 0.5);
    cr_assert_eq(rate_of(rules, NULL, "PUT /b/c"), -1);
    cr_assert_eq(rate_of("[{\"resource\":\"\"}]", NULL, "x"), -1);
    cr_assert_eq(rate_of("[{\"resource\":\"*a*b*\"}]", NULL, "xabxxb"), 1);
}


Test(trace_sampler, rules_that_are_none)
{
    size_t             i;
    struct trace_rules rules;

    static const char *const bad[] = {
        "{}",
        "[",
        "[1]",
        "[{\"sample_rate\": 2}]",
        "[{\"sample_rate\": -0.1}]",
        "[{\"sample_rate\": \"1\"}]",
        "[{\"service\": 1}]",
        "[{\"tags\": {\"a\": \"b\"}, \"sample_rate\": 0}]",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not_null(trace_rules_read(&rules, bad[i], NULL), "%s",
                           bad[i]);
        cr_assert_eq(rules.n, 0, "%s", bad[i]);
        trace_rules_free(&rules);
    }

    /* the others count */
    cr_assert_not_null(
        trace_rules_read(&rules, "[1,{\"sample_rate\":0}]", "1"));
    cr_assert_eq(rules.n, 2);
    trace_rules_free(&rules);
}


Test(trace_sampler, rates)
{
    cr_assert_eq(trace_rate_read("1"), 1);
    cr_assert_eq(trace_rate_read("0"), 0);
    cr_assert_eq(trace_rate_read(".5"), 0.5);
    cr_assert_eq(trace_rate_read("1."), 1);
    cr_assert_float_eq(trace_rate_read("0.125"), 0.125, 1e-12);
    cr_assert_lt(trace_rate_read("1.1"), 0);
    cr_assert_lt(trace_rate_read(""), 0);
    cr_assert_lt(trace_rate_read("."), 0);
    cr_assert_lt(trace_rate_read("-0.5"), 0);
    cr_assert_lt(trace_rate_read("0,5"), 0);
    cr_assert_lt(trace_rate_read("1e-1"), 0);
}


/* How many of many ids are kept. */
static unsigned
kept_of(struct trace_sampler *sampler, double rule_rate, unsigned n)
{
    unsigned              i, kept;
    uint64_t              id;
    struct trace_decision decision;

    kept = 0;
    id = 12345;

    for (i = 0; i < n; i++) {
        id = id * 6364136223846793005u + 1442695040888963407u;
        trace_sampler_decide(sampler, id >> 1, rule_rate, &decision);
        kept += decision.priority > 0;
    }

    return kept;
}


Test(trace_sampler, the_agent_decides)
{
    struct trace_rules    rules = {.n = 0};
    struct trace_sampler  sampler;
    struct trace_decision decision;

    trace_sampler_init(&sampler, &rules, 100);
    trace_sampler_decide(&sampler, 1, -1, &decision);
    cr_assert_eq(decision.mechanism, TRACE_BY_DEFAULT);
    cr_assert_eq(decision.priority, TRACE_PRIORITY_AUTO_KEEP);
    cr_assert_eq(decision.rate, 1);

    trace_sampler_set_agent_rate(&sampler, 0.25);
    cr_assert_float_eq((double) kept_of(&sampler, -1, 40000), 10000, 400);
    trace_sampler_decide(&sampler, 1, -1, &decision);
    cr_assert_eq(decision.mechanism, TRACE_BY_AGENT);
    cr_assert_eq(decision.rate, 0.25);

    trace_sampler_set_agent_rate(&sampler, 0);
    cr_assert_eq(kept_of(&sampler, -1, 1000), 0);
    trace_sampler_decide(&sampler, 1, -1, &decision);
    cr_assert_eq(decision.priority, TRACE_PRIORITY_AUTO_DROP);
}


/* Ids that other tracers of Datadog's keep at these rates, and those that they
   do not: 1111111111111111111 * id mod 2^64, by 2^64 - 1. */
Test(trace_sampler, the_same_traces_as_other_services)
{
    struct trace_rules    rules = {.n = 0};
    struct trace_sampler  sampler;
    struct trace_decision decision;

    trace_sampler_init(&sampler, &rules, 100);

    /* 1 is at 0.0602 */
    trace_sampler_set_agent_rate(&sampler, 0.0603);
    trace_sampler_decide(&sampler, 1, -1, &decision);
    cr_assert_eq(decision.priority, 1);
    trace_sampler_set_agent_rate(&sampler, 0.0602);
    trace_sampler_decide(&sampler, 1, -1, &decision);
    cr_assert_eq(decision.priority, 0);

    /* 17 is at 0.0239 */
    trace_sampler_set_agent_rate(&sampler, 0.024);
    trace_sampler_decide(&sampler, 17, -1, &decision);
    cr_assert_eq(decision.priority, 1);
}


Test(trace_sampler, rules_have_a_limit)
{
    unsigned              kept;
    struct trace_rules    rules = {.n = 0};
    struct trace_sampler  sampler;
    struct trace_decision decision;

    trace_sampler_init(&sampler, &rules, 100);
    kept = kept_of(&sampler, 1, 1000);
    /* maybe in two seconds, or a few more on a slow machine */
    cr_assert_geq(kept, 100);
    cr_assert_eq(kept % 100, 0);

    trace_sampler_decide(&sampler, 1, 1, &decision);
    cr_assert_eq(decision.mechanism, TRACE_BY_RULE);
    cr_assert(decision.limit_rate > 0 && decision.limit_rate <= 1);

    /* a caller of no rule has none */
    cr_assert_eq(kept_of(&sampler, -1, 1000), 1000);

    trace_sampler_decide(&sampler, 1, 0, &decision);
    cr_assert_eq(decision.priority, TRACE_PRIORITY_USER_DROP);
}


Test(trace_sampler, what_the_agent_answers)
{
    size_t i;

    static const struct {
        const char *json;
        double      rate;
    } all[] = {
        {"{\"rate_by_service\":{\"service:web,env:prod\":0.5,"
         "\"service:,env:\":0.1}}",
         0.5},
        {"{\"rate_by_service\":{\"service:web,env:dev\":0.5,"
         "\"service:,env:\":0.1}}",
         0.1},
        {"{\"rate_by_service\":{\"service:,env:\":1}}", 1},
        {"{\"rate_by_service\":{}}", -1},
        {"{\"rate_by_service\":{\"service:,env:\":2}}", -1},
        {"{\"rate_by_service\":{\"service:,env:\":\"1\"}}", -1},
        {"{\"rate_by_service\":7}", -1},
        {"OK\n", -1},
        {"", -1},
        {"[]", -1},
    };

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        cr_assert_eq(
            agent_answer_rate(all[i].json, strlen(all[i].json), "web", "prod"),
            all[i].rate, "%s", all[i].json);
    }
}


/* 60 KB of that text, as an answer may have. */
static void *
answer_of(void *text)
{
    static char answer[60000];
    size_t      i, len = strlen(text);

    for (i = 0; i + len < sizeof(answer); i += len) {
        memcpy(answer + i, text, len);
    }

    cr_assert_eq(agent_answer_rate(answer, i, "web", "prod"), -1);

    return NULL;
}


/* The parser calls itself for each: the thread has a stack of 256 KB. */
Test(trace_sampler, answers_that_are_deep)
{
    size_t         i;
    pthread_t      thread;
    pthread_attr_t attr;
    static char    texts[][8] = {"[", "{\"a\":", "[{\"\":", "[]"};

    cr_assert_eq(pthread_attr_init(&attr), 0);
    cr_assert_eq(pthread_attr_setstacksize(&attr, 256 * 1024), 0);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(pthread_create(&thread, &attr, answer_of, texts[i]), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
}
