#define _GNU_SOURCE
#include "arguments.h"

#include "names.h"
#include "structures.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int creates(uint64_t flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int futex_arguments(uint64_t operation)
{
    switch ((int)operation & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
        return 3;
    case FUTEX_WAIT:
    case FUTEX_LOCK_PI:
        return 4;
    case FUTEX_UNLOCK_PI:
    case FUTEX_TRYLOCK_PI:
        return 2;
    default:
        return 6;
    }
}

static int fcntl_has_value(uint64_t command)
{
    switch (command) {
    case F_GETFD:
    case F_GETFL:
    case F_GETOWN:
    case F_GETSIG:
    case F_GETLEASE:
    case F_GETPIPE_SZ:
    case F_GET_SEALS:
        return 0;
    default:
        return 1;
    }
}

/* Whether the call looks at its argument number `i`. */
static int counts(const struct call *call, int i, const uint64_t *arguments)
{
    switch (call->arguments[i]) {
    case NONE:
        return 0;
    case CREATE_MODE:
        return creates(arguments[i - 1]);
    case FCNTL_VALUE:
        return fcntl_has_value(arguments[i - 1]);
    case DEVICE:
        return (arguments[i - 1] & S_IFMT) == S_IFCHR || (arguments[i - 1] & S_IFMT) == S_IFBLK;
    case REMAP_ADDRESS:
        return (arguments[i - 1] & MREMAP_FIXED) != 0;
    default:
        return call->arguments[1] != FUTEX_OPERATION || i < futex_arguments(arguments[1]);
    }
}

static void put_fcntl_value(struct line *line, uint64_t command, uint64_t value)
{
    switch (command) {
    case F_SETFL:
        put_names(line, OPEN_FLAGS, (uint32_t)value);
        break;
    case F_SETFD:
        put_names(line, FD_FLAGS, (uint32_t)value);
        break;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
    case F_SETOWN:
    case F_SETPIPE_SZ:
        put_number(line, (int32_t)value);
        break;
    default:
        put_address(line, value);
    }
}

static void put_protocol(struct line *line, uint64_t family, uint64_t protocol)
{
    if (family == AF_INET || family == AF_INET6)
        put_names(line, PROTOCOL_OF_IP, (uint32_t)protocol);
    else if (family == AF_NETLINK)
        put_names(line, PROTOCOL_OF_NETLINK, (uint32_t)protocol);
    else
        put_number(line, (int32_t)protocol);
}

static void put_socket_option(struct line *line, uint64_t level, uint64_t option)
{
    enum kind kind = level == SOL_SOCKET ? OPTION_OF_SOCKET
                     : level == 6        ? OPTION_OF_TCP
                     : level == 0        ? OPTION_OF_IP
                     : level == 41       ? OPTION_OF_IPV6
                                         : NONE;

    if (kind == NONE)
        put_number(line, (int32_t)option);
    else
        put_names(line, kind, (uint32_t)option);
}

static void put_argument(const struct view *view, enum kind kind, int i)
{
    struct line *line = view->line;
    uint64_t value = view->arguments[i];
    uint64_t before = i > 0 ? view->arguments[i - 1] : 0;
    uint64_t after = i < 5 ? view->arguments[i + 1] : 0;

    switch (kind) {
    case INT:
        put_number(line, (int32_t)value);
        break;
    case FD:
    case DIR_FD:
        put_descriptor(view, (int32_t)value);
        break;
    case LONG:
        put_number(line, view->is_narrow ? (int32_t)value : (int64_t)value);
        break;
    case SIZE:
        put_unsigned(line, value);
        break;
    case MODE:
    case CREATE_MODE:
        put_octal(line, value & 07777);
        break;
    case FILE_MODE:
        if (value & S_IFMT) {
            put_names(line, FILE_TYPE, value & S_IFMT);
            put_char(line, '|');
        }
        put_octal(line, value & 07777);
        break;
    case ID:
        put_number(line, (uint32_t)value == UINT32_MAX ? -1 : (int64_t)(uint32_t)value);
        break;
    case DEVICE:
        put(line, "makedev(");
        put_hex(line, major(value));
        put(line, ", ");
        put_hex(line, minor(value));
        put_char(line, ')');
        break;
    case ADDRESS:
    case REMAP_ADDRESS:
        put_address(line, value);
        break;
    case PATH:
        put_path(view, value);
        break;
    case STRING:
        put_string(view, value);
        break;
    case BYTES:
        put_memory(view, value, after);
        break;
    case STRINGS:
        put_strings(view, value);
        break;
    case ENVIRONMENT:
        put_environment(view, value);
        break;
    case SOCKADDR:
        put_sockaddr(view, value, after);
        break;
    case MESSAGE:
        put_message(view, value);
        break;
    case BUFFERS:
        put_buffers(view, value, after);
        break;
    case POLL_FDS:
        put_poll_fds(view, value, after);
        break;
    case EPOLL_EVENT:
        put_epoll_event(view, value);
        break;
    case TIME:
        put_time(view, value, view->is_narrow);
        break;
    case TIME64:
        put_time(view, value, 0);
        break;
    case SIGNAL_SET:
        put_signal_set(view, value);
        break;
    case OPEN_HOW:
        put_open_how(view, value, after);
        break;
    case CLONE_ARGS:
        put_clone_args(view, value, after);
        break;
    case OPTION_VALUE:
        put_option_value(view, value, after);
        break;
    case FCNTL_VALUE:
        put_fcntl_value(line, before, value);
        break;
    case PROTOCOL:
        put_protocol(line, view->arguments[0], value);
        break;
    case SOCKET_OPTION:
        put_socket_option(line, before, value);
        break;
    case CLONE_FLAGS:
        put_clone_flags(line, (uint32_t)value);
        break;
    case SIGNAL:
        put_signal(line, (int32_t)value);
        break;
    default:
        if (has_names(kind))
            put_names(line, kind, (uint32_t)value);
        else
            put_hex(line, value);
    }
}

void put_arguments(const struct view *view, const struct call *call)
{
    int i;

    for (i = 0; i < 6 && counts(call, i, view->arguments); i++) {
        if (i > 0)
            put(view->line, ", ");
        put_argument(view, (enum kind)call->arguments[i], i);
    }
}
