
/*
 * Hooks on socket I/O; see io_hook.h. A server reads what it was given, so each
 * hook has the prototype of what it stands for.
 */


#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "got_patch.h"
#include "io_hook.h"
#include "request_scope.h"
#include "thread_label.h"


static inline void
reads(int fd)
{
    if (thread_label_on_main()) {
        request_scope_reads(fd);
    }
}


static inline void
writes(int fd)
{
    if (thread_label_on_main()) {
        request_scope_writes(fd);
    }
}


static ssize_t
read_hook(int fd, void *buffer, size_t size)
{
    reads(fd);

    return read(fd, buffer, size);
}


static ssize_t
readv_hook(int fd, const struct iovec *parts, int n)
{
    reads(fd);

    return readv(fd, parts, n);
}


static ssize_t
recv_hook(int fd, void *buffer, size_t size, int flags)
{
    reads(fd);

    return recv(fd, buffer, size, flags);
}


static ssize_t
write_hook(int fd, const void *buffer, size_t size)
{
    writes(fd);

    return write(fd, buffer, size);
}


static ssize_t
writev_hook(int fd, const struct iovec *parts, int n)
{
    writes(fd);

    return writev(fd, parts, n);
}


static ssize_t
send_hook(int fd, const void *buffer, size_t size, int flags)
{
    writes(fd);

    return send(fd, buffer, size, flags);
}


static ssize_t
sendfile_hook(int to, int from, off64_t *offset, size_t size)
{
    writes(to);

    return sendfile64(to, from, offset, size);
}


/* Before the first write to a connection, be it new or kept, its error is asked
   for. */
static int
getsockopt_hook(int fd, int level, int option, void *restrict value,
                socklen_t *restrict size)
{
    if (level == SOL_SOCKET && option == SO_ERROR) {
        writes(fd);
    }

    return getsockopt(fd, level, option, value, size);
}


static int
accept_hook(int fd, struct sockaddr *address, socklen_t *restrict size)
{
    int accepted;

    accepted = accept(fd, address, size);

    if (thread_label_on_main()) {
        request_scope_accepts(accepted);
    }

    return accepted;
}


static int
accept4_hook(int fd, struct sockaddr *address, socklen_t *restrict size,
             int flags)
{
    int accepted;

    accepted = accept4(fd, address, size, flags);

    if (thread_label_on_main()) {
        request_scope_accepts(accepted);
    }

    return accepted;
}


static int
connect_hook(int fd, const struct sockaddr *address, socklen_t size)
{
    int       type, before;
    socklen_t type_size;

    if (thread_label_on_main()) {
        before = errno;
        type_size = sizeof(type);
        request_scope_connects(
            fd, getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0
                    && type == SOCK_STREAM);
        errno = before;
    }

    return connect(fd, address, size);
}


static int
close_hook(int fd)
{
    if (thread_label_on_main()) {
        request_scope_closes(fd);
    }

    return close(fd);
}


/*
 * OpenSSL encrypts before it writes, and has what it read before; so its own
 * functions are hooked. We are not linked with it: the main program is, or
 * there is nothing to hook.
 */
struct ssl_st;

static struct {
    int (*get_fd)(const struct ssl_st *ssl);
    int (*read)(struct ssl_st *ssl, void *buffer, int size);
    int (*write)(struct ssl_st *ssl, const void *buffer, int size);
    int (*do_handshake)(struct ssl_st *ssl);
    int (*read_early_data)(struct ssl_st *ssl, void *buffer, size_t size,
                           size_t *done);
    int (*write_early_data)(struct ssl_st *ssl, const void *buffer, size_t size,
                            size_t *done);
    ssize_t (*sendfile)(struct ssl_st *ssl, int from, off64_t offset,
                        size_t size, int flags);
} openssl;


static int
ssl_read_hook(struct ssl_st *ssl, void *buffer, int size)
{
    if (thread_label_on_main()) {
        request_scope_reads(openssl.get_fd(ssl));
    }

    return openssl.read(ssl, buffer, size);
}


