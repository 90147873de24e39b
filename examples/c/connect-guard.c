/*
 * Runs a program that may connect only to the given ports and Unix sockets of this machine.
 *
 *     connect-guard WHERE[,WHERE...] -- PROGRAM [ARGUMENT...]
 *
 * WHERE is the number of a port, or the path of a Unix socket, which begins with a slash:
 *
 *     connect-guard 5432,/run/postgresql/.s.PGSQL.5432 -- psql -h localhost
 *
 * Every connect(2) but those to a loopback address and a port on the list, or to a socket on it,
 * fails with EACCES; AF_UNSPEC, which takes a connection away, does not. The supervisor connects the
 * program's own socket to its own copy of the address, so that changing the address after the check
 * changes nothing; that of a Unix socket is decided on the socket that the program's path has led
 * to. One that waits is waited for without the supervisor, and signals interrupt it as usual.
 * Datagrams that are sent without connect(2) are not guarded. Exits like the program.
 *
 * 32-bit x86 programs make their calls on sockets by socketcall(2), with the arguments in memory,
 * where a filter does not see whether sendto(2) and sendmsg(2) are to connect on their way
 * (MSG_FASTOPEN). These two fail there with EOPNOTSUPP; send(2) and write(2) do not.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <unotify.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
} address;

enum { MAX = 64, V6_LENGTH = offsetof(struct sockaddr_in6, sin6_scope_id) };

static in_port_t ports[MAX];
static const char *paths[MAX];
static size_t n_ports, n_paths;

static const char USAGE[] = "usage: connect-guard WHERE[,WHERE...] -- PROGRAM [ARGUMENT...]\n"
                            "       connect-guard --help | --version\n"
                            "WHERE is a port, or the path of a Unix socket from / on\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "connect-guard: %s: %s\n", what, sentence);
    return 1;
}

/* Takes the list apart. */
static int add(char *list)
{
    char *where, *end;

    for (where = strtok(list, ","); where; where = strtok(NULL, ",")) {
        unsigned long port = strtoul(where, &end, 10);

        if (n_ports == MAX || n_paths == MAX)
            return -1;
        if (where[0] == '/')
            paths[n_paths++] = where;
        else if (*end == '\0' && port > 0 && port <= 65535)
            ports[n_ports++] = htons((in_port_t)port);
        else
            return -1;
    }
    return n_ports + n_paths > 0 ? 0 : -1;
}

static int is_listed(in_port_t port)
{
    size_t i;

    for (i = 0; i < n_ports; i++)
        if (ports[i] == port)
            return 1;
    return 0;
}

/* The wildcard is the machine itself, for who connects. */
static int is_here(uint32_t v4)
{
    return ntohl(v4) >> 24 == IN_LOOPBACKNET || v4 == htonl(INADDR_ANY);
}

static int is_allowed(const address *to, size_t length)
{
    uint32_t v4;

    if (length < sizeof to->any.sa_family)
        return 1; /* The kernel refuses it. */
    switch (to->any.sa_family) {
    case AF_UNSPEC:
        return 1;
    case AF_INET:
        return length >= sizeof to->v4 && is_here(to->v4.sin_addr.s_addr) &&
               is_listed(to->v4.sin_port);
    case AF_INET6:
        if (length < V6_LENGTH || !is_listed(to->v6.sin6_port))
            return 0;
        memcpy(&v4, to->v6.sin6_addr.s6_addr + 12, sizeof v4);
        return IN6_IS_ADDR_LOOPBACK(&to->v6.sin6_addr) ||
               IN6_IS_ADDR_UNSPECIFIED(&to->v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&to->v6.sin6_addr) && is_here(v4));
    default:
        return 0;
    }
}

/* Whether it is the very socket that one of the paths leads to now. */
static int is_allowed_socket(int file)
{
    struct stat theirs, ours;
    size_t i;

    if (fstat(file, &theirs) != 0)
        return 0;
    for (i = 0; i < n_paths; i++)
        if (stat(paths[i], &ours) == 0 && ours.st_dev == theirs.st_dev &&
            ours.st_ino == theirs.st_ino)
            return 1;
    return 0;
}

