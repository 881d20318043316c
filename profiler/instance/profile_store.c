
/*
 * Profiles on disk; see profile_store.h.
 */


#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../encode/gzip_unpack.h"
#include "../encode/pprof_encode.h"
#include "../profile_types.h"
#include "instance_memory.h"
#include "profile_store.h"


#define STORE_GZIP_LEVEL 5
#define STORE_SUFFIX ".pb.gz"

/*
 * What is being written, by the one leader of an instance; others, as of an
 * nginx that is upgraded, may write to the same folder. A file of one that was
 * killed is overwritten by the next, or goes when it is too old.
 */
#define STORE_PART ".part-%08" PRIx32 STORE_SUFFIX

/* Files that are looked at; a folder with more is not pruned of the others. */
#define STORE_FILES_MAX 65536


struct store_file {
    char     name[PROFILE_STORE_NAME_MAX];
    uint64_t size;
    int64_t  modified;
};

struct store_files {
    struct store_file *files;
    size_t             n;
    size_t             room;
};


/*
 * Whether it may be one of ours: a word, numbers that begin at a dash, and the
 * suffix; and so no path.
 */
static bool
name_is_profile(const char *name)
{
    size_t i, n = strlen(name), suffix = sizeof(STORE_SUFFIX) - 1;

    if (n <= suffix || n >= PROFILE_STORE_NAME_MAX
        || strcmp(name + n - suffix, STORE_SUFFIX) != 0 || !islower(name[0])) {
        return false;
    }

    for (i = 0; i < n - suffix; i++) {
        if (!isalnum((unsigned char) name[i]) && name[i] != '-') {
            return false;
        }
    }

    return strchr(name, '-') != NULL;
}


static int
file_add(struct store_files *files, const char *name, const struct stat *status)
{
    size_t             room;
    struct store_file *more;

    if (files->n == files->room) {
        room = files->room == 0 ? 256 : 2 * files->room;
        more = realloc(files->files, room * sizeof(*more));
        if (more == NULL) {
            return -ENOMEM;
        }

        files->files = more;
        files->room = room;
    }

    /* it has room: files_read() */
    memcpy(files->files[files->n].name, name, strlen(name) + 1);
    files->files[files->n].size = (uint64_t) status->st_size;
    files->files[files->n].modified = status->st_mtime;
    files->n++;

    return 0;
}


/* Newest first. */
static int
compare_files(const void *a, const void *b)
{
    const struct store_file *x = a, *y = b;

    if (x->modified != y->modified) {
        return x->modified < y->modified ? 1 : -1;
    }

    return strcmp(x->name, y->name);
}


/* The profiles of the folder, newest first; those that are being written too,
   where parts is true. */
static int
files_read(const char *path, bool parts, struct store_files *files)
{
    int            rc = 0;
    DIR           *folder;
    bool           hidden;
    struct stat    status;
    struct dirent *entry;

    memset(files, 0, sizeof(*files));

    folder = opendir(path);
    if (folder == NULL) {
        return -errno;
    }

    while (rc == 0 && files->n < STORE_FILES_MAX
           && (entry = readdir(folder)) != NULL) {
        hidden = parts && entry->d_name[0] == '.';

        if (strlen(entry->d_name) < PROFILE_STORE_NAME_MAX
            && name_is_profile(entry->d_name + hidden)
            && fstatat(dirfd(folder), entry->d_name, &status,
                       AT_SYMLINK_NOFOLLOW)
                   == 0
            && S_ISREG(status.st_mode)) {
            rc = file_add(files, entry->d_name, &status);
        }
    }

    closedir(folder);

    if (files->n > 1) {
        qsort(files->files, files->n, sizeof(files->files[0]), compare_files);
    }

    return rc;
}


/* Removes what is too old, and the oldest of what is too much. */
static void
store_prune(const struct profile_store *store, int folder)
{
    size_t             i;
    int64_t            now = time(NULL);
    uint64_t           sum = 0, kept = 0;
    struct store_files files;

    if (files_read(store->path, true, &files) == 0) {
        for (i = 0; i < files.n; i++) {
            sum += files.files[i].size;

            if (sum > store->max_size
                || now - files.files[i].modified > store->keep_seconds) {
                (void) unlinkat(folder, files.files[i].name, 0);
            } else {
                kept += files.files[i].size;
            }
        }

        atomic_store(&instance.directory->store_bytes, kept);
    }

    free(files.files);
}


static int
write_all(int fd, const uint8_t *bytes, size_t n)
{
    ssize_t done;

    while (n > 0) {
        done = write(fd, bytes, n);

        if (done < 0 && errno != EINTR) {
            return -errno;
        }

        if (done > 0) {
            bytes += done;
            n -= (size_t) done;
        }
    }

    return 0;
}


/* Writes a file under another name, and gives it its own once it is whole. */
static int
file_write(int folder, const char *part, const char *name, const uint8_t *bytes,
           size_t n)
{
    int rc, fd;

    (void) unlinkat(folder, part, 0);

    fd = openat(folder, part,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }

    rc = write_all(fd, bytes, n);

    /* the space may be refused as late as now */
    if (fsync(fd) != 0 && rc == 0) {
        rc = -errno;
    }

    if (close(fd) != 0 && rc == 0) {
        rc = -errno;
    }

    if (rc == 0 && renameat(folder, part, folder, name) != 0) {
        rc = -errno;
    }

    if (rc != 0) {
        (void) unlinkat(folder, part, 0);
    }

    return rc;
}


