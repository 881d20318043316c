/*
 * Debug information that a few bytes make endless: a reader that trusts it has
 * no memory left, or does not come back.
 */

#include "symbol_fixture.h"


/* The line program of 16 bytes of code, all of line 7. */
static const char line_7[]
    = ".section .debug_line\n"
      ".Lline: .long .Lline_end - .Lline - 4\n.value 4\n"
      ".long .Lprogram - .Llength\n.Llength: .byte 1, 1, 1, -5, 14,"
      " 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1\n"
      ".byte 0\n.asciz \"forged.s\"\n.byte 0, 0, 0, 0\n"
      ".Lprogram: .byte 0, 9, 2\n.quad .Lstart\n"
      ".byte 3, 6, 1, 2, 16, 0, 1, 1\n.Lline_end:\n"
      ".section .note.GNU-stack\n";


/*
 * A DIE whose DW_AT_sibling is the DIE itself, below a parent without one: a
 * reader that trusts it never ends.
 */
Test(forged_dwarf, a_sibling_that_leads_back_is_not_followed,
     .init = fixture_setup, .fini = fixture_teardown, .timeout = 20)
{
    char                path[256];
    struct dwarf_lines *lines;
    struct dwarf_frame  frames[DWARF_LINES_MAX_FRAMES];
    uint64_t            start, size;

    fixture_run("cat > %s/loop.s <<'END'\n"
                ".text\n.Lstart: .fill 16,1,0x90\n.Lend:\n"
                ".section .debug_abbrev\n"
                ".uleb128 1, 0x11; .byte 1; .uleb128 0x11, 0x01, 0x12, 0x07,"
                " 0x10, 0x17, 0, 0\n"
                ".uleb128 2, 0x04; .byte 1; .uleb128 0, 0\n"
                ".uleb128 3, 0x28; .byte 0; .uleb128 0x01, 0x13, 0, 0\n"
                ".byte 0\n"
                ".section .debug_info\n"
                ".Lunit: .long .Lunit_end - .Lversion\n"
                ".Lversion: .value 4\n.long 0\n.byte 8\n"
                ".uleb128 1; .quad .Lstart, .Lend - .Lstart; .long 0\n"
                ".uleb128 2\n"
                ".Lloop: .uleb128 3; .long .Lloop - .Lunit\n"
                ".byte 0, 0, 0\n.Lunit_end:\n"
                "%sEND\ncc -shared -o %s/libloop.so %s/loop.s",
                fixture_folder, line_7, fixture_folder, fixture_folder);
    snprintf(path, sizeof(path), "%s/libloop.so", fixture_folder);

    lines = fixture_lines(path);
    fixture_text(path, &start, &size);

    for (; size > 0; size--, start++) {
        dwarf_lines_find(lines, start, frames);
    }

    dwarf_lines_close(lines);
}


/* Debug information that is large, though its file is small: how many of each
   are in one of what comes before. */
struct forgery {
    unsigned units;
    unsigned functions;
    unsigned inlined;

    /* Of every unit and function: the same byte, so many times. */
    unsigned ranges;

    /* Of every inlined call: another byte. */
    unsigned far_ranges;

    /* Of the first unit, in .debug_aranges before that of the byte. */
    unsigned summary;
};


