/*
 * What the Go package calls. The sentence of a failure is the thread's, and a goroutine's next call may be made on
 * another thread; so each of these brings back all that a call gave: status, errno, sentence, and result.
 */
#ifndef UNOTIFY_GO_SHIM_H
#define UNOTIFY_GO_SHIM_H

#include <errno.h>
#include <stdlib.h>
#include <unotify.h>

/* Of agent_log.go. A handle of Go's is no pointer to Go. */
void shim_agent_log(char *sentence, uintptr_t handle);

/* Without a pointer, as Go does more for those: shim_pointer() makes them. */
typedef struct {
    int32_t status;
    int32_t errnum;
    int32_t replied;    /* of shim_reply_receive() */
    uintptr_t sentence; /* 0 on success, otherwise to be freed */
    uintptr_t handle;
    int64_t value;
} shim_result;

static inline void *shim_pointer(uintptr_t pointer)
{
    return (void *)pointer;
}

/* What `status`, which the last call on this thread gave, comes to. */
static inline shim_result shim_failed(int32_t status)
{
    shim_result result = { .status = status, .errnum = errno };
    size_t length = unotify_last_error(NULL, 0);

    char *sentence = malloc(length + 1);

    if (sentence)
        unotify_last_error(sentence, length + 1);
    result.sentence = (uintptr_t)sentence;
    return result;
}

static inline shim_result shim_done(int32_t status, void *handle, int64_t value)
{
    if (status != UNOTIFY_OK)
        return shim_failed(status);
    return (shim_result){ .handle = (uintptr_t)handle, .value = value };
}

#define SHIM(call) return shim_done((call), NULL, 0)
#define SHIM_HANDLE(type, call) \
    type *out = NULL;           \
    int32_t status = (call);    \
    return shim_done(status, out, 0)
#define SHIM_VALUE(type, call) \
    type out = 0;              \
    int32_t status = (call);   \
    return shim_done(status, NULL, (int64_t)out)

/* ---- names ---- */

static inline shim_result shim_arch_from_name(const char *name)
{
    SHIM_VALUE(uint32_t, unotify_arch_from_name(name, &out));
}

static inline shim_result shim_syscall_from_name(uint32_t arch, const char *name)
{
    SHIM_VALUE(int, unotify_syscall_from_name(arch, name, &out));
}

static inline shim_result shim_syscall_name(uint32_t arch, int nr, char *buf, size_t len)
{
    SHIM(unotify_syscall_name(arch, nr, buf, len));
}

/* ---- filter ---- */

static inline shim_result shim_filter_new(uint32_t action)
{
    SHIM_HANDLE(unotify_filter, unotify_filter_new(action, &out));
}

static inline shim_result shim_filter_add_arch(unotify_filter *filter, uint32_t arch)
{
    SHIM(unotify_filter_add_arch(filter, arch));
}

static inline shim_result shim_filter_add_rule(unotify_filter *filter, uint32_t action,
                                               const char *name,
                                               const unotify_arg_compare *conditions, size_t n)
{
    SHIM(unotify_filter_add_rule(filter, action, name, conditions, n));
}

static inline shim_result shim_filter_notify_family(unotify_filter *filter, const char *family)
{
    SHIM(unotify_filter_notify_family(filter, family));
}

/* The program in memory to be freed, and its length. */
static inline shim_result shim_filter_export_bpf(const unotify_filter *filter)
{
    size_t length = 0;
    void *program;
    int32_t status = unotify_filter_export_bpf(filter, NULL, &length);

    if (status != UNOTIFY_OK && length == 0)
        return shim_failed(status);
    program = malloc(length);
    status = unotify_filter_export_bpf(filter, program, &length);
    if (status != UNOTIFY_OK)
        free(program);
    return shim_done(status, program, (int64_t)length);
}

static inline shim_result shim_filter_export_pfc(const unotify_filter *filter, int fd)
{
    SHIM(unotify_filter_export_pfc(filter, fd));
}

static inline shim_result shim_filter_load(const unotify_filter *filter, uint32_t flags)
{
    unotify_load_opts opts = { .size = sizeof opts, .flags = flags };
    SHIM_HANDLE(unotify_listener, unotify_filter_load(filter, &opts, &out));
}

/* ---- listener ---- */

static inline shim_result shim_listener_from_fd(int fd)
{
    SHIM_HANDLE(unotify_listener, unotify_listener_from_fd(fd, &out));
}

static inline shim_result shim_listener_from_pid(pid_t pid, int fd)
{
    SHIM_HANDLE(unotify_listener, unotify_listener_from_pid(pid, fd, &out));
}

static inline shim_result shim_listener_from_socket(int socket)
{
    SHIM_HANDLE(unotify_listener, unotify_listener_from_socket(socket, &out));
}