static int
type_write(int folder, const struct period *period, unsigned kind)
{
    int       rc;
    char      name[PROFILE_STORE_NAME_MAX], part[32], begin[32];
    size_t    n;
    time_t    start = (time_t) (period->start_ns / 1000000000);
    uint8_t  *bytes;
    struct tm tm;

    const struct pprof_form form
        = {.gzip_level = STORE_GZIP_LEVEL, .requests = period->requests};

    rc = pprof_encode_all(&period->profiles[kind], 1, &form, period->symbolizer,
                          &bytes, &n);
    if (rc != 0) {
        return rc;
    }

    gmtime_r(&start, &tm);
    strftime(begin, sizeof(begin), "%Y%m%dT%H%M%SZ", &tm);
    snprintf(name, sizeof(name), "%s-%s-%" PRId64 "-%08" PRIx32 STORE_SUFFIX,
             profile_type_name(kind), begin,
             (period->end_ns - period->start_ns + 500000000) / 1000000000,
             (uint32_t) period->instance_id);

    snprintf(part, sizeof(part), STORE_PART, (uint32_t) period->instance_id);

    rc = file_write(folder, part, name, bytes, n);
    free(bytes);

    return rc;
}


void
profile_store_period(void *data, const struct period *period)
{
    int                   rc, error = 0, folder;
    unsigned              kind;
    struct profile_store *store = data;

    folder = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = folder < 0 ? -errno : 0;

    for (kind = 0; folder >= 0 && kind < NPROF_PROFILES; kind++) {
        if (period->profiles[kind] == NULL) {
            continue;
        }

        rc = type_write(folder, period, kind);
        error = rc != 0 ? rc : error;
        atomic_fetch_add(rc == 0 ? &instance.directory->stored
                                 : &instance.directory->store_errors,
                         1);
    }

    if (folder >= 0) {
        store_prune(store, folder);
        close(folder);
    } else {
        atomic_fetch_add(&instance.directory->store_errors, 1);
    }

    if (error != 0 && !store->failing) {
        store->notify(store->data, store->path, -error);
    }

    store->failing = error != 0;
}


static void
print_file(FILE *out, const struct store_file *file)
{
    char      text[32];
    time_t    when = (time_t) file->modified;
    struct tm tm;

    gmtime_r(&when, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(out,
            "<tr><td><a href=\"%s\">%s</a></td><td>%" PRIu64
            "</td><td>%s</td></tr>\n",
            file->name, file->name, file->size, text);
}


int
profile_store_list(const struct profile_store *store, char **page, size_t *len)
{
    int                rc;
    FILE              *out;
    size_t             i;
    struct store_files files = {0};

    rc = store->path == NULL ? 0 : files_read(store->path, false, &files);

    *page = NULL;
    out = rc == 0 ? open_memstream(page, len) : NULL;

    if (out == NULL) {
        free(files.files);
        return rc != 0 ? rc : -ENOMEM;
    }

    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>store/</title>"
          "</head>\n<body>\n<h1>Profiles that are kept</h1>\n<table>\n",
          out);

    for (i = 0; i < files.n; i++) {
        print_file(out, &files.files[i]);
    }

    fputs("</table>\n</body>\n</html>\n", out);
    free(files.files);

    if (fclose(out) != 0) {
        free(*page);
        *page = NULL;
        return -ENOMEM;
    }

    return 0;
}


int
profile_store_size(const char *folder, const char *name, uint64_t *size)
{
    int         fd, rc;
    struct stat status;

    if (!name_is_profile(name)) {
        return -ENOENT;
    }

    fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -ENOENT;
    }

    rc = fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW);
    close(fd);

    if (rc != 0 || !S_ISREG(status.st_mode)) {
        return -ENOENT;
    }

    *size = (uint64_t) status.st_size;

    return 0;
}


static int
read_all(int fd, void **data, size_t *len)
{
    char       *bytes;
    size_t      done = 0;
    ssize_t     n = 1;
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return -errno;
    }

    if (!S_ISREG(status.st_mode)) {
        return -ENOENT;
    }

    if (status.st_size > PROFILE_STORE_FILE_MAX) {
        return -EFBIG;
    }

    bytes = malloc((size_t) status.st_size + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }

    while (n > 0 && done < (size_t) status.st_size) {
        n = read(fd, bytes + done, (size_t) status.st_size - done);
        done += n > 0 ? (size_t) n : 0;
    }

    if (n < 0) {
        n = -errno;
        free(bytes);
        return (int) n;
    }

    *data = bytes;
    *len = done;

    return 0;
}


int
profile_store_read(const struct profile_store *store, const char *name,
                   void **data, size_t *len)
{
    int rc, fd, folder;

    if (store->path == NULL || !name_is_profile(name)) {
        return -ENOENT;
    }

    folder = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return -errno;
    }

    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    rc = fd < 0 ? -errno : read_all(fd, data, len);
    close(folder);

    if (fd >= 0) {
        close(fd);
    }

    if (rc == 0) {
        rc = gzip_check(*data, *len, PROFILE_STORE_UNPACKED_MAX);
        if (rc != 0) {
            free(*data);
            *data = NULL;
        }
    }

    if (rc == -EBADMSG) {
        atomic_fetch_add(&instance.directory->malformed, 1);
    }

    return rc == -ELOOP ? -ENOENT : rc;
}
