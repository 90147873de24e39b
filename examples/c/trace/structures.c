#define _GNU_SOURCE
#include "structures.h"

#include "names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* So many elements of an array are shown. */
enum { ELEMENTS_MAX = 32 };

static int read_memory(const struct view *view, uint64_t address, void *buffer, size_t length)
{
    return address != 0 &&
           unotify_notification_read(view->notification, address, buffer, length) == UNOTIFY_OK;
}

int read_words(const struct view *view, uint64_t address, uint64_t *words, size_t count)
{
    uint32_t narrow[16];
    size_t i;

    if (!view->is_narrow)
        return read_memory(view, address, words, count * sizeof *words);
    if (count > 16 || !read_memory(view, address, narrow, count * sizeof *narrow))
        return 0;
    for (i = 0; i < count; i++)
        words[i] = narrow[i];
    return 1;
}

void put_descriptor(const struct view *view, int descriptor)
{
    char link[64], path[PATH_MAX];
    pid_t thread = unotify_notification_request(view->notification)->pid;
    ssize_t length;

    if (descriptor == AT_FDCWD)
        put(view->line, "AT_FDCWD");
    else
        put_number(view->line, descriptor);
    if (!view->with_paths || (descriptor < 0 && descriptor != AT_FDCWD))
        return;
    if (descriptor == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%ld/cwd", (long)thread);
    else
        snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)thread, descriptor);
    length = readlink(link, path, sizeof path);
    /* While its call is pending the thread's number is not another one's. */
    if (length < 0 || unotify_notification_check_valid(view->notification))
        return;
    put_char(view->line, '<');
    put_escaped(view->line, path, (size_t)length);
    put_char(view->line, '>');
}

static void put_text(const struct view *view, uint64_t address, size_t limit)
{
    char text[PATH_MAX + 1];
    size_t length;
    unotify_status status;

    if (address == 0) {
        put(view->line, "NULL");
        return;
    }
    status =
        unotify_notification_read_string(view->notification, address, text, limit + 1, &length);
    if (status == UNOTIFY_OK)
        put_quoted(view->line, text, length, 0);
    else if (status == UNOTIFY_ERR_TOO_LONG && read_memory(view, address, text, limit))
        put_quoted(view->line, text, limit, 1);
    else
        put_address(view->line, address);
}

void put_path(const struct view *view, uint64_t address)
{
    put_text(view, address, PATH_MAX);
}

void put_string(const struct view *view, uint64_t address)
{
    put_text(view, address, view->string_limit);
}

void put_memory(const struct view *view, uint64_t address, uint64_t length)
{
    char bytes[STRING_MAX];
    size_t shown = length < view->string_limit ? (size_t)length : view->string_limit;

    if (address != 0 && shown == 0)
        put(view->line, length > 0 ? "\"\"..." : "\"\"");
    else if (read_memory(view, address, bytes, shown))
        put_quoted(view->line, bytes, shown, shown < length);
    else
        put_address(view->line, address);
}

void put_strings(const struct view *view, uint64_t address)
{
    uint64_t element[1];
    size_t i, word = view->is_narrow ? 4 : 8;

    if (!read_words(view, address, element, 1)) {
        put_address(view->line, address);
        return;
    }
    put_char(view->line, '[');
    for (i = 0; read_words(view, address + i * word, element, 1) && element[0] != 0; i++) {
        if (i > 0)
            put(view->line, ", ");
        if (i == ELEMENTS_MAX) {
            put(view->line, "...");
            break;
        }
        put_string(view, element[0]);
    }
    put_char(view->line, ']');
}

void put_environment(const struct view *view, uint64_t address)
{
    uint64_t pointers[1024];
    size_t count;

    put_address(view->line, address);
    if (address != 0 && unotify_notification_read_pointers(view->notification, address, pointers,
                                                           1024, &count) == UNOTIFY_OK) {
        put(view->line, " /* ");
        put_unsigned(view->line, count);
        put(view->line, count == 1 ? " var */" : " vars */");
    }
}

static void put_unix_address(const struct view *view, const struct sockaddr_un *address,
                             size_t length)
{
    const char *path = address->sun_path;

    if (length == 0)
        return;
    put(view->line, ", sun_path=");
    if (path[0] == 0 && length > 1) { /* abstract: all bytes count */
        put_char(view->line, '@');
        put_quoted(view->line, path + 1, length - 1, 0);
    } else {
        put_quoted(view->line, path, strnlen(path, length), 0);
    }
}

