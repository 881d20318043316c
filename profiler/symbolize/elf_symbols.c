
/*
 * Functions by symbol tables (elf_symbols.h). The export thread.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf_symbols.h"
#include "interval_map.h"
#include "plt_stubs.h"


#define SYMBOLS_MAX (8 * 1024 * 1024)
#define STRINGS_MAX (16 * 1024 * 1024)

/* Longer names are not worth their cost, and a file can claim megabytes. */
#define NAME_LEN_MAX 16384

/*
 * Bytes of all PLT stubs, some 100,000 with the names of C++. Each has its text
 * for itself, and a file can make all of them call the function with the
 * longest name.
 */
#define STUBS_MAX (32 * 1024 * 1024)

/* Of a stub beside its text: in the maps, while they grow. */
#define STUB_ROWS 128

#define PLT_SUFFIX "@plt"


struct elf_symbols {
    struct interval_map functions;
    struct interval_map stubs;

    /* Names by the values of the maps, and all else that lives as long. */
    struct block_arena arena;
    const char       **names;
    uint32_t           n_names;
    uint32_t           capacity;

    size_t stub_bytes;
};


struct symbol_table {
    const struct elf_file *file;
    const Elf64_Sym       *symbols;
    uint64_t               n_symbols;

    /* Versions are cut off in place. */
    char    *strings;
    uint64_t strings_size;
};


static int
add_name(struct elf_symbols *symbols, struct interval_map *map, uint64_t start,
         uint64_t end, const char *name, uint32_t rank)
{
    const char **names;

    names = block_arena_room(&symbols->arena, symbols->names, symbols->n_names,
                             &symbols->capacity, sizeof(*names));
    if (names == NULL) {
        return -ENOMEM;
    }

    symbols->names = names;
    symbols->names[symbols->n_names] = name;

    return interval_map_add(map, start, end, symbols->n_names++, rank);
}


