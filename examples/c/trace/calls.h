/* The system calls: which arguments each has, and which it is counted among. */
#ifndef CALLS_H
#define CALLS_H

#include <stddef.h>

/* How an argument is shown. */
enum kind {
    NONE, /* There are no more. */

    /* Numbers */
    INT,       /* 32 bits with a sign */
    FD,        /* a descriptor */
    DIR_FD,    /* one of a directory, or AT_FDCWD */
    LONG,      /* as wide as the target's words, with a sign */
    SIZE,      /* as wide, without */
    HEX,       /* in hexadecimal */
    MODE,      /* permissions, in octal */
    FILE_MODE, /* the same with the type of a file */
    ID,        /* a user or group; -1 for none */
    ADDRESS,   /* of what is not shown */

    /* What the target has in its memory */
    PATH,
    STRING,      /* text, shown as far as -s says */
    BYTES,       /* as many as the next argument says */
    STRINGS,     /* an array of strings that ends with NULL */
    ENVIRONMENT, /* the same, counted */
    SOCKADDR,    /* of the length that the next argument says */
    MESSAGE,     /* a struct msghdr */
    BUFFERS,     /* as many struct iovec as the next argument says */
    POLL_FDS,    /* as many struct pollfd as the next argument says */
    EPOLL_EVENT,
    TIME,   /* a struct timespec */
    TIME64, /* with 64 bits for each field, also on 32-bit architectures */
    SIGNAL_SET,
    OPEN_HOW,
    CLONE_ARGS,
    OPTION_VALUE, /* of a socket, as long as the next argument says */

    /* What depends on the argument before */
    CREATE_MODE,   /* only there when these flags create a file */
    DEVICE,        /* its numbers, if this is the mode of one */
    FCNTL_VALUE,   /* of this command */
    REMAP_ADDRESS, /* only there when it is fixed */
    PROTOCOL,      /* of a socket of the domain before the type */
    SOCKET_OPTION, /* at this level */

    /* Names: see names.c */
    OPEN_FLAGS,
    AT_FLAGS,
    STATX_FLAGS,
    ACCESS_AT_FLAGS,
    ACCESS_MODE,
    UNLINK_FLAGS,
    RENAME_FLAGS,
    STATX_MASK,
    FILE_TYPE,
    WHENCE,
    FLOCK_OPERATION,
    PIPE_FLAGS,
    CLOSE_RANGE_FLAGS,
    FCNTL_COMMAND,
    FD_FLAGS,
    IOCTL_COMMAND,
    MOUNT_FLAGS,
    UMOUNT_FLAGS,
    XATTR_FLAGS,
    FALLOCATE_MODE,
    ADVICE,
    SOCKET_FAMILY,
    SOCKET_TYPE,
    SOCKET_LEVEL,
    ACCEPT_FLAGS,
    SHUTDOWN_HOW,
    MESSAGE_FLAGS,
    EPOLL_FLAGS,
    EPOLL_OPERATION,
    EVENTFD_FLAGS,
    SIGNALFD_FLAGS,
    TIMERFD_FLAGS,
    INOTIFY_FLAGS,
    INOTIFY_MASK,
    MEMFD_FLAGS,
    RANDOM_FLAGS,
    PROTECTION,
    MAP_FLAGS,
    REMAP_FLAGS,
    SYNC_FLAGS,
    MEMORY_ADVICE,
    CLONE_FLAGS,
    NAMESPACES,
    WAIT_OPTIONS,
    WAIT_FOR,
    SIGNAL,
    MASK_HOW,
    FUTEX_OPERATION,
    CLOCK,
    TIMER_FLAGS,
    RESOURCE,
    USAGE_OF,
    PRIORITY_OF,
    SCHEDULER,
    PRCTL_OPTION,
    ARCH_CODE,
    RESOLVE_FLAGS,
    POLL_EVENTS,
    EPOLL_EVENTS,
    PROTOCOL_OF_IP,
    PROTOCOL_OF_NETLINK,
    OPTION_OF_SOCKET,
    OPTION_OF_TCP,
    OPTION_OF_IP,
    OPTION_OF_IPV6,
    KINDS
};

/* What %file, %network and %process are made of. */
enum { FILES = 1, NETWORK = 2, PROCESS = 4 };

struct call {
    const char *name;
    int sets;
    unsigned char arguments[7]; /* an enum kind each, ended by NONE */
};

/* The calls that are known by the kinds of their arguments, in alphabetical order. */
extern const struct call CALLS[];
extern const size_t N_CALLS;

/* The call of this name, on an architecture of 32 bits if it is narrow. Of what is not in CALLS
 * only the number of arguments is known, or not even that: six are shown then, in hexadecimal.
 * Never NULL. */
const struct call *call_by_name(const char *name, int is_narrow);

/* The calls that i386 makes by socketcall(2), by its first argument; NULL beyond them. */
const char *socket_call_name(unsigned long number);

#endif