static inline shim_result shim_listener_to_socket(const unotify_listener *listener, int socket)
{
    SHIM(unotify_listener_to_socket(listener, socket));
}

static inline shim_result shim_listener_watch_child(unotify_listener *listener, int pidfd)
{
    SHIM(unotify_listener_watch_child(listener, pidfd));
}

static inline shim_result shim_listener_set_sync_wake_up(unotify_listener *listener, int on)
{
    SHIM(unotify_listener_set_sync_wake_up(listener, on));
}

static inline shim_result shim_listener_set_fallback_error(unotify_listener *listener, int errnum)
{
    SHIM(unotify_listener_set_fallback_error(listener, errnum));
}

/*
 * What is called again and again takes handles as numbers, which Go does not look into, and gives 0 when all went well,
 * and otherwise where the result is, for shim_take().
 */
static inline uintptr_t shim_put(shim_result result)
{
    shim_result *kept = malloc(sizeof *kept);

    if (!kept)
        abort();
    *kept = result;
    return (uintptr_t)kept;
}

static inline shim_result shim_take(uintptr_t kept)
{
    shim_result result = *(shim_result *)kept;

    free((void *)kept);
    return result;
}

static inline uintptr_t shim_receive(uintptr_t listener, uintptr_t handle, int timeout_ms)
{
    unotify_notification *notification = (unotify_notification *)handle;
    int32_t status =
        unotify_listener_receive((unotify_listener *)listener, timeout_ms, &notification);

    return status == UNOTIFY_OK ? 0 : shim_put(shim_failed(status));
}

static inline int32_t shim_answer(uintptr_t handle, uint32_t reply, int64_t value)
{
    unotify_notification *notification = (unotify_notification *)handle;

    switch (reply) {
    case UNOTIFY_REPLY_VALUE:
        return unotify_notification_reply_value(notification, value);
    case UNOTIFY_REPLY_ERROR:
        return unotify_notification_reply_error(notification, (int)value);
    default:
        return unotify_notification_reply_continue(notification);
    }
}

static inline uintptr_t shim_reply(uintptr_t notification, uint32_t reply, int64_t value)
{
    int32_t status = shim_answer(notification, reply, value);

    return status == UNOTIFY_OK ? 0 : shim_put(shim_failed(status));
}

/* Both in one call from Go, which costs more than what else is done for either. */
static inline uintptr_t shim_reply_receive(uintptr_t listener, uintptr_t handle, uint32_t reply,
                                           int64_t value, int timeout_ms)
{
    unotify_notification *notification = (unotify_notification *)handle;
    int32_t replied = shim_answer(handle, reply, value), status;
    shim_result result = { 0 };

    if (replied != UNOTIFY_OK) {
        result = shim_failed(replied);
        result.replied = replied;
        if (replied != UNOTIFY_ERR_GONE && replied != UNOTIFY_ERR_ANSWERED)
            return shim_put(result);
    }
    status = unotify_listener_receive((unotify_listener *)listener, timeout_ms, &notification);
    if (status != UNOTIFY_OK) {
        free((void *)result.sentence);
        result = shim_failed(status);
        result.replied = replied;
    } else if (replied == UNOTIFY_OK) {
        return 0;
    } else {
        result.status = UNOTIFY_OK; /* The sentence is the answer's. */
    }
    return shim_put(result);
}

/* ---- notification ---- */

static inline shim_result shim_notification_new(void)
{
    SHIM_HANDLE(unotify_notification, unotify_notification_new(&out));
}

static inline shim_result shim_check_valid(unotify_notification *notification)
{
    SHIM(unotify_notification_check_valid(notification));
}

static inline shim_result shim_reply_fd(unotify_notification *notification, int fd, int flags)
{
    SHIM(unotify_notification_reply_fd(notification, fd, flags));
}

static inline shim_result shim_reply_interrupted(unotify_notification *notification)
{
    SHIM_VALUE(int, unotify_notification_reply_interrupted(notification, &out));
}

/* ---- target: memory, descriptors ---- */

static inline shim_result shim_read(unotify_notification *notification, uint64_t addr, void *buf,
                                    size_t len)
{
    SHIM(unotify_notification_read(notification, addr, buf, len));
}

static inline shim_result shim_write(unotify_notification *notification, uint64_t addr,
                                     const void *buf, size_t len)
{
    SHIM(unotify_notification_write(notification, addr, buf, len));
}

static inline shim_result shim_read_string(unotify_notification *notification, uint64_t addr,
                                           char *buf, size_t cap)
{
    SHIM_VALUE(size_t, unotify_notification_read_string(notification, addr, buf, cap, &out));
}

