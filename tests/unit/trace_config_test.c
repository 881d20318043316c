
/*
 * What Datadog's variables say of traces.
 */


#include <criterion/criterion.h>
#include <string.h>

#include "trace/trace_config.h"
#include "trace/trace_context.h"


#define BOTH (TRACE_STYLE_DATADOG | TRACE_STYLE_W3C)
#define VARIABLES(...) ((const char *const[]){__VA_ARGS__, NULL})


static struct trace_config config;


static void
read_variables(const char *const *environment)
{
    static struct upload_settings identity;

    memset(&config, 0xff, sizeof(config));
    trace_config_read(&config, environment, &identity);
    cr_assert_eq(config.identity, &identity);
}


Test(trace_config, defaults)
{
    read_variables(VARIABLES("OTHER=1"));
    cr_expect(config.enabled);
    cr_expect(config.ids_128);
    cr_expect_not(config.profiled);
    cr_expect_null(config.host);
    cr_expect_null(config.sample_rate);
    cr_expect_null(config.sampling_rules);
    cr_expect_null(config.warning);
    cr_expect_eq(config.rate_limit, TRACE_RATE_LIMIT);
    cr_expect_eq(config.extract, BOTH);
    cr_expect_eq(config.inject, BOTH);
}


/* Names that we do not know are nobody's, not all. */
Test(trace_config, styles)
{
    size_t i;

    static const struct {
        const char *variable;
        unsigned    styles;
    } cases[] = {
        {"DD_TRACE_PROPAGATION_STYLE=datadog", TRACE_STYLE_DATADOG},
        {"DD_TRACE_PROPAGATION_STYLE=tracecontext", TRACE_STYLE_W3C},
        {"DD_TRACE_PROPAGATION_STYLE=TraceContext,DATADOG", BOTH},
        {"DD_TRACE_PROPAGATION_STYLE= , datadog ,,tracecontext, ", BOTH},
        {"DD_TRACE_PROPAGATION_STYLE=datadog tracecontext", BOTH},
        {"DD_TRACE_PROPAGATION_STYLE=b3,baggage,tracecontext", TRACE_STYLE_W3C},
        {"DD_TRACE_PROPAGATION_STYLE=none", 0},
        {"DD_TRACE_PROPAGATION_STYLE=data", 0},
        {"DD_TRACE_PROPAGATION_STYLE=datadogs,xtracecontext", 0},
        {"DD_TRACE_PROPAGATION_STYLE=,", 0},
        /* an empty variable is none */
        {"DD_TRACE_PROPAGATION_STYLE=", BOTH},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_variables(VARIABLES(cases[i].variable));
        cr_expect_eq(config.extract, cases[i].styles, "%s", cases[i].variable);
        cr_expect_eq(config.inject, cases[i].styles, "%s", cases[i].variable);
    }
}


Test(trace_config, styles_of_one_direction)
{
    read_variables(VARIABLES("DD_TRACE_PROPAGATION_STYLE_EXTRACT=none",
                             "DD_TRACE_PROPAGATION_STYLE=datadog"));
    cr_expect_eq(config.extract, 0);
    cr_expect_eq(config.inject, TRACE_STYLE_DATADOG);

    read_variables(VARIABLES("DD_TRACE_PROPAGATION_STYLE=datadog",
                             "DD_TRACE_PROPAGATION_STYLE_INJECT=tracecontext"));
    cr_expect_eq(config.extract, TRACE_STYLE_DATADOG);
    cr_expect_eq(config.inject, TRACE_STYLE_W3C);

    read_variables(VARIABLES("DD_TRACE_PROPAGATION_STYLE_INJECT=none"));
    cr_expect_eq(config.extract, BOTH);
    cr_expect_eq(config.inject, 0);
}


Test(trace_config, limits)
{
    read_variables(VARIABLES("DD_TRACE_RATE_LIMIT=0"));
    cr_expect_eq(config.rate_limit, 0);
    cr_expect_null(config.warning);

    read_variables(VARIABLES("DD_TRACE_RATE_LIMIT=4294967295"));
    cr_expect_eq(config.rate_limit, UINT32_MAX);
    cr_expect_null(config.warning);
}


/* It is said, and the default counts. */
Test(trace_config, limits_that_are_none)
{
    size_t i;

    static const char *const bad[] = {
        "DD_TRACE_RATE_LIMIT=-1",
        "DD_TRACE_RATE_LIMIT=1.5",
        "DD_TRACE_RATE_LIMIT= 7",
        "DD_TRACE_RATE_LIMIT=7/s",
        "DD_TRACE_RATE_LIMIT=many",
        "DD_TRACE_RATE_LIMIT=4294967296",
        "DD_TRACE_RATE_LIMIT=99999999999999999999999999",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        read_variables(VARIABLES(bad[i]));
        cr_expect_eq(config.rate_limit, TRACE_RATE_LIMIT, "%s", bad[i]);
        cr_expect_str_eq(config.warning, "DD_TRACE_RATE_LIMIT is no number",
                         "%s", bad[i]);
    }
}


Test(trace_config, flags)
{
    read_variables(VARIABLES("DD_TRACE_ENABLED=false",
                             "DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED=0"));
    cr_expect_not(config.enabled);
    cr_expect_not(config.ids_128);

    read_variables(VARIABLES("DD_TRACE_ENABLED=perhaps"));
    cr_expect(config.enabled);
}
