
/*
 * Spares the profiler thread libunwind's changes of its signal mask.
 *
 * libunwind blocks all signals while it holds a lock, in case a handler unwinds,
 * too: two system calls for each frame, which take longer than all else that it
 * does. Ours does not, so on the profiler thread these calls are left out. Other
 * threads of the process may use the same libunwind, and find it as it was.
 */


#ifndef NPROF_UNWIND_SIGNALS_H
#define NPROF_UNWIND_SIGNALS_H


/*
 * From now on libunwind leaves the calling thread's mask as it is. Returns 0 or
 * -errno: then it goes on to change it, which does no harm. Takes the dynamic
 * loader's lock. One thread at a time.
 */
int unwind_signals_keep(void);

/* Ends that; before the thread does. */
void unwind_signals_restore(void);


#endif /* NPROF_UNWIND_SIGNALS_H */
