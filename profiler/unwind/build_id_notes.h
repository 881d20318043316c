
/*
 * The GNU build id among ELF notes, as they are in memory or in a file.
 */


#ifndef NPROF_BUILD_ID_NOTES_H
#define NPROF_BUILD_ID_NOTES_H


#include <stddef.h>
#include <stdint.h>


/*
 * Copies the description of the first NT_GNU_BUILD_ID among size bytes of notes
 * (which need no alignment and may be damaged) to id, max bytes of it at most.
 * Returns its length, 0 if there is none. Any thread.
 */
size_t build_id_of_notes(const void *notes, uint64_t size, uint8_t *id,
                         size_t max);


#endif /* NPROF_BUILD_ID_NOTES_H */