/* UNOTIFY_OK when it was answered, or will be; else errno says what to answer. */
static unotify_status guard(unotify_notification *n, int fd, uint64_t place, uint32_t length)
{
    unotify_status status;
    address to;
    int file = -1, allowed;

    memset(&to, 0, sizeof to);
    if (length > sizeof to) {
        errno = EINVAL;
        return UNOTIFY_ERR_INVALID_ARGUMENT;
    }
    status = unotify_notification_read(n, place, &to, length);
    if (status)
        return status;
    if (to.any.sa_family == AF_UNIX) {
        /* One without a path is an error too. */
        status = unotify_notification_open_socket(n, &to, length, &file);
        if (status && errno != EINVAL)
            return status;
        allowed = !status && is_allowed_socket(file);
    } else {
        allowed = is_allowed(&to, length);
    }
    if (allowed) {
        status = unotify_notification_reply_connect(n, fd, &to, length, file);
    } else {
        status = UNOTIFY_ERR_PERMISSION;
        errno = EACCES;
    }
    if (file >= 0) {
        int error = errno;

        close(file);
        errno = error;
    }
    return status;
}

static int on_connect(unotify_notification *n, void *data)
{
    const uint64_t *args = unotify_notification_request(n)->args;

    (void)data;
    /* The answer fails only if the target is gone, and then nobody waits for it. */
    if (guard(n, (int)args[0], args[1], (uint32_t)args[2]))
        unotify_notification_reply_error(n, errno);
    return UNOTIFY_HANDLED;
}

/* The arguments are read once. Which call it is, is not in memory. */
static int on_socketcall(unotify_notification *n, void *data)
{
    const unotify_request *request = unotify_notification_request(n);
    uint32_t narrow[3];
    uint64_t wide[3];
    int is_wide = request->arch == unotify_arch_native() && sizeof(long) == sizeof *wide;

    (void)data;
    if ((uint32_t)request->args[0] != SYS_CONNECT)
        return UNOTIFY_NOT_HANDLED;
    if (unotify_notification_read(n, request->args[1], is_wide ? (void *)wide : narrow,
                                  is_wide ? sizeof wide : sizeof narrow) ||
        (is_wide ? guard(n, (int)wide[0], wide[1], (uint32_t)wide[2])
                 : guard(n, (int)narrow[0], narrow[1], narrow[2])))
        unotify_notification_reply_error(n, errno);
    return UNOTIFY_HANDLED;
}

/* Refuses to connect by sending, where the family cannot as the flags are in memory. */
static unotify_status refuse_to_send(unotify_filter *filter)
{
    static const struct {
        const char *name;
        uint32_t number, flags;
    } SENDS[] = { { "sendto", SYS_SENDTO, 3 },
                  { "sendmsg", SYS_SENDMSG, 2 },
                  { "sendmmsg", SYS_SENDMMSG, 3 } };
    const uint32_t refused = UNOTIFY_ACTION_ERRNO(EOPNOTSUPP);
    unotify_status status = UNOTIFY_OK;
    size_t i;

    for (i = 0; !status && i < sizeof SENDS / sizeof *SENDS; i++) {
        unotify_arg_compare is_it = { 0, UNOTIFY_COMPARE_EQUAL, SENDS[i].number, 0 };
        unotify_arg_compare is_fast = { SENDS[i].flags, UNOTIFY_COMPARE_MASKED_EQUAL, MSG_FASTOPEN,
                                        MSG_FASTOPEN };

        status = unotify_filter_add_rule(filter, refused, "socketcall", &is_it, 1);
        if (!status) /* and by its own number, which newer kernels have as well */
            status = unotify_filter_add_rule(filter, refused, SENDS[i].name, &is_fast, 1);
    }
    return status == UNOTIFY_ERR_UNKNOWN_SYSCALL ? UNOTIFY_OK : status; /* no socketcall here */
}

int main(int argc, char **argv)
{
    unotify_filter *filter;
    unotify_supervisor *supervisor;
    int wstatus, first = 2;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(USAGE, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("connect-guard of libunotify %s\n", unotify_version()) < 0;
    if (argc > 2 && strcmp(argv[2], "--") == 0)
        first = 3;
    if (first >= argc || add(argv[1]) != 0) {
        fputs(USAGE, stderr);
        return 2;
    }

    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_add_arch(filter, unotify_arch_compat()) || /* 32-bit programs too */
        unotify_filter_notify_family(filter, "connect") || refuse_to_send(filter) ||
        unotify_supervisor_new(NULL, &supervisor) ||
        unotify_supervisor_on(supervisor, "connect", 0, on_connect, NULL) ||
        unotify_supervisor_on(supervisor, "socketcall", 0, on_socketcall, NULL))
        return fail("set up");

    if (unotify_supervisor_stand_in_for(
            supervisor, filter, argv[first], argv + first, NULL,
            &UNOTIFY_OPTS(unotify_spawn_opts, .flags = UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH),
            &wstatus)) {
        int error = errno;

        fail(argv[first]);
        return error == ENOENT ? 127 : 126;
    }
    unotify_supervisor_free(supervisor);
    unotify_filter_free(filter);
    unotify_exit_like(wstatus);
}
