
/*
 * Whether a destination takes what is sent there: one state for all workers,
 * kept over reloads, of which the error log has each change once.
 */


#ifndef NPROF_UPLOAD_STATE_H
#define NPROF_UPLOAD_STATE_H


#include <stdbool.h>

#include "upload_target.h"


struct nprof;

/* What is sent, and what is done with it: "profiles", "uploaded". */
struct upload_words {
    const char *what;
    const char *done;
};


/*
 * An attempt came to its end, reason is why it failed. Says so if the
 * destination begins or ceases to work by that. While the worker stops nobody
 * would hear of it: then the next one is to say it, and nothing changes. Any of
 * our threads.
 */
void upload_state_tell(struct nprof *nprof, const struct upload_target *target,
                       const struct upload_words *words, bool works,
                       const char *reason);


#endif /* NPROF_UPLOAD_STATE_H */
