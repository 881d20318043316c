
/*
 * Tells whose work the event loop does (request_scope.h) by the sockets that
 * the main program reads and writes.
 *
 * The hooks stand in the main program's global offset table. A hook costs some
 * loads and stores, makes no system call but in connect(), leaves errno alone,
 * and passes straight through on any thread but the main one and while labels
 * are off.
 */


#ifndef NPROF_IO_HOOK_H
#define NPROF_IO_HOOK_H


/*
 * Installs the hooks, once for the process. On the main thread, in a worker
 * after fork. Returns 0 or -errno.
 */
int io_hook_install(void);


#endif /* NPROF_IO_HOOK_H */
