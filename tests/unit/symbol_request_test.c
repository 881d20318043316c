/*
 * Requests for names of addresses, well formed and not.
 */

#include <criterion/criterion.h>

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate/stack_table.h"
#include "symbol_request.h"


static struct module_table modules;


static void
modules_make(void)
{
    module_table_update(&modules);
}


TestSuite(symbol_request, .init = modules_make, .timeout = 30);


/* Asks for the text; the profile's values are the addresses, 0 ends them. */
static void
expect_addresses(const char *text, ...)
{
    size_t                       n = 0;
    va_list                      args;
    uint64_t                     address;
    struct stack_profile        *profile = symbol_request_parse(&modules, text);
    const struct profile_sample *sample;

    cr_assert_not_null(profile);
    va_start(args, text);

    while ((address = va_arg(args, uint64_t)) != 0) {
        cr_assert_lt(n, profile->n_samples, "%.40s", text);
        sample = &profile->samples[n++];
        cr_expect_eq((uint64_t) sample->values[0], address);
        cr_expect_eq(sample->n_frames, 1);
        cr_expect_eq(sample->frames[0].address
                         + modules.identities[sample->frames[0].module]->bias,
                     address);
        cr_expect_eq(sample->frames[0].kind, STACK_FRAME_CODE);
        cr_expect_str_eq(sample->thread, "");
    }

    va_end(args);
    cr_expect_eq(profile->n_samples, n, "%.40s: %zu", text, profile->n_samples);
    cr_expect_eq(profile->n_modules, modules.n_identities);
    stack_profile_free(profile);
}


#define ONE ((uint64_t) (uintptr_t) malloc)
#define TWO ((uint64_t) (uintptr_t) symbol_request_parse)
#define END ((uint64_t) 0)


Test(symbol_request, addresses_are_taken_in_their_order)
{
    char text[256];

    snprintf(text, sizeof(text), "0x%lx+0x%lx", ONE, TWO);
    expect_addresses(text, ONE, TWO, END);
    snprintf(text, sizeof(text), "0x%lx", TWO);
    expect_addresses(text, TWO, END);
    snprintf(text, sizeof(text), "0x%lX+0X%lX+%lx", ONE, ONE, TWO);
    expect_addresses(text, ONE, ONE, TWO, END);
    snprintf(text, sizeof(text), "0x%lx\r\n", ONE);
    expect_addresses(text, ONE, END);
}


Test(symbol_request, what_is_no_address_is_skipped)
{
    char               text[512];
    size_t             i;
    static const char *garbage[] = {
        "",
        "+",
        "++++",
        "0x",
        "0x1",
        "zzz",
        "-",
        "\x01\x7f\xff",
        "0xffffffffffffffff",
        "0x10000000000000000000000000000000",
        "18446744073709551616",
        "%s%n",
        "0x1.8p3",
    };

    for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        expect_addresses(garbage[i], END);
        snprintf(text, sizeof(text), "%s+0x%lx+%s+0x%lx+%s", garbage[i], ONE,
                 garbage[i], TWO, garbage[i]);
        expect_addresses(text, ONE, TWO, END);
    }
}


/* What only begins like an address is none. */
Test(symbol_request, an_address_with_a_tail_is_skipped)
{
    char text[256];

    snprintf(text, sizeof(text), "0x%lxzz+0x%lx", ONE, TWO);
    expect_addresses(text, TWO, END);
    snprintf(text, sizeof(text), "0x%lx 0x%lx+0x%lx", ONE, ONE, TWO);
    expect_addresses(text, TWO, END);
    snprintf(text, sizeof(text), "-0x%lx+0x%lx", -ONE, TWO);
    expect_addresses(text, TWO, END);
}


Test(symbol_request, the_largest_body_is_read_to_its_end)
{
    size_t                i, n, size = 1024 * 1024;
    char                  one[32], *text = malloc(size + 64);
    struct stack_profile *profile;

    memset(text, '+', size);
    text[size] = '\0';
    profile = symbol_request_parse(&modules, text);
    cr_assert_not_null(profile);
    cr_expect_eq(profile->n_samples, 0);
    stack_profile_free(profile);

    n = (size_t) snprintf(one, sizeof(one), "%lx+", TWO);
    for (i = 0; i + n <= size; i += n) {
        memcpy(text + i, one, n);
    }
    text[i] = '\0';
    profile = symbol_request_parse(&modules, text);
    cr_assert_not_null(profile);
    cr_expect_eq(profile->n_samples, i / n);
    stack_profile_free(profile);
    free(text);
}


Test(symbol_request, random_bytes_end_nobody)
{
    char              text[300];
    unsigned          i, j, n;
    static const char letters[] = "0x123456789abcdefABCDEFX+-+ +\n.zp";

    srand(4);

    for (i = 0; i < 20000; i++) {
        n = (unsigned) rand() % sizeof(text);
        for (j = 0; j < n; j++) {
            text[j] = rand() % 8 == 0
                          ? (char) (1 + rand() % 255)
                          : letters[(unsigned) rand() % (sizeof(letters) - 1)];
        }
        text[n == 0 ? 0 : n - 1] = '\0';
        stack_profile_free(symbol_request_parse(&modules, text));
    }
}