static inline shim_result shim_read_pointers(unotify_notification *notification, uint64_t addr,
                                             uint64_t *array, size_t cap)
{
    SHIM_VALUE(size_t, unotify_notification_read_pointers(notification, addr, array, cap, &out));
}

static inline shim_result shim_get_fd(unotify_notification *notification, int target_fd)
{
    SHIM_VALUE(int, unotify_notification_get_fd(notification, target_fd, &out));
}

static inline shim_result shim_add_fd(unotify_notification *notification, int fd, int target_fd,
                                      int flags)
{
    SHIM_VALUE(int, unotify_notification_add_fd(notification, fd, target_fd, flags, &out));
}

static inline shim_result shim_open_pidfd(unotify_notification *notification)
{
    SHIM_VALUE(int, unotify_notification_open_pidfd(notification, &out));
}

/* ---- target: opening what it names ---- */

static inline unotify_open_how shim_how(uint64_t flags, uint64_t mode, uint64_t resolve,
                                        uint64_t at_flags)
{
    return (unotify_open_how){
        .size = sizeof(unotify_open_how),
        .flags = flags,
        .mode = mode,
        .resolve = resolve,
        .at_flags = at_flags,
    };
}

static inline shim_result shim_open(unotify_notification *notification, const unotify_roots *roots,
                                    int dirfd, uint64_t path, uint64_t flags, uint64_t mode,
                                    uint64_t resolve, uint64_t at_flags)
{
    unotify_open_how how = shim_how(flags, mode, resolve, at_flags);
    SHIM_VALUE(
        int, roots ? unotify_notification_open_within(notification, roots, dirfd, path, &how, &out)
                   : unotify_notification_open(notification, dirfd, path, &how, &out));
}

static inline shim_result shim_reply_open_within(unotify_notification *notification,
                                                 const unotify_roots *roots, int dirfd,
                                                 uint64_t path, uint64_t flags, uint64_t mode,
                                                 uint64_t resolve, uint64_t at_flags)
{
    unotify_open_how how = shim_how(flags, mode, resolve, at_flags);
    SHIM(unotify_notification_reply_open_within(notification, roots, dirfd, path, &how));
}

static inline shim_result shim_reopen(unotify_notification *notification, int fd, uint64_t flags,
                                      uint64_t mode)
{
    SHIM_VALUE(int, unotify_notification_reopen(notification, fd, flags, mode, &out));
}

static inline shim_result shim_reply_open(unotify_notification *notification, int fd, int flags,
                                          mode_t mode)
{
    SHIM(unotify_notification_reply_open(notification, fd, flags, mode));
}

static inline shim_result shim_open_parent(unotify_notification *notification, int dirfd,
                                           uint64_t path, char *name, size_t cap)
{
    SHIM_VALUE(int, unotify_notification_open_parent(notification, dirfd, path, name, cap, &out));
}

static inline shim_result shim_read_path(unotify_notification *notification, int dirfd,
                                         uint64_t path, char *buf, size_t cap)
{
    SHIM(unotify_notification_read_path(notification, dirfd, path, buf, cap));
}

static inline shim_result shim_create(unotify_notification *notification, int directory,
                                      const char *name, int flags, mode_t mode)
{
    SHIM_VALUE(int, unotify_notification_create(notification, directory, name, flags, mode, &out));
}

static inline shim_result shim_mkdir(unotify_notification *notification, int directory,
                                     const char *name, mode_t mode)
{
    SHIM(unotify_notification_mkdir(notification, directory, name, mode));
}

static inline shim_result shim_mknod(unotify_notification *notification, int directory,
                                     const char *name, mode_t mode, dev_t device)
{
    SHIM(unotify_notification_mknod(notification, directory, name, mode, device));
}

static inline shim_result shim_open_socket(unotify_notification *notification, const void *addr,
                                           size_t len)
{
    SHIM_VALUE(int, unotify_notification_open_socket(notification, addr, len, &out));
}

static inline shim_result shim_reply_connect(unotify_notification *notification, int target_fd,
                                             const void *addr, size_t len, int file)
{
    SHIM(unotify_notification_reply_connect(notification, target_fd, addr, len, file));
}

static inline shim_result shim_roots_new(uint32_t flags)
{
    SHIM_HANDLE(unotify_roots, unotify_roots_new(flags, &out));
}

static inline shim_result shim_roots_add(unotify_roots *roots, const char *path, uint32_t rights)
{
    SHIM(unotify_roots_add(roots, path, rights));
}

/* ---- target: who it is ---- */

static inline shim_result shim_groups(unotify_notification *notification, gid_t *out_groups,
                                      size_t cap)
{
    SHIM_VALUE(size_t, unotify_notification_groups(notification, out_groups, cap, &out));
}

