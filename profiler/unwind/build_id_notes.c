
/*
 * Finds a build id; see build_id_notes.h.
 */


#include <elf.h>
#include <string.h>

#include "build_id_notes.h"


size_t
build_id_of_notes(const void *notes, uint64_t size, uint8_t *id, size_t max)
{
    uint64_t    at, name, desc, next;
    Elf64_Nhdr  note;
    const char *bytes = notes;

    for (at = 0; size - at >= sizeof(note); at = next) {
        memcpy(&note, bytes + at, sizeof(note));

        name = at + sizeof(note);
        desc = name + (((uint64_t) note.n_namesz + 3) & ~3ull);
        next = desc + (((uint64_t) note.n_descsz + 3) & ~3ull);

        if (next > size) {
            break;
        }

        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4
            && memcmp(bytes + name, "GNU", 4) == 0) {
            max = note.n_descsz < max ? note.n_descsz : max;
            memcpy(id, bytes + desc, max);
            return max;
        }
    }

    return 0;
}
