
/*
 * ELF files that may be corrupt (elf_file.h). The export thread.
 */


#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../unwind/build_id_notes.h"
#include "elf_file.h"


/* Shared objects have below 100. */
#define SECTIONS_MAX 65536
#define NAMES_MAX (1024 * 1024)

/* Of notes: bytes of a section, and sections, of which files have a handful. */
#define NOTES_MAX (64 * 1024)
#define NOTE_SECTIONS_MAX 64

#define INFLATE_CHUNK (32 * 1024)

/* What deflate can't exceed: larger claims are corrupt. */
#define INFLATE_RATIO_MAX 1040


static int
in_file(const struct elf_file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}


static int
read_at(const struct elf_file *file, uint64_t offset, void *to, size_t size)
{
    char   *p = to;
    ssize_t n;

    if (!in_file(file, offset, size)) {
        return -ENOEXEC;
    }

    if (file->fd == -1) {
        memcpy(to, file->image + offset, size);
        return 0;
    }

    while (size > 0) {
        n = pread(file->fd, p, size, (off_t) offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            /* The file became shorter than it was at the start. */
            return n == 0 ? -ENOEXEC : -errno;
        }

        p += n;
        offset += (uint64_t) n;
        size -= (size_t) n;
    }

    return 0;
}


static int
read_header(struct elf_file *file)
{
    int               rc;
    const Elf64_Ehdr *h = &file->header;

    rc = read_at(file, 0, &file->header, sizeof(file->header));
    if (rc != 0) {
        return rc;
    }

    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0
        || h->e_ident[EI_CLASS] != ELFCLASS64
        || h->e_ident[EI_DATA] != ELFDATA2LSB
        || (h->e_type != ET_DYN && h->e_type != ET_EXEC
            && h->e_type != ET_REL)) {
        return -ENOEXEC;
    }

    return 0;
}


/* Counts that do not fit the header are in section 0 (gABI, chapter 4). */
static int
read_sections(struct elf_file *file)
{
    int               rc;
    uint64_t          n, names;
    Elf64_Shdr        first;
    const Elf64_Ehdr *h = &file->header;

    if (h->e_shoff == 0) {
        return 0;
    }

    if (h->e_shentsize != sizeof(Elf64_Shdr)) {
        return -ENOEXEC;
    }

    rc = read_at(file, h->e_shoff, &first, sizeof(first));
    if (rc != 0) {
        return rc;
    }

    n = h->e_shnum ? h->e_shnum : first.sh_size;
    names = h->e_shstrndx == SHN_XINDEX ? first.sh_link : h->e_shstrndx;

    if (n > SECTIONS_MAX || !in_file(file, h->e_shoff, n * sizeof(first))) {
        return -ENOEXEC;
    }

    file->sections = block_arena_alloc(&file->arena, n * sizeof(first));
    if (file->sections == NULL) {
        return -ENOMEM;
    }

    rc = read_at(file, h->e_shoff, file->sections, n * sizeof(first));
    if (rc != 0) {
        return rc;
    }

    file->n_sections = (uint32_t) n;

    if (names < n) {
        file->names = elf_file_load(file, &file->sections[names], NAMES_MAX,
                                    &file->arena, &file->names_size);
    }

    return 0;
}


static int
open_source(struct elf_file *file)
{
    int rc;

    rc = read_header(file);

    if (rc == 0) {
        rc = read_sections(file);
    }

    if (rc != 0) {
        elf_file_close(file);
    }

    return rc;
}


int
elf_file_open(struct elf_file *file, int fd)
{
    struct stat st;

    memset(file, 0, sizeof(*file));

    if (fstat(fd, &st) != 0) {
        return -errno;
    }

    if (!S_ISREG(st.st_mode)) {
        return -ENOEXEC;
    }

    file->fd = fd;
    file->size = (uint64_t) st.st_size;

    return open_source(file);
}


int
elf_file_open_image(struct elf_file *file, const void *image, size_t size)
{
    memset(file, 0, sizeof(*file));

    file->fd = -1;
    file->image = image;
    file->size = size;

    return open_source(file);
}


void
elf_file_close(struct elf_file *file)
{
    block_arena_free(&file->arena);
    memset(file, 0, sizeof(*file));
    file->fd = -1;
}


