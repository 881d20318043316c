
/*
 * A reader of call frame information; see cfi_program.h.
 */


#include <dwarf.h>
#include <string.h>

#include "cfi_program.h"


/* The return address column of the x86-64 ABI. */
#define RETURN_ADDRESS_COLUMN 16

/* How pointers of FDEs are encoded where the augmentation has no 'R'. */
#define DW_EH_PE_absptr 0x00


/* A part of the section's copy that is being read. */
struct cfi_reader {
    const struct unwind_section *section;
    uint64_t                     at;
    uint64_t                     end;
    bool                         failed;
};


/* What a common information entry says. */
struct cfi_cie {
    uint64_t code_alignment;
    uint8_t  pointer_encoding;
    bool     augmented;
    bool     signal;
    uint64_t program;
    uint64_t program_end;
};


static uint64_t
cfi_fixed(struct cfi_reader *reader, unsigned size)
{
    uint64_t value;

    value = 0;

    if (reader->failed || reader->end - reader->at < size) {
        reader->failed = true;
        return 0;
    }

    memcpy(&value, reader->section->copy + reader->at, size);
    reader->at += size;

    return value;
}


static uint64_t
cfi_uleb(struct cfi_reader *reader)
{
    unsigned shift;
    uint64_t byte, value;

    value = 0;
    shift = 0;

    do {
        byte = cfi_fixed(reader, 1);
        if (shift < 64) {
            value |= (byte & 0x7f) << shift;
        }
        shift += 7;
    } while (byte & 0x80);

    return value;
}


static void
cfi_skip(struct cfi_reader *reader, uint64_t size)
{
    if (reader->failed || reader->end - reader->at < size) {
        reader->failed = true;
        return;
    }

    reader->at += size;
}


static uint64_t
cfi_sign_extend(uint64_t value, unsigned size)
{
    unsigned shift;

    shift = 64 - 8 * size;

    return (uint64_t) ((int64_t) (value << shift) >> shift);
}


static unsigned
cfi_pointer_size(uint8_t encoding)
{
    switch (encoding & 0x07) {
    case 0x02:
        return 2;
    case 0x03:
        return 4;
    default:
        return 8;
    }
}


/* A pointer, absolute or relative to itself; others are not well formed. */
static uint64_t
cfi_pointer(struct cfi_reader *reader, uint8_t encoding)
{
    unsigned size;
    uint64_t value, place;

    place = reader->section->start + reader->at;
    size = cfi_pointer_size(encoding);
    value = cfi_fixed(reader, size);

    if (encoding & 0x08) {
        value = cfi_sign_extend(value, size);
    }

    switch (encoding & 0xf0) {
    case 0x00:
        return value;
    case 0x10:
        return value + place;
    default:
        reader->failed = true;
        return 0;
    }
}


/* Starts to read the entry at offset; its program ends where it ends. */
static bool
cfi_entry_open(struct cfi_reader *reader, const struct unwind_section *section,
               uint64_t offset)
{
    uint64_t length;

    if (offset >= section->size) {
        return false;
    }

    reader->section = section;
    reader->at = offset;
    reader->end = section->size;
    reader->failed = false;

    length = cfi_fixed(reader, 4);
    if (reader->failed || length > reader->end - reader->at) {
        return false;
    }

    reader->end = reader->at + length;

    return true;
}


static void
cfi_cie_augmentation(struct cfi_reader *reader, struct cfi_cie *cie,
                     const char *augmentation)
{
    for (/* void */; *augmentation != '\0'; augmentation++) {
        switch (*augmentation) {
        case 'z':
            cie->augmented = true;
            break;
        case 'R':
            cie->pointer_encoding = (uint8_t) cfi_fixed(reader, 1);
            break;
        case 'P':
            cfi_skip(reader, cfi_pointer_size((uint8_t) cfi_fixed(reader, 1)));
            break;
        case 'L':
            cfi_skip(reader, 1);
            break;
        case 'S':
            cie->signal = true;
            break;
        default:
            break;
        }
    }
}


static bool
cfi_cie_read(const struct unwind_section *section, uint64_t offset,
             struct cfi_cie *cie)
{
    unsigned          i;
    uint64_t          length;
    char              augmentation[8];
    struct cfi_reader reader;

    if (!cfi_entry_open(&reader, section, offset)
        || cfi_fixed(&reader, 4) != 0) {
        return false;
    }

    cfi_skip(&reader, 1);

    for (i = 0; i < sizeof(augmentation); i++) {
        augmentation[i] = (char) cfi_fixed(&reader, 1);
        if (augmentation[i] == '\0') {
            break;
        }
    }

    if (i == sizeof(augmentation)) {
        return false;
    }

    memset(cie, 0, sizeof(*cie));
    cie->pointer_encoding = DW_EH_PE_absptr;
    cie->code_alignment = cfi_uleb(&reader);
    /* the data alignment and the return address column */
    (void) cfi_uleb(&reader);
    (void) cfi_uleb(&reader);