void put_sockaddr(const struct view *view, uint64_t address, uint64_t length)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_nl netlink;
        char bytes[sizeof(struct sockaddr_storage)];
    } is;
    const size_t family_length = sizeof is.any.sa_family;
    struct line *line = view->line;
    char text[INET6_ADDRSTRLEN] = "";
    size_t size = (uint32_t)length < sizeof is ? (uint32_t)length : sizeof is;

    memset(&is, 0, sizeof is);
    if (size < family_length || !read_memory(view, address, &is, size)) {
        put_address(line, address);
        return;
    }
    put(line, "{sa_family=");
    put_names(line, SOCKET_FAMILY, is.any.sa_family);
    if (is.any.sa_family == AF_UNIX) {
        size -= family_length;
        put_unix_address(view, &is.local,
                         size < sizeof is.local.sun_path ? size : sizeof is.local.sun_path);
    } else if (is.any.sa_family == AF_INET && size >= sizeof is.v4) {
        put(line, ", sin_port=htons(");
        put_unsigned(line, ntohs(is.v4.sin_port));
        put(line, "), sin_addr=inet_addr(\"");
        put(line, inet_ntop(AF_INET, &is.v4.sin_addr, text, sizeof text));
        put(line, "\")");
    } else if (is.any.sa_family == AF_INET6 && size >= sizeof is.v6 - 4) {
        put(line, ", sin6_port=htons(");
        put_unsigned(line, ntohs(is.v6.sin6_port));
        put(line, "), sin6_flowinfo=htonl(");
        put_unsigned(line, ntohl(is.v6.sin6_flowinfo));
        put(line, "), inet_pton(AF_INET6, \"");
        put(line, inet_ntop(AF_INET6, &is.v6.sin6_addr, text, sizeof text));
        put(line, "\", &sin6_addr), sin6_scope_id=");
        put_unsigned(line, is.v6.sin6_scope_id);
    } else if (is.any.sa_family == AF_NETLINK && size >= sizeof is.netlink) {
        put(line, ", nl_pid=");
        put_number(line, (int32_t)is.netlink.nl_pid);
        put(line, ", nl_groups=");
        put_hex(line, is.netlink.nl_groups);
    } else if (size > family_length) {
        put(line, ", sa_data=");
        put_quoted(line, is.bytes + family_length, size - family_length, 0);
    }
    put_char(line, '}');
}

void put_buffers(const struct view *view, uint64_t address, uint64_t count)
{
    uint64_t buffer[2];
    uint64_t i, size = view->is_narrow ? 8 : 16;
    struct line *line = view->line;

    if (count > 0 && !read_words(view, address, buffer, 2)) {
        put_address(line, address);
        return;
    }
    put_char(line, '[');
    for (i = 0; i < count && read_words(view, address + i * size, buffer, 2); i++) {
        if (i > 0)
            put(line, ", ");
        if (i == ELEMENTS_MAX) {
            put(line, "...");
            break;
        }
        put(line, "{iov_base=");
        put_memory(view, buffer[0], buffer[1]);
        put(line, ", iov_len=");
        put_unsigned(line, buffer[1]);
        put_char(line, '}');
    }
    put_char(line, ']');
}

void put_message(const struct view *view, uint64_t address)
{
    enum { NAME, NAME_LENGTH, BUFFERS_AT, N_BUFFERS, CONTROL, CONTROL_LENGTH, FLAGS, FIELDS };
    uint64_t field[FIELDS];
    struct line *line = view->line;

    /* Each field has a word of its own, if it is padded to that. */
    if (!read_words(view, address, field, FIELDS)) {
        put_address(line, address);
        return;
    }
    put(line, "{msg_name=");
    put_sockaddr(view, field[NAME], field[NAME_LENGTH]);
    put(line, ", msg_namelen=");
    put_number(line, (int32_t)field[NAME_LENGTH]);
    put(line, ", msg_iov=");
    put_buffers(view, field[BUFFERS_AT], field[N_BUFFERS]);
    put(line, ", msg_iovlen=");
    put_unsigned(line, field[N_BUFFERS]);
    if (field[CONTROL_LENGTH] > 0) {
        put(line, ", msg_control=");
        put_address(line, field[CONTROL]);
    }
    put(line, ", msg_controllen=");
    put_unsigned(line, field[CONTROL_LENGTH]);
    put(line, ", msg_flags=");
    put_names(line, MESSAGE_FLAGS, (uint32_t)field[FLAGS]);
    put_char(line, '}');
}

void put_poll_fds(const struct view *view, uint64_t address, uint64_t count)
{
    struct pollfd polled[ELEMENTS_MAX];
    size_t i, shown = (uint32_t)count < ELEMENTS_MAX ? (uint32_t)count : ELEMENTS_MAX;
    struct line *line = view->line;

    if (shown > 0 && !read_memory(view, address, polled, shown * sizeof *polled)) {
        put_address(line, address);
        return;
    }
    put_char(line, '[');
    for (i = 0; i < shown; i++) {
        put(line, i > 0 ? ", {fd=" : "{fd=");
        put_descriptor(view, polled[i].fd);
        if (polled[i].fd >= 0) {
            put(line, ", events=");
            put_names(line, POLL_EVENTS, (uint16_t)polled[i].events);
        }
        put_char(line, '}');
    }
    put(line, shown < (uint32_t)count ? ", ...]" : "]");
}

