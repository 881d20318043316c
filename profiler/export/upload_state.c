
/*
 * The state of a destination; see upload_state.h.
 */


#include "../profiler_job.h"
#include "upload_state.h"


void
upload_state_tell(struct nprof *nprof, const struct upload_target *target,
                  const struct upload_words *words, bool works,
                  const char *reason)
{
    enum upload_state before, state;

    if (atomic_load(&nprof->unheard)) {
        return;
    }

    state = works ? UPLOAD_WORKS : UPLOAD_FAILS;
    before = atomic_exchange(&target->results->state, state);

    if (before == state) {
        return;
    }

    if (works) {
        profiler_notify(nprof, NPROF_NOTICE_INFO, "%s are %s %sto %s",
                        words->what, words->done,
                        before == UPLOAD_FAILS ? "again " : "", target->name);
    } else {
        profiler_notify(nprof, NPROF_NOTICE_WARN, "%s can't be %s to %s (%s)",
                        words->what, words->done, target->name, reason);
    }
}
