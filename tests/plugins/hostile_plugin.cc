/*
 * A plug-in that does what is hard on whoever samples its thread. Of the two
 * numbers that it is given, the smaller says what (enum hostile), the larger
 * for how many milliseconds of wall time, 100 and more. What went wrong is
 * given back as a negative number, the line of this file. For tests.
 */

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>

#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sort_plugin.h"


extern "C" const sort_plugin_t sort_plugin;

extern char **environ;


namespace {


enum hostile : int64_t {
    /* Throws through frames with destructors, and catches. */
    HOSTILE_THROW = 0,
    /* Loads and unloads two libraries in turns, and burns CPU time in each. */
    HOSTILE_SWAP,
    HOSTILE_RESOLVE,
    /* Forks, spawns, and executes. */
    HOSTILE_SPAWN,
    /* Handles a signal on an alternate stack of 8 KB, at length. */
    HOSTILE_ALTSTACK,
    /* Runs ordinary code while there is an alternate stack of the least size.
     */
    HOSTILE_LEAST_ALTSTACK,
    /* Takes SIGPROF, gives it back to who had it, and takes it again for good.
     */
    HOSTILE_SIGPROF,
    /* Keeps the dynamic loader's list of modules locked for that long. */
    HOSTILE_LOCK
};


constexpr long BURN_MS = 4;
/* Two looks of whoever follows what is loaded, and more. */
constexpr long   LONG_BURN_MS = 250;
constexpr size_t ALTSTACK_SIZE = 8192;
constexpr size_t GUARD_SIZE = 65536;
constexpr int    CHILD_STATUS = 7;


using steady = std::chrono::steady_clock;


[[gnu::noinline]] void
burn_ms(long ms)
{
    auto              end = steady::now() + std::chrono::milliseconds(ms);
    volatile unsigned spin = 0;

    while (steady::now() < end) {
        for (unsigned i = 0; i < 5000; i++) {
            spin = spin + 1;
        }
    }
}


struct counted {
    explicit counted(int *counter) : counter_(counter)
    {
        ++*counter_;
    }

    ~counted()
    {
        --*counter_;
    }

    int *counter_;
};


[[gnu::noinline]] void
throw_deep(int depth, int *alive)
{
    counted here(alive);

    if (depth == 0) {
        throw std::runtime_error("thrown");
    }

    throw_deep(depth - 1, alive);
    __asm__ volatile("" ::: "memory");
}


int
hostile_throw()
{
    int alive = 0;

    for (int i = 0; i < 50; i++) {
        try {
            throw_deep(12, &alive);
            return -__LINE__;
        } catch (const std::runtime_error &error) {
            if (alive != 0 || std::strcmp(error.what(), "thrown") != 0) {
                return -__LINE__;
            }
        }
    }

    return 0;
}


std::string
own_folder()
{
    Dl_info info;

    if (dladdr(&sort_plugin, &info) == 0) {
        return "";
    }

    std::string path = info.dli_fname;

    return path.substr(0, path.rfind('/') + 1);
}


/* Burns in the library of that name; where it was loaded, or 0. */
[[gnu::noinline]] ElfW(Addr) swap_in(const std::string &name, long ms)
{
    std::string path = own_folder() + "lib" + name + ".so";
    void       *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);

    if (library == nullptr) {
        return 0;
    }

    struct link_map *map = nullptr;
    void            *found = dlsym(library, (name + "_burn").c_str());

    dlinfo(library, RTLD_DI_LINKMAP, &map);
    if (found == nullptr || map == nullptr) {
        return 0;
    }

    ElfW(Addr) base = map->l_addr;

    reinterpret_cast<void (*)(long)>(found)(ms);
    dlclose(library);

    return base;
}


/* At some time one has to be where the other was. */
int
hostile_swap()
{
    int swaps = 0;

    for (int i = 0; i < 16; i++) {
        ElfW(Addr) first
            = swap_in("swapped_a", i == 7 ? LONG_BURN_MS : BURN_MS);
        ElfW(Addr) second
            = swap_in("swapped_b", i == 15 ? LONG_BURN_MS : BURN_MS);

        if (first == 0 || second == 0) {
            return -__LINE__;
        }

        swaps += first == second;
    }

    return swaps > 0 ? 0 : -__LINE__;
}


int
hostile_resolve()
{
    addrinfo  hints{};
    addrinfo *list = nullptr;

    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo("localhost", "80", &hints, &list) != 0) {
        return -__LINE__;
    }

    freeaddrinfo(list);

    return 0;
}


/* In a forked child: its exit status. Only what is allowed after fork(). */
int
child_status()
{
    int  threads = 0;
    DIR *tasks = opendir("/proc/self/task");

    if (tasks == nullptr) {
        return 1;
    }

    for (dirent *entry; (entry = readdir(tasks)) != nullptr; /* void */) {
        threads += entry->d_name[0] != '.';
    }

    closedir(tasks);
    burn_ms(2 * BURN_MS);

    return threads == 1 ? CHILD_STATUS : 2;
}


bool
ended_with(pid_t pid, int wanted)
{
    int   status;
    pid_t ended;

    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);

    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == wanted;
}


