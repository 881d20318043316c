
/*
 * Profiles kept on disk: each period's, of all workers, a gzipped profile.proto
 * of each type, TYPE-BEGIN-SECONDS-INSTANCE.pb.gz, in one folder. A file is
 * complete or not there, readable by its owner only, and goes when it is too
 * old, or when all together are too large; other files are left alone.
 *
 * A disk that is full, or a folder that is gone, is counted, and told once.
 * Export threads.
 */


#ifndef NPROF_PROFILE_STORE_H
#define NPROF_PROFILE_STORE_H


#include <stdint.h>

#include "period.h"


/* The longest name of a file, with its NUL. */
#define PROFILE_STORE_NAME_MAX 96

/* The largest file that is served, packed and unpacked, bytes. */
#define PROFILE_STORE_FILE_MAX (64u << 20)
#define PROFILE_STORE_UNPACKED_MAX (1u << 30)


struct profile_store {
    /* NULL: there is none. */
    char    *path;
    uint64_t max_size;
    int64_t  keep_seconds;

    /* What could not be written was told. */
    bool failing;

    /* Tells an administrator; any data. */
    void (*notify)(void *data, const char *what, int error);
    void *data;
};


/* A period_handler_pt; data is the struct profile_store. */
void profile_store_period(void *data, const struct period *period);

/* The files, newest first, as an HTML page. Returns 0 or -errno; *page is
   malloc'ed, the caller's. */
int profile_store_list(const struct profile_store *store, char **page,
                       size_t *len);

/*
 * The size of a file of the folder, by its name alone: it is not read. Returns 0
 * or -ENOENT. Any thread; it waits for the file system as a stat() does.
 */
int profile_store_size(const char *folder, const char *name, uint64_t *size);

/*
 * The contents of a file, malloc'ed, the caller's. Returns 0, -ENOENT (there is
 * none of that name, or it is no name of a profile), -EBADMSG (it is damaged)
 * or another -errno.
 */
int profile_store_read(const struct profile_store *store, const char *name,
                       void **data, size_t *len);


#endif /* NPROF_PROFILE_STORE_H */