static int
is_function(const struct elf_file *file, const Elf64_Sym *symbol)
{
    switch (ELF64_ST_TYPE(symbol->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC:
    case STT_NOTYPE:
        break;
    default:
        return 0;
    }

    return symbol->st_size > 0
           && symbol->st_value + symbol->st_size > symbol->st_value
           && symbol->st_shndx != SHN_UNDEF
           && symbol->st_shndx < file->n_sections
           && (file->sections[symbol->st_shndx].sh_flags & SHF_EXECINSTR);
}


/* 0 if it is longer than we want it. */
static size_t
name_length(const char *name)
{
    size_t len = strnlen(name, NAME_LEN_MAX);

    return len < NAME_LEN_MAX ? len : 0;
}


/* Lower is better: exported, then few underscores, then short. */
static uint32_t
rank_of(const Elf64_Sym *symbol, const char *name, size_t len)
{
    size_t   underscores;
    uint32_t rank = 0;

    if (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL) {
        rank |= 1u << 31;
    }

    if (ELF64_ST_VISIBILITY(symbol->st_other) != STV_DEFAULT) {
        rank |= 1u << 30;
    }

    underscores = strspn(name, "_");
    rank |= (uint32_t) (underscores < 255 ? underscores : 255) << 16;
    rank |= (uint32_t) len;

    return rank;
}


static int
add_symbol(struct elf_symbols *symbols, const struct symbol_table *table,
           const Elf64_Sym *symbol)
{
    char  *name, *version;
    size_t len;

    if (!is_function(table->file, symbol) || symbol->st_name == 0
        || symbol->st_name >= table->strings_size) {
        return 0;
    }

    name = table->strings + symbol->st_name;
    len = name_length(name);

    if (len == 0) {
        return 0;
    }

    version = memchr(name, '@', len);

    if (version != NULL && version > name) {
        *version = '\0';
        len = (size_t) (version - name);
    }

    return add_name(symbols, &symbols->functions, symbol->st_value,
                    symbol->st_value + symbol->st_size, name,
                    rank_of(symbol, name, len));
}


static int
add_table(struct elf_symbols *symbols, const struct elf_file *file,
          const char *section_name)
{
    int                 rc = 0;
    uint64_t            i, size;
    const Elf64_Shdr   *section;
    struct symbol_table table = {.file = file};

    section = elf_file_section(file, section_name);
    if (section == NULL || section->sh_link >= file->n_sections) {
        return 0;
    }

    table.symbols
        = elf_file_load(file, section, SYMBOLS_MAX, &symbols->arena, &size);
    table.n_symbols = size / sizeof(Elf64_Sym);
    table.strings
        = elf_file_load(file, &file->sections[section->sh_link], STRINGS_MAX,
                        &symbols->arena, &table.strings_size);

    if (table.symbols == NULL || table.strings == NULL) {
        return 0;
    }

    for (i = 1; rc == 0 && i < table.n_symbols; i++) {
        rc = add_symbol(symbols, &table, &table.symbols[i]);
    }

    return rc;
}


/* Those beyond the bound stay without names. */
static int
add_stub(void *context, uint64_t start, uint64_t end, const char *name,
         uint64_t resolver)
{
    char               *text;
    size_t              len;
    uint32_t            i;
    struct elf_symbols *symbols = context;

    if (symbols->stub_bytes >= STUBS_MAX) {
        return 0;
    }

    if (name == NULL) {
        /* The resolver has the name of what it picks among. */
        i = interval_map_find(&symbols->functions, resolver);
        if (i == INTERVAL_MAP_NONE) {
            return 0;
        }

        name = symbols->names[i];
    }

    len = name_length(name);
    if (len == 0) {
        return 0;
    }

    text = block_arena_alloc(&symbols->arena, len + sizeof(PLT_SUFFIX));
    if (text == NULL) {
        return -ENOMEM;
    }

    memcpy(text, name, len);
    memcpy(text + len, PLT_SUFFIX, sizeof(PLT_SUFFIX));
    symbols->stub_bytes += STUB_ROWS + len + sizeof(PLT_SUFFIX);

    return add_name(symbols, &symbols->stubs, start, end, text, 0);
}


static int
read_tables(struct elf_symbols *symbols, const struct elf_file *code,
            const struct elf_file *debug)
{
    int rc = 0;

    if (debug != NULL) {
        rc = add_table(symbols, debug, ".symtab");
    }

    if (rc == 0 && code != NULL) {
        rc = add_table(symbols, code, ".symtab");
    }

    if (rc == 0 && code != NULL) {
        rc = add_table(symbols, code, ".dynsym");
    }

    if (rc == 0) {
        rc = interval_map_seal(&symbols->functions);
    }

    if (rc == 0 && code != NULL) {
        rc = plt_stubs_walk(code, add_stub, symbols);
    }

    if (rc == 0) {
        rc = interval_map_seal(&symbols->stubs);
    }

    return rc;
}


int
elf_symbols_open(struct elf_symbols **out, const struct elf_file *code,
                 const struct elf_file *debug)
{
    int                 rc;
    struct elf_symbols *symbols;

    symbols = calloc(1, sizeof(*symbols));
    if (symbols == NULL) {
        return -ENOMEM;
    }

    rc = read_tables(symbols, code, debug);
    if (rc != 0) {
        elf_symbols_close(symbols);
        return rc;
    }

    *out = symbols;

    return 0;
}


const char *
elf_symbols_find(const struct elf_symbols *symbols, uint64_t address)
{
    uint32_t i;

    i = interval_map_find(&symbols->functions, address);

    if (i == INTERVAL_MAP_NONE) {
        i = interval_map_find(&symbols->stubs, address);
    }

    return i == INTERVAL_MAP_NONE ? NULL : symbols->names[i];
}


void
elf_symbols_close(struct elf_symbols *symbols)
{
    interval_map_free(&symbols->functions);
    interval_map_free(&symbols->stubs);
    block_arena_free(&symbols->arena);
    free(symbols);
}
