
/*
 * What the agent answers to traces: which share of them it wants.
 */


#ifndef NPROF_AGENT_ANSWER_H
#define NPROF_AGENT_ANSWER_H


#include <stddef.h>


/*
 * The rate for that service and environment in a JSON object with
 * rate_by_service, that for all others where it has none, or a negative number
 * where it says nothing. Any thread.
 */
double agent_answer_rate(const char *json, size_t len, const char *service,
                         const char *env);


#endif /* NPROF_AGENT_ANSWER_H */
