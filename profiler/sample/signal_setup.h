
/*
 * Installs the sampler's signal handler, for the life of the process or until
 * other code takes the signal.
 */


#ifndef NPROF_SIGNAL_SETUP_H
#define NPROF_SIGNAL_SETUP_H


#include <signal.h>
#include <stdbool.h>


/*
 * Takes SIGPROF, or, where somebody has a handler for it, another signal that
 * nginx does not use. The handler stays for good: a timer that was deleted can
 * still deliver, and the default action would end the process. Returns the
 * signal's number or -errno. A second call gives the first one's answer, unless
 * other code took the signal since: then it chooses anew. No profiler runs.
 */
int signal_setup(void);

/* The signal that signal_setup() took, 0 if none. Any thread. */
int signal_number(void);

/*
 * Whether our handler is still the signal's. Whoever took it since gets what
 * our timers send, and may give it back to the default action, which ends the
 * process: then nothing may be sent any more. Any thread.
 */
bool signal_is_ours(void);


#endif /* NPROF_SIGNAL_SETUP_H */
