/*
 * Makes system calls whose arguments are known, each of which may fail, in a directory that is
 * empty. Exits with 0.
 *
 *     make_calls DIRECTORY         once each, after faccessat of "/begin"
 *     make_calls garbage SEED      20,000 that fail, with pointers to random memory, or to none
 *     make_calls threads N COUNT   N threads that make COUNT calls of faccessat each, with long names
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { N_DESCRIPTOR = 100 }; /* not open */

static void files(void)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
    char long_name[300];
    int fd;

    syscall(SYS_openat, AT_FDCWD, "missing", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    syscall(SYS_openat, N_DESCRIPTOR,
            "a \"quoted\"\n\t\\name\1\x7f\xff"
            "7",
            O_RDWR | O_NOFOLLOW);
    fd = (int)syscall(SYS_openat, AT_FDCWD, "file", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0640);
    syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how);
    syscall(SYS_lseek, fd, -1L, SEEK_END);
    syscall(SYS_fallocate, fd, 1, 0L, 4096L);
    syscall(SYS_ftruncate, fd, 10L);
    syscall(SYS_flock, fd, LOCK_EX | LOCK_NB);
    syscall(SYS_fchmod, fd, 0600);
    syscall(SYS_fadvise64, fd, 0L, 0L, POSIX_FADV_WILLNEED);
    syscall(SYS_fcntl, fd, F_GETFD);
    syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
    syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 20);
    syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK | O_APPEND);
    syscall(SYS_dup3, fd, 21, O_CLOEXEC);
    syscall(SYS_close, fd);
    syscall(SYS_close_range, 50, 60, 0);
    syscall(SYS_faccessat, AT_FDCWD, "file", R_OK | W_OK);
    syscall(SYS_faccessat2, AT_FDCWD, "file", F_OK, AT_EACCESS);
    syscall(SYS_mkdirat, AT_FDCWD, "directory", 0755);
    syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "directory", RENAME_NOREPLACE);
    syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, "link", AT_SYMLINK_FOLLOW);
    syscall(SYS_symlinkat, "target of it", AT_FDCWD, "symbolic");
    syscall(SYS_fchmodat, AT_FDCWD, "file", 04755);
    syscall(SYS_fchownat, AT_FDCWD, "file", -1, -1, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_mknodat, AT_FDCWD, "fifo", S_IFIFO | 0600, 0);
    syscall(SYS_mknodat, AT_FDCWD, "missing/null", S_IFCHR | 0666, makedev(1, 3));
    syscall(SYS_truncate, "file", 5L);
    syscall(SYS_unlinkat, AT_FDCWD, "link", 0);
    syscall(SYS_unlinkat, AT_FDCWD, "directory", AT_REMOVEDIR);
    syscall(SYS_statx, AT_FDCWD, "missing", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
            &how);
    syscall(SYS_readlinkat, AT_FDCWD, "file", long_name, sizeof long_name);
    syscall(SYS_umount2, "missing", 2 | 8);
    syscall(SYS_getxattr, "missing", "user.name", NULL, 0);
    syscall(SYS_removexattr, "missing", "user.name");
    syscall(SYS_chroot, "missing");
    syscall(SYS_acct, "missing/file");
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    syscall(SYS_openat, AT_FDCWD, long_name, O_PATH);
    syscall(SYS_openat, AT_FDCWD, (char *)1, O_RDONLY);
    syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY);
    syscall(SYS_memfd_create, "name of it", MFD_CLOEXEC);
    syscall(SYS_inotify_add_watch, N_DESCRIPTOR, "file", IN_CREATE | IN_DELETE);
}

static void writing(void)
{
    static const char TEXT[] = "more than thirty-two bytes of text, of which the rest is left out";
    struct iovec parts[2] = { { (void *)(intptr_t)"one", 3 }, { (void *)(intptr_t)TEXT, 40 } };

    syscall(SYS_write, N_DESCRIPTOR, "short\n", 6L);
    syscall(SYS_write, N_DESCRIPTOR, "zero\0and\0\1", 10L);
    syscall(SYS_write, N_DESCRIPTOR, TEXT, sizeof TEXT - 1);
    syscall(SYS_write, N_DESCRIPTOR, TEXT, 32L);
    syscall(SYS_write, N_DESCRIPTOR, TEXT, 0L);
    syscall(SYS_pwrite64, N_DESCRIPTOR, "at", 2L, 4096L);
    syscall(SYS_writev, N_DESCRIPTOR, parts, 2);
}

