
/*
 * The agent's answer; see agent_answer.h.
 */


#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent_answer.h"


/* "service:web,env:prod" */
#define KEY_MAX 512


double
agent_answer_rate(const char *json, size_t len, const char *service,
                  const char *env)
{
    char          key[KEY_MAX];
    double        rate;
    json_t       *answer;
    const json_t *rates, *found;

    answer = json_loadb(json, len, 0, NULL);
    rates = json_object_get(answer, "rate_by_service");

    snprintf(key, sizeof(key), "service:%s,env:%s", service, env);
    found = json_object_get(rates, key);

    if (found == NULL) {
        found = json_object_get(rates, "service:,env:");
    }

    rate = json_is_number(found) ? json_number_value(found) : -1;
    json_decref(answer);

    return rate >= 0 && rate <= 1 ? rate : -1;
}
