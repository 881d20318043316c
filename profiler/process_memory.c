
/*
 * The process's memory; see process_memory.h.
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "process_memory.h"


/* A line of /proc/self/status: "RssAnon:	    1234 kB". */
static void
status_line(const char *line, struct process_memory *memory)
{
    size_t   i;
    uint64_t kilobytes;

    const struct {
        const char *format;
        uint64_t   *to;
    } fields[] = {
        {"VmRSS: %" SCNu64, &memory->resident},
        {"RssAnon: %" SCNu64, &memory->anonymous},
        {"RssShmem: %" SCNu64, &memory->shared},
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (sscanf(line, fields[i].format, &kilobytes) == 1) {
            *fields[i].to = kilobytes * 1024;
        }
    }
}


/*
 * A line of /proc/self/maps: "start-end rwxp offset device inode   path". A
 * shared mapping without a file is called "/dev/zero (deleted)".
 */
static void
maps_line(const char *line, struct process_memory *memory)
{
    int      path;
    char     rights[5];
    uint64_t start, end, inode;

    path = 0;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n",
               &start, &end, rights, &inode, &path)
            < 4
        || path == 0) {
        return;
    }

    if (rights[3] == 's') {
        if (strncmp(line + path, "/dev/zero", 9) == 0) {
            memory->mapped_zones += end - start;
        }
        return;
    }

    if (inode != 0 || strncmp(line + path, "[v", 2) == 0) {
        return;
    }

    if (rights[2] == 'x') {
        memory->mapped_code += end - start;

    } else if (rights[1] == 'w' && strncmp(line + path, "[stack", 6) != 0) {
        memory->mapped_private += end - start;
    }
}


static void
file_read(const char *path,
          void (*read)(const char *line, struct process_memory *memory),
          struct process_memory *memory)
{
    char  line[512];
    FILE *file;

    file = fopen(path, "re");
    if (file == NULL) {
        return;
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        read(line, memory);
    }

    fclose(file);
}


void
process_memory_read(struct process_memory *memory)
{
    memset(memory, 0, sizeof(*memory));

    file_read("/proc/self/status", status_line, memory);
    file_read("/proc/self/maps", maps_line, memory);
}