    length = augmentation[0] == 'z' ? cfi_uleb(&reader) : 0;
    cie->program = reader.at + length;
    cie->program_end = reader.end;
    cfi_cie_augmentation(&reader, cie, augmentation);

    return !reader.failed && cie->program <= cie->program_end;
}


/* Skips the operands of an instruction that says nothing that we ask. */
static void
cfi_operands_skip(struct cfi_reader *reader, uint64_t opcode)
{
    switch (opcode) {
    case DW_CFA_nop:
    case DW_CFA_remember_state:
    case DW_CFA_restore_state:
        break;
    case DW_CFA_restore_extended:
    case DW_CFA_same_value:
    case DW_CFA_def_cfa_register:
    case DW_CFA_def_cfa_offset:
    case DW_CFA_def_cfa_offset_sf:
    case DW_CFA_GNU_args_size:
        (void) cfi_uleb(reader);
        break;
    case DW_CFA_offset_extended:
    case DW_CFA_offset_extended_sf:
    case DW_CFA_register:
    case DW_CFA_def_cfa:
    case DW_CFA_def_cfa_sf:
    case DW_CFA_val_offset:
    case DW_CFA_val_offset_sf:
    case DW_CFA_GNU_negative_offset_extended:
        (void) cfi_uleb(reader);
        (void) cfi_uleb(reader);
        break;
    case DW_CFA_def_cfa_expression:
        cfi_skip(reader, cfi_uleb(reader));
        break;
    case DW_CFA_expression:
    case DW_CFA_val_expression:
        (void) cfi_uleb(reader);
        cfi_skip(reader, cfi_uleb(reader));
        break;
    default:
        reader->failed = true;
    }
}


/*
 * The bytes that an instruction advances the location by, in code alignment
 * units; UINT64_MAX if it is none of that kind.
 */
static uint64_t
cfi_advance(struct cfi_reader *reader, uint64_t opcode)
{
    switch (opcode) {
    case DW_CFA_advance_loc1:
        return cfi_fixed(reader, 1);
    case DW_CFA_advance_loc2:
        return cfi_fixed(reader, 2);
    case DW_CFA_advance_loc4:
        return cfi_fixed(reader, 4);
    default:
        return (opcode & 0xc0) == DW_CFA_advance_loc ? (opcode & 0x3f)
                                                     : UINT64_MAX;
    }
}


/*
 * Runs a program up to address and notes whether the return address becomes
 * undefined; no compiler or assembler takes that back within a function.
 */
static void
cfi_program_run(struct cfi_reader *reader, const struct cfi_cie *cie,
                uint64_t location, uint64_t address, bool *root)
{
    uint64_t opcode, advance;

    while (!reader->failed && reader->at < reader->end) {
        opcode = cfi_fixed(reader, 1);
        advance = cfi_advance(reader, opcode);

        if (advance != UINT64_MAX) {
            location += advance * cie->code_alignment;
            if (location > address) {
                return;
            }

        } else if (opcode == DW_CFA_undefined) {
            *root |= cfi_uleb(reader) == RETURN_ADDRESS_COLUMN;

        } else if (opcode == DW_CFA_set_loc) {
            location = cfi_pointer(reader, cie->pointer_encoding);
            if (location > address) {
                return;
            }

        } else if ((opcode & 0xc0) == DW_CFA_offset) {
            (void) cfi_uleb(reader);

        } else if ((opcode & 0xc0) != DW_CFA_restore) {
            cfi_operands_skip(reader, opcode);
        }
    }
}


bool
cfi_find_row(const struct unwind_section *section, uint64_t offset,
             uint64_t address, struct eh_frame_row *row)
{
    uint64_t          id_at, id;
    struct cfi_cie    cie;
    struct cfi_reader reader, initial;

    if (!cfi_entry_open(&reader, section, offset)) {
        return false;
    }

    /* the distance back to the common entry; 0 would be such an entry */
    id_at = reader.at;
    id = cfi_fixed(&reader, 4);

    if (reader.failed || id == 0 || id > id_at
        || !cfi_cie_read(section, id_at - id, &cie)) {
        return false;
    }

    row->start = cfi_pointer(&reader, cie.pointer_encoding);
    row->end = row->start + cfi_pointer(&reader, cie.pointer_encoding & 0x0f);
    row->signal = cie.signal;
    row->root = false;

    if (reader.failed || address < row->start || address >= row->end) {
        return false;
    }

    if (cie.augmented) {
        cfi_skip(&reader, cfi_uleb(&reader));
    }

    initial = reader;
    initial.at = cie.program;
    initial.end = cie.program_end;

    cfi_program_run(&initial, &cie, row->start, address, &row->root);
    cfi_program_run(&reader, &cie, row->start, address, &row->root);

    return !reader.failed && !initial.failed;
}
