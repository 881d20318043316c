
/*
 * Bases of the leader's windows (window_base.h) in the file of the instance,
 * where the next leader finds them, and who asks for the recent past.
 */


#ifndef NPROF_BASE_FILE_H
#define NPROF_BASE_FILE_H


#include "instance_memory.h"
#include "window_base.h"


/*
 * Reads a base; -ENOENT if there is none. What was read is no base if the
 * leader stored another one meanwhile. window_base_free() is due in any case.
 */
int base_file_load(struct window_base *base, enum instance_base_role role);

/* Puts a base in the place of the one before. The leader. 0 or -errno. */
int base_file_store(const struct window_base *base,
                    enum instance_base_role   role);

/* There is none any more. The leader. */
void base_file_drop(enum instance_base_role role);


#endif /* NPROF_BASE_FILE_H */