int
spawn_all()
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(child_status());
    }

    if (!ended_with(pid, CHILD_STATUS)) {
        return -__LINE__;
    }

    const char *arguments[] = {"sh", "-c", "exit 7", nullptr};
    char      **argv = const_cast<char **>(arguments);

    if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, environ) != 0
        || !ended_with(pid, CHILD_STATUS)) {
        return -__LINE__;
    }

    pid = fork();
    if (pid == 0) {
        execv("/bin/sh", argv);
        _exit(1);
    }

    if (!ended_with(pid, CHILD_STATUS)) {
        return -__LINE__;
    }

    /* it runs in our memory, and we wait until it has its own program */
    pid = vfork();
    if (pid == 0) {
        execv("/bin/sh", argv);
        _exit(1);
    }

    if (!ended_with(pid, CHILD_STATUS)) {
        return -__LINE__;
    }

    int status = system("exit 7");

    if (!WIFEXITED(status) || WEXITSTATUS(status) != CHILD_STATUS) {
        return -__LINE__;
    }

    FILE *out = popen("echo said", "re");
    char  line[16] = "";

    if (out == nullptr || fgets(line, sizeof(line), out) == nullptr
        || std::strcmp(line, "said\n") != 0 || pclose(out) != 0) {
        return -__LINE__;
    }

    return 0;
}


/* nginx reaps all children in its handler of SIGCHLD: not meanwhile. */
int
hostile_spawn()
{
    sigset_t child, before;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);

    int rc = spawn_all();

    sigprocmask(SIG_SETMASK, &before, nullptr);

    return rc;
}


volatile sig_atomic_t handled;


void
crash_handler(int)
{
    burn_ms(10 * BURN_MS);
    handled = handled + 1;
}


/* An alternate stack of that size, above a page that nobody may touch. */
class alternate_stack {
  public:
    explicit alternate_stack(size_t size)
    {
        size_ = (size + 4095) & ~size_t{4095};
        memory_
            = static_cast<char *>(mmap(nullptr, GUARD_SIZE + size_, PROT_NONE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(memory_ + GUARD_SIZE, size_, PROT_READ | PROT_WRITE);

        stack_t stack{};

        /* what is not needed lies above: the low end is at the guard */
        stack.ss_sp = memory_ + GUARD_SIZE;
        stack.ss_size = size;
        set_ = sigaltstack(&stack, &before_) == 0;
    }

    alternate_stack(const alternate_stack &) = delete;
    alternate_stack &operator=(const alternate_stack &) = delete;

    ~alternate_stack()
    {
        sigaltstack(&before_, nullptr);
        munmap(memory_, GUARD_SIZE + size_);
    }

    bool set_;

  private:
    char   *memory_;
    size_t  size_;
    stack_t before_{};
};


int
hostile_altstack()
{
    alternate_stack  stack(ALTSTACK_SIZE);
    struct sigaction action {
    }, before{};

    action.sa_handler = crash_handler;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGBUS, &action, &before);
    handled = 0;
    raise(SIGBUS);
    sigaction(SIGBUS, &before, nullptr);

    if (!stack.set_ || handled != 1) {
        return -__LINE__;
    }

    burn_ms(10 * BURN_MS);

    return 0;
}


int
hostile_least_altstack()
{
    alternate_stack stack(static_cast<size_t>(sysconf(_SC_MINSIGSTKSZ)) + 1024);

    if (!stack.set_) {
        return -__LINE__;
    }

    burn_ms(20 * BURN_MS);

    return 0;
}


void
foreign_handler(int)
{
    handled = handled + 1;
}


int
hostile_sigprof()
{
    struct sigaction action {
    }, before{};

    action.sa_handler = foreign_handler;
    action.sa_flags = SA_RESTART;

    if (sigaction(SIGPROF, &action, &before) != 0
        || sigaction(SIGPROF, &before, nullptr) != 0
        || sigaction(SIGPROF, &action, nullptr) != 0) {
        return -__LINE__;
    }

    burn_ms(10 * BURN_MS);

    return 0;
}


int
hold_ms(dl_phdr_info *, size_t, void *ms)
{
    burn_ms(*static_cast<long *>(ms));

    return 1;
}


int
hostile_once(int64_t what)
{
    switch (what) {
    case HOSTILE_THROW:
        return hostile_throw();
    case HOSTILE_SWAP:
        return hostile_swap();
    case HOSTILE_RESOLVE:
        return hostile_resolve();
    case HOSTILE_SPAWN:
        return hostile_spawn();
    case HOSTILE_ALTSTACK:
        return hostile_altstack();
    case HOSTILE_LEAST_ALTSTACK:
        return hostile_least_altstack();
    case HOSTILE_SIGPROF:
        return hostile_sigprof();
    default:
        return -__LINE__;
    }
}


void
hostile_sort(int64_t *values, size_t count)
{
    if (count != 2) {
        return;
    }

    int64_t what = values[0] < values[1] ? values[0] : values[1];
    long ms = static_cast<long>(values[0] < values[1] ? values[1] : values[0]);
    auto end = steady::now() + std::chrono::milliseconds(ms);
    int  rc = 0;

    if (what == HOSTILE_LOCK) {
        dl_iterate_phdr(hold_ms, &ms);
    }

    while (what != HOSTILE_LOCK && rc == 0 && steady::now() < end) {
        rc = hostile_once(what);
    }

    values[0] = rc == 0 ? what : rc;
    values[1] = ms;
}


} // namespace


extern "C" const sort_plugin_t sort_plugin = {
    SORT_PLUGIN_ABI, sizeof(sort_plugin_t), "hostile", "1", hostile_sort,
};
