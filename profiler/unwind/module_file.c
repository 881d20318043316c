
/*
 * Names, build ids and files of modules; see module_file.h.
 */


#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_id_notes.h"
#include "module_file.h"


/* More program headers, or more notes, than any linker makes. */
#define PHDRS_MAX 64
#define NOTES_MAX 4096


/*
 * Takes "//" and "/./" out. The plug-in loader of the count module opens a
 * file that was replaced under another spelling of its path; a profile shows
 * the configured one.
 */
static void
path_canonicalize(char *path)
{
    char *from, *to;

    from = to = path;

    while (*from != '\0') {
        if (*from == '/') {
            while (from[1] == '/' || (from[1] == '.' && from[2] == '/')) {
                from += from[1] == '/' ? 1 : 2;
            }
        }

        *to++ = *from++;
    }

    *to = '\0';
}


static char *
module_path(const struct dl_phdr_info *info)
{
    char    path[PATH_MAX];
    char   *copy;
    ssize_t n;
    size_t  length;

    if (info->dlpi_addr == getauxval(AT_SYSINFO_EHDR)) {
        return strdup("[vdso]");
    }

    if (info->dlpi_name != NULL && info->dlpi_name[0] != '\0') {
        copy = strdup(info->dlpi_name);

    } else {
        /* the program itself */
        n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = '\0';
        copy = strdup(path);
    }

    if (copy == NULL) {
        return NULL;
    }

    path_canonicalize(copy);

    length = strlen(copy);
    if (length > 10 && strcmp(copy + length - 10, " (deleted)") == 0) {
        copy[length - 10] = '\0';
    }

    return copy;
}


/* The inode of the file that is mapped at the address, 0 if it is unknown. */
static uint64_t
mapped_inode(uint64_t address)
{
    FILE              *maps;
    char               line[512];
    uint64_t           found;
    unsigned long long lo, hi, inode;

    maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return 0;
    }

    found = 0;

    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%llx-%llx %*s %*x %*x:%*x %llu", &lo, &hi, &inode)
                == 3
            && address >= lo && address < hi) {
            found = inode;
            break;
        }
    }

    fclose(maps);

    return found;
}


struct module_identity *
module_identity_create(const struct dl_phdr_info *info, const ElfW(Phdr) * text)
{
    size_t i;
    const ElfW(Phdr) * header;
    struct module_identity *identity;

    identity = calloc(1, sizeof(*identity));
    if (identity == NULL) {
        return NULL;
    }

    identity->fd = MODULE_FILE_UNTRIED;
    identity->path = module_path(info);
    if (identity->path == NULL) {
        free(identity);
        return NULL;
    }

    identity->bias = info->dlpi_addr;
    identity->text_start = text->p_vaddr & ~(uint64_t) (MODULE_PAGE_SIZE - 1);
    identity->text_end = (text->p_vaddr + text->p_memsz + MODULE_PAGE_SIZE - 1)
                         & ~(uint64_t) (MODULE_PAGE_SIZE - 1);
    identity->text_offset = text->p_offset & ~(uint64_t) (MODULE_PAGE_SIZE - 1);

    for (i = 0; i < info->dlpi_phnum; i++) {
        header = &info->dlpi_phdr[i];

        if (header->p_type == PT_NOTE && identity->build_id_len == 0) {
            identity->build_id_len = (uint8_t) build_id_of_notes(
                (const void *) (info->dlpi_addr + header->p_vaddr),
                header->p_memsz, identity->build_id, MODULE_BUILD_ID_MAX);
        }
    }

    if (identity->build_id_len == 0) {
        identity->inode = mapped_inode(info->dlpi_addr + text->p_vaddr);
    }

    return identity;
}


void
module_identity_free(struct module_identity *identity)
{
    if (identity->fd >= 0) {
        close(identity->fd);
    }

    free(identity->path);
    free(identity);
}


bool
module_identity_equal(const struct module_identity *one,
                      const struct module_identity *two)
{
    return one->build_id_len == two->build_id_len && one->inode == two->inode
           && memcmp(one->build_id, two->build_id, one->build_id_len) == 0
           && one->text_start == two->text_start
           && one->text_end == two->text_end
           && one->text_offset == two->text_offset
           && strcmp(one->path, two->path) == 0;
}


/* Whether the file is the one that was mapped, where no build id can tell. */
static bool
module_file_is_mapped(int fd, const struct module_identity *identity)
{
    struct stat status;

    return identity->inode != 0 && fstat(fd, &status) == 0
           && status.st_ino == identity->inode;
}


/* Whether the file has the same executable segment and build id. */
static bool
module_file_matches(int fd, const struct module_identity *identity)
{
    int     i;
    bool    text;
    ssize_t n;
    ElfW(Ehdr) elf;
    ElfW(Phdr) headers[PHDRS_MAX];
    unsigned char          notes[NOTES_MAX];
    struct module_identity file;

    if (pread(fd, &elf, sizeof(elf), 0) != sizeof(elf)
        || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0
        || elf.e_phentsize != sizeof(headers[0]) || elf.e_phnum > PHDRS_MAX) {
        return false;
    }

    n = pread(fd, headers, elf.e_phnum * sizeof(headers[0]),
              (off_t) elf.e_phoff);
    if (n != (ssize_t) (elf.e_phnum * sizeof(headers[0]))) {
        return false;
    }

    memset(&file, 0, sizeof(file));
    text = false;

    for (i = 0; i < elf.e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_X)) {
            text |= (headers[i].p_vaddr & ~(uint64_t) (MODULE_PAGE_SIZE - 1))
                    == identity->text_start;
        }

        if (headers[i].p_type == PT_NOTE && file.build_id_len == 0
            && headers[i].p_filesz <= sizeof(notes)) {
            n = pread(fd, notes, headers[i].p_filesz,
                      (off_t) headers[i].p_offset);
            if (n == (ssize_t) headers[i].p_filesz) {
                file.build_id_len = (uint8_t) build_id_of_notes(
                    notes, (size_t) n, file.build_id, MODULE_BUILD_ID_MAX);
            }
        }
    }

    if (identity->build_id_len == 0 && !module_file_is_mapped(fd, identity)) {
        return false;
    }

    return text && file.build_id_len == identity->build_id_len
           && memcmp(file.build_id, identity->build_id, file.build_id_len) == 0;
}


/* A descriptor of the file if it is the module's, else -1. */
static int
module_file_open_path(const char *path, const struct module_identity *identity)
{
    int fd;

    /* O_NONBLOCK: the name may be another file's by now, a FIFO's even */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd >= 0 && !module_file_matches(fd, identity)) {
        close(fd);
        return -1;
    }

    return fd < 0 ? -1 : fd;
}


void
module_file_open(struct module_identity *identity)
{
    identity->fd = -1;

    if (identity->path[0] != '/') {
        return;
    }

    identity->fd = module_file_open_path(identity->path, identity);

    if (identity->fd < 0) {
        /* a program that was replaced while it runs can still be read */
        identity->fd = module_file_open_path("/proc/self/exe", identity);
    }
}
