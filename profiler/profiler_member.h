
/*
 * This worker as one of its instance: its place there, what it does for the
 * others, and what it tells an administrator. The event loop's thread; no
 * thread of ours runs where it begins and ends.
 */


#ifndef NPROF_PROFILER_MEMBER_H
#define NPROF_PROFILER_MEMBER_H


#include "profiler_job.h"


/* Becomes one. Returns 0 or -errno; profiler_member_end() is due in any case. */
int profiler_member_begin(struct nprof *nprof);

/* Leaves. What it has counted stays, if it could leave that. */
void profiler_member_end(struct nprof *nprof);

/* See next_notice in nprof.h. */
const char *profiler_member_notice(struct nprof      *nprof,
                                   enum nprof_notice *weight);


#endif /* NPROF_PROFILER_MEMBER_H */
