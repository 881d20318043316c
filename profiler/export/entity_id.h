
/*
 * Which container this process is in, in the words of Datadog's Agent, which
 * adds the container's tags to what it is sent.
 *
 * Reads /proc and /sys: in the master.
 */


#ifndef NPROF_ENTITY_ID_H
#define NPROF_ENTITY_ID_H


#include <stdint.h>
#include <stdio.h>


#define CONTAINER_ID_MAX 127


struct entity_id {
    /* "" if it is not known, which it is not in a cgroup namespace. */
    char container[CONTAINER_ID_MAX + 1];

    /* "ci-" and the container's id, or "in-" and the inode of its cgroup; ""
       if the process is in no container. */
    char entity[CONTAINER_ID_MAX + 4];
};


/* Of this process. */
void entity_id_find(struct entity_id *id);

/*
 * From the text of /proc/PID/cgroup, the inode of the cgroup namespace, and the
 * folder that /sys/fs/cgroup is.
 */
void entity_id_read(struct entity_id *id, FILE *cgroup,
                    uint64_t namespace_inode, const char *root);


#endif /* NPROF_ENTITY_ID_H */
