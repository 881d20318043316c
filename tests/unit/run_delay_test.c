/*
 * Reading schedstat: the kernel's, and what it might look like elsewhere.
 */

#include <criterion/criterion.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample/run_delay.h"


static int64_t
delay_of(const char *text)
{
    int     fd;
    int64_t delay;

    fd = memfd_create("schedstat", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    delay = run_delay_ns(fd);
    close(fd);

    return delay;
}


Test(run_delay, second_field)
{
    cr_assert_eq(delay_of("1 2 3\n"), 2);
    cr_assert_eq(delay_of("0 0 1\n"), 0);
    cr_assert_eq(delay_of("123456789012345 98765432109876 11\n"),
                 INT64_C(98765432109876));
    cr_assert_eq(delay_of("18446744073709551615 9223372036854775807 "
                          "18446744073709551615\n"),
                 INT64_MAX);
}


Test(run_delay, refuses_what_is_none)
{
    /* the last one where the kernel counts nothing */
    const char *texts[]
        = {"", "1", "1 ", " ", "1  2", "1 x", "running\n", "0 0 0\n"};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(delay_of(texts[i]), -1, "\"%s\"", texts[i]);
    }

    cr_assert_eq(run_delay_ns(-1), -1);
}


Test(run_delay, grows_with_the_kernels)
{
    int     fd;
    int64_t before;

    fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cr_skip_test("this kernel has no schedstat");
    }

    before = run_delay_ns(fd);
    cr_assert_geq(before, 0);
    cr_assert_geq(run_delay_ns(fd), before);
    close(fd);
}
