/*
 * Which thread's signals libunwind blocks: seen from an accessor that it calls
 * with its lock held.
 */

#include <criterion/criterion.h>

#include <errno.h>
#include <libunwind-x86_64.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "unwind_signals.h"


TestSuite(unwind_signals, .timeout = 30);


static unw_addr_space_t space;

/* Whether the accessor ran, and SIGUSR1 was blocked then. */
static bool asked;
static bool blocked;


static bool
is_blocked(void)
{
    sigset_t now;

    sigemptyset(&now);
    pthread_sigmask(SIG_BLOCK, NULL, &now);

    return sigismember(&now, SIGUSR1) == 1;
}


static int
find_proc_info(unw_addr_space_t of, unw_word_t ip, unw_proc_info_t *info,
               int need_unwind_info, void *data)
{
    (void) of;
    (void) ip;
    (void) info;
    (void) need_unwind_info;
    (void) data;

    asked = true;
    blocked = is_blocked();

    return -UNW_ENOINFO;
}


static void
put_unwind_info(unw_addr_space_t of, unw_proc_info_t *info, void *data)
{
    (void) of;
    (void) info;
    (void) data;
}


static int
no_dyn_info(unw_addr_space_t of, unw_word_t *list, void *data)
{
    (void) of;
    (void) list;
    (void) data;

    return -UNW_ENOINFO;
}


static int
no_mem(unw_addr_space_t of, unw_word_t address, unw_word_t *value, int write,
       void *data)
{
    (void) of;
    (void) address;
    (void) value;
    (void) write;
    (void) data;

    return -UNW_EINVAL;
}


static int
any_reg(unw_addr_space_t of, unw_regnum_t number, unw_word_t *value, int write,
        void *data)
{
    (void) of;
    (void) number;
    (void) write;
    (void) data;

    *value = 0x1000;

    return 0;
}


/* Whether libunwind blocks this thread's signals. Afterwards it does not. */
static bool
step_blocks(void)
{
    unw_cursor_t cursor;

    asked = false;
    cr_assert_eq(unw_init_remote(&cursor, space, NULL), 0);
    (void) unw_step(&cursor);
    cr_assert(asked);
    cr_expect_not(is_blocked());

    return blocked;
}


static void *
other_thread(void *data)
{
    *(bool *) data = step_blocks();

    return NULL;
}


Test(unwind_signals, only_the_thread_that_asks_is_spared)
{
    bool                   other;
    pthread_t              thread;
    static unw_accessors_t accessors = {
        .find_proc_info = find_proc_info,
        .put_unwind_info = put_unwind_info,
        .get_dyn_info_list_addr = no_dyn_info,
        .access_mem = no_mem,
        .access_reg = any_reg,
    };

    space = unw_create_addr_space(&accessors, 0);
    cr_assert_not_null(space);
    cr_assert_eq(unw_set_caching_policy(space, UNW_CACHE_GLOBAL), 0);

    cr_expect(step_blocks(), "or there is nothing to spare");
    cr_assert_eq(unwind_signals_keep(), 0);
    cr_expect_not(step_blocks());

    cr_assert_eq(pthread_create(&thread, NULL, other_thread, &other), 0);
    pthread_join(thread, NULL);
    cr_expect(other);

    unwind_signals_restore();
    cr_expect(step_blocks());

    /* again, as the next profiler of the process would */
    cr_assert_eq(unwind_signals_keep(), 0);
    cr_expect_not(step_blocks());
    unwind_signals_restore();
    unw_destroy_addr_space(space);
}