void put_epoll_event(const struct view *view, uint64_t address)
{
    struct {
        uint32_t events;
#if !defined __x86_64__ && !defined __i386__
        uint32_t padding;
#endif
        uint32_t data[2]; /* in the order of the processor's bytes */
    } event;
    uint64_t data;
    struct line *line = view->line;

    if (!read_memory(view, address, &event, sizeof event)) {
        put_address(line, address);
        return;
    }
    memcpy(&data, event.data, sizeof data);
    put(line, "{events=");
    put_names(line, EPOLL_EVENTS, event.events);
    put(line, ", data=");
    put_hex(line, data);
    put_char(line, '}');
}

void put_time(const struct view *view, uint64_t address, int is_narrow)
{
    struct view as = *view;
    uint64_t field[2];

    as.is_narrow = is_narrow;
    if (!read_words(&as, address, field, 2)) {
        put_address(view->line, address);
        return;
    }
    put(view->line, "{tv_sec=");
    put_number(view->line, is_narrow ? (int32_t)field[0] : (int64_t)field[0]);
    put(view->line, ", tv_nsec=");
    put_number(view->line, is_narrow ? (int32_t)field[1] : (int64_t)field[1]);
    put_char(view->line, '}');
}

/* The name begins with SIG, or after that. */
static void put_signal_from(struct line *line, int signal, size_t begin)
{
    const char *name = name_of(SIGNAL, (uint64_t)signal);

    if (name) {
        put(line, name + begin);
    } else if (signal > 32 && signal <= 64) {
        put(line, &"SIGRT_"[begin]);
        put_number(line, signal - 32);
    } else {
        put_number(line, signal);
    }
}

void put_signal(struct line *line, int signal)
{
    put_signal_from(line, signal, 0);
}

void put_signal_set(const struct view *view, uint64_t address)
{
    struct line *line = view->line;
    uint64_t set;
    int signal, members = 0, is_first = 1;

    if (!read_memory(view, address, &set, sizeof set)) {
        put_address(line, address);
        return;
    }
    for (signal = 0; signal < 64; signal++)
        members += (int)(set >> signal & 1);
    if (members > 42) { /* It is shorter to say which are missing. */
        put_char(line, '~');
        set = ~set;
    }
    put_char(line, '[');
    for (signal = 1; signal <= 64; signal++) {
        if (!(set >> (signal - 1) & 1))
            continue;
        if (!is_first)
            put_char(line, ' ');
        is_first = 0;
        put_signal_from(line, signal, strlen("SIG"));
    }
    put_char(line, ']');
}

void put_open_how(const struct view *view, uint64_t address, uint64_t size)
{
    uint64_t how[3]; /* struct open_how, which has the same layout everywhere */
    struct line *line = view->line;

    if (size < sizeof how || !read_memory(view, address, how, sizeof how)) {
        put_address(line, address);
        return;
    }
    put(line, "{flags=");
    put_names(line, OPEN_FLAGS, how[0]);
    if (how[1] != 0 || (how[0] & O_CREAT)) {
        put(line, ", mode=");
        put_octal(line, how[1]);
    }
    put(line, ", resolve=");
    put_names(line, RESOLVE_FLAGS, how[2]);
    put_char(line, '}');
}

void put_clone_flags(struct line *line, uint64_t flags)
{
    uint64_t bits = flags & ~(uint64_t)0xff;

    if (bits)
        put_names(line, CLONE_FLAGS, bits);
    if (bits && (flags & 0xff))
        put_char(line, '|');
    if (!bits || (flags & 0xff))
        put_signal(line, (int)(flags & 0xff));
}

void put_clone_args(const struct view *view, uint64_t address, uint64_t size)
{
    static const char *const FIELDS[] = { "flags",       "pidfd", "child_tid",  "parent_tid",
                                          "exit_signal", "stack", "stack_size", "tls" };
    uint64_t field[8]; /* struct clone_args, which has the same layout everywhere */
    struct line *line = view->line;
    size_t i;

    if (size < sizeof field || !read_memory(view, address, field, sizeof field)) {
        put_address(line, address);
        return;
    }
    for (i = 0; i < 8; i++) {
        if (i > 0 && field[i] == 0 && i != 4)
            continue;
        put(line, i > 0 ? ", " : "{");
        put(line, FIELDS[i]);
        put_char(line, '=');
        if (i == 0)
            put_names(line, CLONE_FLAGS, field[i]);
        else if (i == 4)
            put_signal(line, (int)field[i]);
        else
            put_hex(line, field[i]);
    }
    put_char(line, '}');
}

void put_option_value(const struct view *view, uint64_t address, uint64_t length)
{
    int32_t number;

    if ((uint32_t)length != sizeof number) {
        put_memory(view, address, (uint32_t)length);
    } else if (read_memory(view, address, &number, sizeof number)) {
        put_char(view->line, '[');
        put_number(view->line, number);
        put_char(view->line, ']');
    } else {
        put_address(view->line, address);
    }
}