const Elf64_Shdr *
elf_file_section(const struct elf_file *file, const char *name)
{
    uint32_t i;

    for (i = 1; i < file->n_sections; i++) {
        if (file->sections[i].sh_name < file->names_size
            && strcmp(file->names + file->sections[i].sh_name, name) == 0) {
            return &file->sections[i];
        }
    }

    return NULL;
}


/* The compression header, or 0 bytes of contents if it makes no sense. */
static uint64_t
inflated_size(const struct elf_file *file, const Elf64_Shdr *section)
{
    uint64_t   packed;
    Elf64_Chdr header;

    if (section->sh_size <= sizeof(header)
        || read_at(file, section->sh_offset, &header, sizeof(header)) != 0) {
        return 0;
    }

    packed = section->sh_size - sizeof(header);

    if (header.ch_type != ELFCOMPRESS_ZLIB
        || header.ch_size / INFLATE_RATIO_MAX > packed) {
        return 0;
    }

    return header.ch_size;
}


uint64_t
elf_file_section_size(const struct elf_file *file, const Elf64_Shdr *section)
{
    if (section->sh_type == SHT_NOBITS || section->sh_type == SHT_NULL
        || !in_file(file, section->sh_offset, section->sh_size)) {
        return 0;
    }

    if (section->sh_flags & SHF_COMPRESSED) {
        return inflated_size(file, section);
    }

    return section->sh_size;
}


/* Fills exactly what the stream was given to write to, else -ENOEXEC. */
static int
inflate_from(const struct elf_file *file, uint64_t offset, uint64_t left,
             z_stream *stream)
{
    int     rc, status = Z_OK;
    size_t  n;
    uint8_t chunk[INFLATE_CHUNK];

    while (status == Z_OK && left > 0 && stream->avail_out > 0) {
        n = left < sizeof(chunk) ? left : sizeof(chunk);

        rc = read_at(file, offset, chunk, n);
        if (rc != 0) {
            return rc;
        }

        offset += n;
        left -= n;
        stream->next_in = chunk;
        stream->avail_in = (uInt) n;
        status = inflate(stream, Z_NO_FLUSH);
    }

    return (status == Z_OK || status == Z_STREAM_END) && stream->avail_out == 0
               ? 0
               : -ENOEXEC;
}


static int
inflate_section(const struct elf_file *file, const Elf64_Shdr *section,
                void *to, uint64_t size)
{
    int      rc;
    z_stream stream = {0};

    if (size > UINT32_MAX) {
        return -ENOEXEC;
    }

    if (inflateInit(&stream) != Z_OK) {
        return -ENOMEM;
    }

    stream.next_out = to;
    stream.avail_out = (uInt) size;

    rc = inflate_from(file, section->sh_offset + sizeof(Elf64_Chdr),
                      section->sh_size - sizeof(Elf64_Chdr), &stream);
    inflateEnd(&stream);

    return rc;
}


int
elf_file_read(const struct elf_file *file, const Elf64_Shdr *section, void *to,
              uint64_t size)
{
    /* That of a compressed section is in the file, which may have changed. */
    if (size == 0 || elf_file_section_size(file, section) != size) {
        return -ENOEXEC;
    }

    if (section->sh_flags & SHF_COMPRESSED) {
        return inflate_section(file, section, to, size);
    }

    return read_at(file, section->sh_offset, to, size);
}


void *
elf_file_load(const struct elf_file *file, const Elf64_Shdr *section,
              uint64_t max, struct block_arena *arena, uint64_t *size)
{
    void *p;

    *size = elf_file_section_size(file, section);
    if (*size == 0 || *size > max) {
        *size = 0;
        return NULL;
    }

    p = block_arena_alloc(arena, *size + 1);

    if (p == NULL || elf_file_read(file, section, p, *size) != 0) {
        *size = 0;
        return NULL;
    }

    return p;
}


size_t
elf_file_build_id(const struct elf_file *file, uint8_t *id, size_t max)
{
    size_t             n = 0;
    uint32_t           i, left = NOTE_SECTIONS_MAX;
    uint64_t           size;
    const char        *notes;
    struct block_arena arena = {0};

    for (i = 1; i < file->n_sections && n == 0 && left > 0; i++) {
        if (file->sections[i].sh_type != SHT_NOTE) {
            continue;
        }

        left--;
        notes
            = elf_file_load(file, &file->sections[i], NOTES_MAX, &arena, &size);
        if (notes != NULL) {
            n = build_id_of_notes(notes, size, id, max);
        }
    }

    block_arena_free(&arena);

    return n;
}
