
/*
 * Totals that outlive workers: a worker that exits leaves what it has counted,
 * and the leader adds it to the totals of the instance. These keep the stacks
 * that weigh most, as many as a worker's table has, and "[other]" for the rest:
 * sums are exact.
 */


#ifndef NPROF_WORKER_TOTALS_H
#define NPROF_WORKER_TOTALS_H


#include "instance_collect.h"


/*
 * Takes over what workers left. Returns the number of them, or -errno; then all
 * is as it was. The leader's export thread.
 */
int worker_totals_take(struct module_registry       *registry,
                       const struct module_identity *main);


#endif /* NPROF_WORKER_TOTALS_H */
