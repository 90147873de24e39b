/*
 * Runs a program that may connect only to the given ports of this machine.
 *
 *     connect-guard PORT[,PORT...] -- PROGRAM [ARGUMENT...]
 *
 * Every connect(2) but those to a loopback address and a port on the list fails with EACCES. The
 * supervisor connects the program's own socket to its own copy of the address, so that changing
 * the address after the check changes nothing. Datagrams that are sent without connect(2) are not
 * guarded. Exits like the program.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <unotify.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
} address;

enum { MAX_PORTS = 64, WORKERS = 8 };

static in_port_t ports[MAX_PORTS];
static size_t n_ports;

static const char USAGE[] = "usage: connect-guard PORT[,PORT...] -- PROGRAM [ARGUMENT...]\n"
                            "       connect-guard --help | --version\n";

static int fail(const char *what)
{
    char sentence[256];

    unotify_last_error(sentence, sizeof sentence);
    fprintf(stderr, "connect-guard: %s: %s\n", what, sentence);
    return 1;
}

static int add_ports(const char *list)
{
    char *end;

    for (;; list = end + 1) {
        unsigned long port = strtoul(list, &end, 10);

        if (end == list || port == 0 || port > 65535 || n_ports == MAX_PORTS)
            return -1;
        ports[n_ports++] = htons((in_port_t)port);
        if (*end == '\0')
            return 0;
        if (*end != ',')
            return -1;
    }
}

static int is_allowed(const address *to, size_t length)
{
    in_port_t port;
    size_t i;

    if (length >= sizeof to->v4 && to->any.sa_family == AF_INET &&
        ntohl(to->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
        port = to->v4.sin_port;
    else if (length >= sizeof to->v6 && to->any.sa_family == AF_INET6 &&
             IN6_IS_ADDR_LOOPBACK(&to->v6.sin6_addr))
        port = to->v6.sin6_port;
    else
        return 0;
    for (i = 0; i < n_ports; i++)
        if (ports[i] == port)
            return 1;
    return 0;
}

/* 0, or -1 and errno. */
static int guard(unotify_notification *n)
{
    const uint64_t *args = unotify_notification_request(n)->args;
    size_t length = (uint32_t)args[2];
    address to;
    int socket, result, error;

    memset(&to, 0, sizeof to);
    if (length > sizeof to) {
        errno = EINVAL;
        return -1;
    }
    if (unotify_notification_read(n, args[1], &to, length))
        return -1;
    if (!is_allowed(&to, length)) {
        errno = EACCES;
        return -1;
    }
    if (unotify_notification_get_fd(n, (int)args[0], &socket))
        return -1;
    result = connect(socket, &to.any, (socklen_t)length);
    error = errno;
    close(socket);
    errno = error;
    return result;
}

static int on_connect(unotify_notification *n, void *data)
{
    (void)data;
    /* The answer fails only if the target is gone, and then nobody waits for it. */
    if (guard(n) == 0)
        unotify_notification_reply_value(n, 0);
    else
        unotify_notification_reply_error(n, errno);
    return UNOTIFY_HANDLED;
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
    if (first >= argc || add_ports(argv[1]) != 0) {
        fputs(USAGE, stderr);
        return 2;
    }

    /* A connection may take its time, and others should not wait for it. */
    if (unotify_filter_new(UNOTIFY_ACTION_ALLOW, &filter) ||
        unotify_filter_notify_family(filter, "connect") ||
        unotify_supervisor_new(&UNOTIFY_OPTS(unotify_supervisor_opts, .max_workers = WORKERS),
                               &supervisor) ||
        unotify_supervisor_on(supervisor, "connect", UNOTIFY_HANDLER_BLOCKING, on_connect, NULL))
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