static void
write_forgery(struct forgery forgery)
{
    fixture_run("cat > %s/forged.s <<'END'\n"
                ".text\n.globl byte\n.Lstart: nop\nbyte: .fill 15,1,0x90\n"
                ".section .debug_abbrev\n"
                ".uleb128 1, 0x11; .byte 1; .uleb128 0x11, 0x01, 0x55, 0x17,"
                " 0x10, 0x17, 0, 0\n"
                ".uleb128 2, 0x2e; .byte 1; .uleb128 0x03, 0x08, 0x55, 0x17,"
                " 0, 0\n"
                ".uleb128 3, 0x1d; .byte 0; .uleb128 0x55, 0x17, 0, 0\n"
                ".byte 0\n"
                ".section .debug_ranges\n"
                ".rept %u\n.quad 1, 2\n.endr\n.quad 0, 0\n"
                ".Lfar:\n.rept %u\n.quad 9, 10\n.endr\n.quad 0, 0\n"
                ".section .debug_info\n"
                ".rept %u\n"
                ".long 2f - 1f\n1: .value 4\n.long 0\n.byte 8\n"
                ".uleb128 1; .quad .Lstart; .long 0, 0\n"
                ".rept %u\n.uleb128 2; .asciz \"forged\"; .long 0\n"
                ".rept %u\n.uleb128 3; .long .Lfar\n.endr\n"
                ".byte 0\n.endr\n"
                ".byte 0\n2:\n.endr\n"
                ".if %u\n.section .debug_aranges\n"
                ".long 2f - 1f\n1: .value 2\n.long 0\n.byte 8, 0\n.long 0\n"
                ".rept %u\n.quad 1, 1\n.endr\n"
                ".quad .Lstart, 16, 0, 0\n2:\n.endif\n"
                "%sEND\ncc -shared -o %s/libforged.so %s/forged.s",
                fixture_folder, forgery.ranges, forgery.far_ranges,
                forgery.units, forgery.functions, forgery.inlined,
                forgery.summary, forgery.summary, line_7, fixture_folder,
                fixture_folder);
}


/* What is found at that byte: the function, "" if a line only, or NULL. */
static const char *
find_forged(struct forgery forgery)
{
    char                path[256];
    unsigned            n;
    static char         function[16];
    struct dwarf_frame  frames[DWARF_LINES_MAX_FRAMES];
    struct dwarf_lines *lines;

    write_forgery(forgery);
    snprintf(path, sizeof(path), "%s/libforged.so", fixture_folder);

    lines = fixture_lines(path);
    n = dwarf_lines_find(lines, fixture_address("nm", path, "byte"), frames);

    if (n > 0) {
        cr_expect_eq(frames[n - 1].line, 7);
        snprintf(function, sizeof(function), "%s",
                 frames[n - 1].function ? frames[n - 1].function : "");
    }

    dwarf_lines_close(lines);

    return n > 0 ? function : NULL;
}


/* Each would have a copy of the list. */
Test(forged_dwarf, ranges_that_functions_share_are_bounded,
     .init = fixture_setup, .fini = fixture_teardown)
{
    cr_expect_str_eq(find_forged((struct forgery){1, 100, .ranges = 1000}),
                     "forged");
    cr_expect_str_eq(find_forged((struct forgery){1, 1000, .ranges = 1000}),
                     "");
}


Test(forged_dwarf, ranges_that_units_share_are_bounded, .init = fixture_setup,
     .fini = fixture_teardown)
{
    cr_expect_str_eq(find_forged((struct forgery){100, 1, .ranges = 1000}),
                     "forged");
    cr_expect_null(find_forged((struct forgery){1000, 1, .ranges = 1000}));
}


Test(forged_dwarf, units_are_bounded, .init = fixture_setup,
     .fini = fixture_teardown)
{
    cr_expect_str_eq(find_forged((struct forgery){90000, .ranges = 1}), "");
    cr_expect_null(find_forged((struct forgery){110000, .ranges = 1}));
}


/* The unit has no ranges of its own. */
Test(forged_dwarf, ranges_of_the_summary_are_bounded, .init = fixture_setup,
     .fini = fixture_teardown)
{
    cr_expect_str_eq(find_forged((struct forgery){1, .summary = 400000}), "");
    cr_expect_null(find_forged((struct forgery){1, .summary = 600000}));
}


/* To compare all of these with an address takes minutes. */
Test(forged_dwarf, ranges_that_inlined_calls_share_are_bounded,
     .init = fixture_setup, .fini = fixture_teardown, .timeout = 60)
{
    struct forgery forgery = {1, 1, 100000, .ranges = 1, .far_ranges = 300000};

    cr_expect_str_eq(find_forged(forgery), "forged");
}