static inline shim_result shim_identity(unotify_notification *notification,
                                        unotify_identity *identity)
{
    identity->size = sizeof *identity;
    SHIM(unotify_notification_identity(notification, identity));
}

static inline shim_result shim_executable(unotify_notification *notification, char *buf, size_t cap)
{
    SHIM(unotify_notification_executable(notification, buf, cap));
}

static inline shim_result shim_open_root(unotify_notification *notification)
{
    SHIM_VALUE(int, unotify_notification_open_root(notification, &out));
}

/* ---- child ---- */

static inline shim_result shim_spawn(const unotify_filter *filter, const char *file, char **argv,
                                     char **envp, uint32_t load_flags, uint32_t flags,
                                     const char *directory, const unotify_fd_map *fds, size_t n_fds)
{
    unotify_spawn_opts opts = {
        .size = sizeof opts,
        .load_flags = load_flags,
        .flags = flags,
        .working_directory = directory,
        .fds = fds,
        .n_fds = n_fds,
    };
    SHIM_HANDLE(unotify_child, unotify_spawn(filter, file, argv, envp, &opts, &out));
}

static inline shim_result shim_child_take_listener(unotify_child *child)
{
    SHIM_HANDLE(unotify_listener, unotify_child_take_listener(child, &out));
}

static inline shim_result shim_child_wait(unotify_child *child, int timeout_ms)
{
    SHIM_VALUE(int, unotify_child_wait(child, timeout_ms, &out));
}

static inline shim_result shim_child_kill(unotify_child *child, int sig)
{
    SHIM(unotify_child_kill(child, sig));
}

/* ---- agent ---- */

static inline void shim_agent_refused(const char *sentence, void *data)
{
    shim_agent_log((char *)(uintptr_t)sentence, (uintptr_t)data);
}

static inline unotify_agent_opts shim_agent_opts(uint32_t mode, uint32_t max_fds,
                                                 size_t max_message, int time_limit_ms,
                                                 const uid_t *users, uint32_t n_users,
                                                 uintptr_t log_data)
{
    return (unotify_agent_opts){
        .size = sizeof(unotify_agent_opts),
        .mode = mode,
        .max_fds = max_fds,
        .max_message = max_message,
        .time_limit_ms = time_limit_ms,
        .n_users = n_users,
        .users = users,
        .log = log_data ? shim_agent_refused : NULL,
        .log_data = (void *)log_data,
    };
}

static inline shim_result shim_agent_new(const char *path, uint32_t mode, uint32_t max_fds,
                                         size_t max_message, int time_limit_ms, const uid_t *users,
                                         uint32_t n_users, uintptr_t log_data)
{
    unotify_agent_opts opts =
        shim_agent_opts(mode, max_fds, max_message, time_limit_ms, users, n_users, log_data);
    SHIM_HANDLE(unotify_agent, unotify_agent_new(path, &opts, &out));
}

static inline shim_result shim_agent_from_socket(int socket, uint32_t mode, uint32_t max_fds,
                                                 size_t max_message, int time_limit_ms,
                                                 const uid_t *users, uint32_t n_users,
                                                 uintptr_t log_data)
{
    unotify_agent_opts opts =
        shim_agent_opts(mode, max_fds, max_message, time_limit_ms, users, n_users, log_data);
    SHIM_HANDLE(unotify_agent, unotify_agent_from_socket(socket, &opts, &out));
}

static inline shim_result shim_agent_accept(unotify_agent *agent)
{
    SHIM_HANDLE(unotify_container, unotify_agent_accept(agent, 0, &out));
}

static inline shim_result shim_agent_put_back(unotify_agent *agent, unotify_listener *listener)
{
    SHIM(unotify_agent_put_back(agent, listener));
}

/* The containers were put back before: Go has a supervisor of its own. */
static inline shim_result shim_agent_hand_over(unotify_agent *agent, int socket)
{
    SHIM(unotify_agent_hand_over(agent, NULL, socket));
}

static inline shim_result shim_agent_take_over(int socket, uint32_t mode, uint32_t max_fds,
                                               size_t max_message, int time_limit_ms,
                                               const uid_t *users, uint32_t n_users,
                                               uintptr_t log_data)
{
    unotify_agent_opts opts =
        shim_agent_opts(mode, max_fds, max_message, time_limit_ms, users, n_users, log_data);
    SHIM_HANDLE(unotify_agent, unotify_agent_take_over(socket, &opts, &out));
}

static inline shim_result shim_container_take_listener(unotify_container *container)
{
    SHIM_HANDLE(unotify_listener, unotify_container_take_listener(container, &out));
}

/* ---- probe ---- */

static inline shim_result shim_probe_new(int timeout_ms)
{
    SHIM_HANDLE(unotify_probe, unotify_probe_new(timeout_ms, &out));
}

#endif