static void network(void)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "socket in here" };
    struct sockaddr_un abstract = { .sun_family = AF_UNIX, .sun_path = "\0hidden" };
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(1) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(65535) };
    struct iovec part = { (void *)(intptr_t)"text", 4 };
    struct msghdr message = {
        .msg_name = &v4, .msg_namelen = sizeof v4, .msg_iov = &part, .msg_iovlen = 1
    };
    int one = 1;

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    syscall(SYS_close, syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    syscall(SYS_close, syscall(SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_IP));
    syscall(SYS_close, syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0));
    syscall(SYS_connect, N_DESCRIPTOR, &local, sizeof local);
    syscall(SYS_connect, N_DESCRIPTOR, &abstract, offsetof(struct sockaddr_un, sun_path) + 7);
    syscall(SYS_connect, N_DESCRIPTOR, &v4, sizeof v4);
    syscall(SYS_bind, N_DESCRIPTOR, &v6, sizeof v6);
    syscall(SYS_listen, N_DESCRIPTOR, 128);
    syscall(SYS_accept4, N_DESCRIPTOR, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    syscall(SYS_setsockopt, N_DESCRIPTOR, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    syscall(SYS_setsockopt, N_DESCRIPTOR, SOL_TCP, TCP_NODELAY, &one, sizeof one);
    syscall(SYS_sendto, N_DESCRIPTOR, "text", 4L, MSG_NOSIGNAL | MSG_DONTWAIT, &v4, sizeof v4);
    syscall(SYS_sendto, N_DESCRIPTOR, "text", 4L, 0, NULL, 0);
    syscall(SYS_sendmsg, N_DESCRIPTOR, &message, MSG_MORE);
    syscall(SYS_shutdown, N_DESCRIPTOR, SHUT_WR);
}

static void processes(void)
{
    char *const arguments[] = { (char *)(intptr_t)"missing", (char *)(intptr_t)"an argument",
                                NULL };
    char *const environment[] = { (char *)(intptr_t)"A=1", (char *)(intptr_t)"B=2", NULL };

    syscall(SYS_execve, "./missing", arguments, environment);
    syscall(SYS_execveat, AT_FDCWD, "missing", arguments, NULL, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_kill, 0, 0);
    syscall(SYS_kill, INT_MAX, SIGUSR1);
    syscall(SYS_tgkill, INT_MAX, INT_MAX, 40);
    syscall(SYS_wait4, -1, NULL, WNOHANG | WUNTRACED, NULL);
    syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED | WNOWAIT, NULL);
    syscall(SYS_unshare, 0);
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, NULL);
    syscall(SYS_setresuid, -1, -1, -1);
    syscall(SYS_setresgid, -1, 1000000, 0);
    syscall(SYS_umask, 022);
    syscall(SYS_getpid);
}

static void signals(void)
{
    static const uint64_t SETS[] = { 0, 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGCHLD - 1),
                                     ~(1ULL << (SIGKILL - 1) | 1ULL << 39), 7ULL << 32, ~0ULL };
    size_t i;

    for (i = 0; i < sizeof SETS / sizeof *SETS; i++)
        syscall(SYS_signalfd4, N_DESCRIPTOR, &SETS[i], 8L, SFD_CLOEXEC);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &SETS[1], NULL, 8L);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, NULL, 8L);
    syscall(SYS_rt_sigaction, SIGUSR2, NULL, NULL, 8L);
}

