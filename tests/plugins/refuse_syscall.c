/*
 * Runs a program without a system call, as a container's seccomp profile does:
 * it fails with EPERM, in the program and all that it starts.
 *
 * Usage: refuse_syscall NAME PROGRAM ARGUMENT...
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>


static const struct {
    const char *name;
    unsigned    number;
} known[] = {
    {"process_vm_readv", SYS_process_vm_readv},
    {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo},
    {"timer_create", SYS_timer_create},
};


static int
refuse(unsigned number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}


int
main(int argc, char **argv)
{
    size_t i;

    for (i = 0; argc > 2 && i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(argv[1], known[i].name) == 0) {
            if (refuse(known[i].number) != 0) {
                perror("seccomp");
                return 1;
            }

            execvp(argv[2], argv + 2);
            perror(argv[2]);
            return 1;
        }
    }

    fprintf(stderr, "Usage: refuse_syscall NAME PROGRAM ARGUMENT...\n");

    return 2;
}