static int
ssl_write_hook(struct ssl_st *ssl, const void *buffer, int size)
{
    if (thread_label_on_main()) {
        request_scope_writes(openssl.get_fd(ssl));
    }

    return openssl.write(ssl, buffer, size);
}


static int
ssl_do_handshake_hook(struct ssl_st *ssl)
{
    if (thread_label_on_main()) {
        request_scope_reads(openssl.get_fd(ssl));
    }

    return openssl.do_handshake(ssl);
}


static int
ssl_read_early_data_hook(struct ssl_st *ssl, void *buffer, size_t size,
                         size_t *done)
{
    if (thread_label_on_main()) {
        request_scope_reads(openssl.get_fd(ssl));
    }

    return openssl.read_early_data(ssl, buffer, size, done);
}


static int
ssl_write_early_data_hook(struct ssl_st *ssl, const void *buffer, size_t size,
                          size_t *done)
{
    if (thread_label_on_main()) {
        request_scope_writes(openssl.get_fd(ssl));
    }

    return openssl.write_early_data(ssl, buffer, size, done);
}


static ssize_t
ssl_sendfile_hook(struct ssl_st *ssl, int from, off64_t offset, size_t size,
                  int flags)
{
    if (thread_label_on_main()) {
        request_scope_writes(openssl.get_fd(ssl));
    }

    return openssl.sendfile(ssl, from, offset, size, flags);
}


struct io_hook {
    const char *symbol;
    void       *replacement;

    /* The C library's, or where the pointer to OpenSSL's is kept. */
    void *target;
    void *found;
};


static const struct io_hook hooks[] = {
    {"read", (void *) read_hook, (void *) read, NULL},
    {"readv", (void *) readv_hook, (void *) readv, NULL},
    {"recv", (void *) recv_hook, (void *) recv, NULL},
    {"write", (void *) write_hook, (void *) write, NULL},
    {"writev", (void *) writev_hook, (void *) writev, NULL},
    {"send", (void *) send_hook, (void *) send, NULL},
    {"sendfile64", (void *) sendfile_hook, (void *) sendfile64, NULL},
    {"getsockopt", (void *) getsockopt_hook, (void *) getsockopt, NULL},
    {"accept", (void *) accept_hook, (void *) accept, NULL},
    {"accept4", (void *) accept4_hook, (void *) accept4, NULL},
    {"connect", (void *) connect_hook, (void *) connect, NULL},
    {"close", (void *) close_hook, (void *) close, NULL},
    {"SSL_read", (void *) ssl_read_hook, NULL, &openssl.read},
    {"SSL_write", (void *) ssl_write_hook, NULL, &openssl.write},
    {"SSL_do_handshake", (void *) ssl_do_handshake_hook, NULL,
     &openssl.do_handshake},
    {"SSL_read_early_data", (void *) ssl_read_early_data_hook, NULL,
     &openssl.read_early_data},
    {"SSL_write_early_data", (void *) ssl_write_early_data_hook, NULL,
     &openssl.write_early_data},
    {"SSL_sendfile", (void *) ssl_sendfile_hook, NULL, &openssl.sendfile},
};


static int
hook_install(const struct io_hook *hook)
{
    int   rc;
    void *target;

    target = hook->target;

    if (hook->found != NULL) {
        target = dlsym(RTLD_DEFAULT, hook->symbol);

        if (target == NULL || openssl.get_fd == NULL) {
            return 0;
        }

        /* before the first call of the hook */
        memcpy(hook->found, &target, sizeof(target));
    }

    rc = got_patch_program(hook->symbol, target, hook->replacement);

    return rc < 0 ? rc : 0;
}


int
io_hook_install(void)
{
    int         rc;
    size_t      i;
    void       *get_fd;
    static bool installed;

    if (installed) {
        return 0;
    }

    get_fd = dlsym(RTLD_DEFAULT, "SSL_get_fd");
    memcpy(&openssl.get_fd, &get_fd, sizeof(get_fd));

    for (i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        rc = hook_install(&hooks[i]);
        if (rc != 0) {
            return rc;
        }
    }

    installed = true;

    return 0;
}