static void waiting(void)
{
    struct pollfd polled[2] = { { .fd = N_DESCRIPTOR, .events = POLLIN | POLLPRI }, { .fd = -1 } };
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 7 };
    struct timespec moment = { .tv_sec = 0, .tv_nsec = 1000 }, left = moment;

    syscall(SYS_ppoll, polled, 2, &left, NULL, 8L);
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
    syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    syscall(SYS_epoll_ctl, N_DESCRIPTOR, EPOLL_CTL_DEL, 3, NULL);
    syscall(SYS_epoll_ctl, N_DESCRIPTOR, EPOLL_CTL_ADD, 3, &event);
    syscall(SYS_eventfd2, 3, EFD_CLOEXEC | EFD_NONBLOCK);
    syscall(SYS_timerfd_create, CLOCK_BOOTTIME, TFD_CLOEXEC);
    syscall(SYS_pipe2, NULL, O_CLOEXEC);
    syscall(SYS_getrandom, NULL, 0L, GRND_NONBLOCK);
    syscall(SYS_madvise, NULL, 0L, MADV_DONTNEED);
    syscall(SYS_msync, NULL, 0L, MS_SYNC);
    syscall(SYS_mremap, NULL, 0L, 0L, MREMAP_MAYMOVE);
    syscall(SYS_munmap, NULL, 0L);
    syscall(SYS_mprotect, NULL, 0L, PROT_READ | PROT_WRITE);
    syscall(SYS_sched_yield);
}

static void *look_often(void *count)
{
    char name[400];
    int i;

    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    for (i = 0; i < *(int *)count; i++)
        syscall(SYS_faccessat, AT_FDCWD, name, R_OK);
    return NULL;
}

/* Numbers that are the same for the same seed (xorshift). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* An address in the memory, a small number, any number, or 0. */
static uint64_t random_word(uint64_t *state, char *memory, size_t size)
{
    uint64_t choice = next_random(state) % 5, number = next_random(state);

    return choice < 2    ? (uint64_t)(uintptr_t)(memory + number % size)
           : choice == 2 ? number % 300
           : choice == 3 ? number
                         : 0;
}

static int garbage(uint64_t state)
{
    /* Each with a first argument that it cannot succeed with. */
    static const struct {
        long call, first;
    } CALLS[] = {
        { SYS_connect, -5 },         { SYS_bind, -5 },      { SYS_sendmsg, -5 },
        { SYS_sendto, -5 },          { SYS_writev, -5 },    { SYS_write, -5 },
        { SYS_setsockopt, -5 },      { SYS_epoll_ctl, -5 }, { SYS_fsetxattr, -5 },
        { SYS_clock_nanosleep, 99 }, { SYS_fcntl, -5 },     { SYS_rt_sigprocmask, 77 },
        { SYS_signalfd4, -5 },       { SYS_execve, 0 },     { SYS_inotify_add_watch, -5 },
    };
    enum { SIZE = 61440, PAGE = 4096 };
    uint64_t a[6];
    size_t i, j;
    char *memory =
        mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || munmap(memory + SIZE, PAGE)) /* so that reading on fails */
        return 1;
    state = state * 2654435761U + 1;
    for (i = 0; i < 20000; i++) {
        for (j = 0; j < 16; j++) {
            a[0] = random_word(&state, memory, SIZE);
            memcpy(memory + next_random(&state) % (SIZE - sizeof *a), a, sizeof *a);
        }
        for (j = 0; j < 6; j++)
            a[j] = random_word(&state, memory, SIZE);
        j = next_random(&state) % (sizeof CALLS / sizeof *CALLS);
        if (CALLS[j].call == SYS_signalfd4)
            a[2] = 7; /* no size of a set */
        syscall(CALLS[j].call, CALLS[j].first, a[1], a[2], a[3], a[4], a[5]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static pthread_t threads[1000];
    int i, n, count;

    if (argc == 4 && strcmp(argv[1], "threads") == 0 && (n = atoi(argv[2])) <= 1000) {
        count = atoi(argv[3]);
        for (i = 0; i < n; i++)
            if (pthread_create(&threads[i], NULL, look_often, &count))
                return 1;
        for (i = 0; i < n; i++)
            pthread_join(threads[i], NULL);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "garbage") == 0)
        return garbage((uint64_t)atoi(argv[2]));
    if (argc != 2 || chdir(argv[1]))
        return 2;
    syscall(SYS_faccessat, AT_FDCWD, "/begin", F_OK);
    files();
    writing();
    network();
    processes();
    signals();
    waiting();
    return 0;
}
