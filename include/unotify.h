/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/**
 * libunotify: write seccomp user-notification supervisors.
 *
 * A *supervisor* answers system calls on behalf of a *target* whose seccomp filter says "notify".
 * A filter that is loaded yields a *listener*; the supervisor receives *notifications* from it, and
 * every notification is answered once: with a value, an error, or by letting the call continue.
 * See seccomp_unotify(2).
 *
 * Errors. Every function that can fail returns a `unotify_status`: UNOTIFY_OK is 0, every error is
 * negative. It then also sets `errno` to the kernel's own error, or the nearest to it, and keeps a
 * sentence for unotify_last_error(), per thread. Results go out through pointers, which are left
 * untouched on failure. Pointers may be NULL only where it says so; NULL elsewhere is
 * UNOTIFY_ERR_INVALID_ARGUMENT, never a crash.
 *
 * Ownership. Handles are opaque. What a function hands out through a pointer to a handle is the
 * caller's, and goes back to the `_free` function of its type, which takes NULL and never waits for
 * a target. A `const` pointer that is returned belongs to the library.
 *
 * Threads. Listeners and supervisors may be shared between threads. A notification and a filter
 * belong to one thread at a time, and may be handed on. Freeing ends all sharing.
 *
 * Options. A structure that begins with `size_t size` is filled with zeroes, then `size` is set to
 * its sizeof; NULL means the defaults, and so does every field that is zero.
 */

#ifndef UNOTIFY_H
#define UNOTIFY_H

/* Made by cbindgen from src/capi: change it there. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * What a call came to. The C ABI returns it from every fallible function.
 *
 * 0 is success, every error is negative, and a value keeps its meaning for ever.
 */
enum unotify_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It worked.
     */
    UNOTIFY_OK = 0,
    /**
     * The notification is no longer pending: the target died, or a signal interrupted its call.
     */
    UNOTIFY_ERR_GONE = -1,
    /**
     * The last target of the listener exited, or the other side hung up.
     */
    UNOTIFY_ERR_CLOSED = -2,
    /**
     * The supervisor was told to stop.
     */
    UNOTIFY_ERR_STOPPED = -3,
    /**
     * The time limit passed first.
     */
    UNOTIFY_ERR_TIMEOUT = -4,
    /**
     * The notification was answered before.
     */
    UNOTIFY_ERR_ANSWERED = -5,
    /**
     * An argument is null, out of range, closed or of the wrong kind.
     */
    UNOTIFY_ERR_INVALID_ARGUMENT = -6,
    /**
     * No system call has this name or number on this architecture.
     */
    UNOTIFY_ERR_UNKNOWN_SYSCALL = -7,
    /**
     * No architecture has this name or number.
     */
    UNOTIFY_ERR_UNKNOWN_ARCH = -8,
    /**
     * The running kernel or libseccomp is too old for this.
     */
    UNOTIFY_ERR_UNSUPPORTED = -9,
    /**
     * The kernel refuses this to a caller with these privileges.
     */
    UNOTIFY_ERR_PERMISSION = -10,
    /**
     * A listener is installed on this task's filters already; the kernel allows one.
     */
    UNOTIFY_ERR_BUSY = -11,
    /**
     * The address is not readable (or writable) in the target.
     */
    UNOTIFY_ERR_FAULT = -12,
    /**
     * The string, list or path is longer than the room for it.
     */
    UNOTIFY_ERR_TOO_LONG = -13,
    /**
     * The target is outside the supervisor's pid namespace, so nothing names it here.
     */
    UNOTIFY_ERR_NOT_VISIBLE = -14,
    /**
     * There is no memory for it.
     */
    UNOTIFY_ERR_NO_MEMORY = -15,
    /**
     * The kernel said no for another reason: see `errno`.
     */
    UNOTIFY_ERR_SYSTEM = -16,
    /**
     * Code that ran under the library's control panicked.
     */
    UNOTIFY_ERR_PANIC = -17,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum unotify_status unotify_status;
#else
typedef int32_t unotify_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The supervising end of a filter that notifies. Owns its descriptor.
 *
 * May be shared between threads: all functions but `unotify_listener_free` and
 * `unotify_listener_release` may be called at the same time.
 */
typedef struct unotify_listener unotify_listener;

/**
 * A system call that a target waits on. It is answered once; freeing it unanswered gives the
 * fallback error.
 *
 * Belongs to one thread at a time and may be handed to another. Keeps the listener's descriptor
 * open.
 */
typedef struct unotify_notification unotify_notification;

/**
 * The kernel's `struct seccomp_notif`, and the C ABI's `unotify_request`: one system call of a
 * target, as it stood when the target made it.
 */
typedef struct unotify_request {
    /**
     * The notification's number, unique on its listener.
     */
    uint64_t id;
    /**
     * The thread that made the call, as the supervisor's pid namespace numbers it; 0 when that
     * namespace does not see it.
     */
    uint32_t pid;
    /**
     * Always 0 so far (the kernel's `flags`).
     */
    uint32_t flags;
    /**
     * System call number, in the numbering of `arch`.
     */
    int32_t syscall;
    /**
     * Architecture the call was made for: an `AUDIT_ARCH_*` value.
     */
    uint32_t arch;
    /**
     * The target's instruction pointer at the call.
     */
    uint64_t instruction_pointer;
    /**
     * The call's arguments. What they point to can change at any time.
     */
    uint64_t args[6];
} unotify_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, such as "0.1.0". Static.
 */
const char *unotify_version(void);

/**
 * What the running kernel offers, as `UNOTIFY_FEATURE_*` bits. Asks the kernel on every call;
 * never fails: what cannot be asked is not offered.
 */
uint64_t unotify_features(void);

/**
 * The name of a status' constant, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for a number that
 * is none. Static.
 */
const char *unotify_status_name(int32_t status);

/**
 * What a status means, in half a sentence; "unknown status" for a number that is none. Static.
 */
const char *unotify_status_message(int32_t status);

/**
 * Copies the calling thread's last failure as a sentence into `buf`, cut to `len` bytes with its
 * NUL, and returns the length of the whole sentence without NUL: at least `len` means that it
 * was cut. Empty if nothing has failed on this thread. `buf` may be NULL if `len` is 0.
 * Success of a later call does not clear it.
 *
 * Requires:
 * `buf` is valid for writing `len` bytes.
 */
size_t unotify_last_error(char *buf, size_t len);

/**
 * Makes a listener of a descriptor that came from elsewhere and takes ownership of it. On
 * failure the descriptor remains the caller's, open. Switches synchronous wake-up on where the
 * kernel has it.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not a seccomp listener or not open.
 *
 * Requires:
 * `out` is NULL or valid for writing; nobody else closes `fd` after success.
 */
unotify_status unotify_listener_from_fd(int32_t fd, struct unotify_listener **out);

/**
 * Takes a duplicate of the listener that process `pid` holds as descriptor `fd`
 * (`pidfd_getfd(2)`, Linux 5.6). The caller needs the right to trace that process.
 *
 * Errors: `UNOTIFY_ERR_PERMISSION`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when there is no such
 * process; `UNOTIFY_ERR_INVALID_ARGUMENT` when it has no such descriptor or that is no listener;
 * `UNOTIFY_ERR_UNSUPPORTED`.
 *
 * Requires:
 * `out` is NULL or valid for writing.
 */
unotify_status unotify_listener_from_pid(pid_t pid, int32_t fd, struct unotify_listener **out);

/**
 * The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
 * notification is pending and hung up when the last target has exited. Receive from it through
 * the library only.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
int32_t unotify_listener_fd(const struct unotify_listener *listener);

/**
 * Frees the handle and gives its descriptor back, which the caller closes; -1 for NULL, or with
 * `errno` when notifications hold the descriptor and it cannot be duplicated.
 *
 * Requires:
 * `listener` is NULL or a live handle that is not used again.
 */
int32_t unotify_listener_release(struct unotify_listener *listener);

/**
 * Waits for the next notification. The manners are those of `getline(3)`: when `*notification`
 * is NULL a handle is allocated, else that one is used again, and what it held is answered with
 * the fallback error if nobody has answered. The caller frees it in the end.
 *
 * `timeout_ms` of -1 waits without limit, 0 only looks. Interrupted calls are retried. One
 * thread at a time waits in the kernel, the others queue for it.
 *
 * Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_CLOSED` when the last target has exited (kernels
 * before 5.9 do not tell); `UNOTIFY_ERR_INVALID_ARGUMENT`. On failure a handle that was given
 * remains the caller's and holds nothing.
 *
 * Requires:
 * `listener` is NULL or a live handle; `notification` is NULL or points to NULL or to a live
 * handle that no other thread uses.
 */
unotify_status unotify_listener_receive(const struct unotify_listener *listener,
                                        int32_t timeout_ms,
                                        struct unotify_notification **notification);

/**
 * Switches synchronous wake-up on (`on` not 0) or off: with it the kernel runs the woken side at
 * once on the same processor. It is on where the kernel has it.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 6.6.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_set_sync_wake_up(const struct unotify_listener *listener,
                                                 int32_t on);

/**
 * Chooses the error number, positive, for notifications that are freed unanswered. `ENOSYS` at
 * first.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_set_fallback_error(const struct unotify_listener *listener,
                                                   int32_t errnum);

/**
 * Sends a duplicate of the listener over a Unix socket (`SCM_RIGHTS`). The handle remains the
 * caller's.
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when `unix_socket` is no open Unix socket.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_send(const struct unotify_listener *listener, int32_t unix_socket);

/**
 * Receives a listener that came over a Unix socket (`SCM_RIGHTS`, with any payload of one byte).
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when what came is no listener (it is closed), or `unix_socket` is no open Unix socket.
 *
 * Requires:
 * `out` is NULL or valid for writing.
 */
unotify_status unotify_listener_recv(int32_t unix_socket, struct unotify_listener **out);

/**
 * Frees a listener; NULL is nothing. Its descriptor is closed once the last notification from it
 * is freed, and then the kernel answers what is pending, and every later call, with `ENOSYS`.
 *
 * Requires:
 * `listener` is NULL or a live handle that is not used again.
 */
void unotify_listener_free(struct unotify_listener *listener);

/**
 * The system call. Valid until the handle is received into or freed; NULL for NULL.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
const unotify_request *unotify_notification_request(const struct unotify_notification *notification);

/**
 * The `data` that its listener was given to the supervisor with; NULL if it was not.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
void *unotify_notification_listener_data(const struct unotify_notification *notification);

/**
 * Whether the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What was read
 * of a target before this succeeds belongs to that target.
 *
 * Errors: `UNOTIFY_ERR_GONE` when it does not; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_is_valid(struct unotify_notification *notification);

/**
 * Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library.
 *
 * Errors: `UNOTIFY_ERR_GONE` when the target does not wait any more; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_value(struct unotify_notification *notification,
                                                int64_t value);

/**
 * Lets the call fail with `errnum`, a **positive** error number such as `EPERM`.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_error(struct unotify_notification *notification,
                                                int32_t errnum);

/**
 * Lets the kernel carry out the call as if there were no filter
 * (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
 * the memory its arguments point to since you looked.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.5, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_continue(struct unotify_notification *notification);

/**
 * Frees a notification; NULL is nothing. If nobody has answered it, the target gets the fallback
 * error: `ENOSYS` unless another one was chosen. Never waits for the target.
 *
 * Requires:
 * `notification` is NULL or a live handle that is not used again.
 */
void unotify_notification_free(struct unotify_notification *notification);

/**
 * Makes a listener of a descriptor that came from elsewhere and takes ownership of it. On
 * failure the descriptor remains the caller's, open. Switches synchronous wake-up on where the
 * kernel has it.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not a seccomp listener or not open.
 *
 * Requires:
 * `out` is NULL or valid for writing; nobody else closes `fd` after success.
 */
unotify_status unotify_listener_from_fd(int32_t fd, struct unotify_listener **out);

/**
 * Takes a duplicate of the listener that process `pid` holds as descriptor `fd`
 * (`pidfd_getfd(2)`, Linux 5.6). The caller needs the right to trace that process.
 *
 * Errors: `UNOTIFY_ERR_PERMISSION`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when there is no such
 * process; `UNOTIFY_ERR_INVALID_ARGUMENT` when it has no such descriptor or that is no listener;
 * `UNOTIFY_ERR_UNSUPPORTED`.
 *
 * Requires:
 * `out` is NULL or valid for writing.
 */
unotify_status unotify_listener_from_pid(pid_t pid, int32_t fd, struct unotify_listener **out);

/**
 * The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
 * notification is pending and hung up when the last target has exited. Receive from it through
 * the library only.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
int32_t unotify_listener_fd(const struct unotify_listener *listener);

/**
 * Frees the handle and gives its descriptor back, which the caller closes; -1 for NULL, or with
 * `errno` when notifications hold the descriptor and it cannot be duplicated.
 *
 * Requires:
 * `listener` is NULL or a live handle that is not used again.
 */
int32_t unotify_listener_release(struct unotify_listener *listener);

/**
 * Waits for the next notification. The manners are those of `getline(3)`: when `*notification`
 * is NULL a handle is allocated, else that one is used again, and what it held is answered with
 * the fallback error if nobody has answered. The caller frees it in the end.
 *
 * `timeout_ms` of -1 waits without limit, 0 only looks. Interrupted calls are retried. One
 * thread at a time waits in the kernel, the others queue for it.
 *
 * Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_CLOSED` when the last target has exited (kernels
 * before 5.9 do not tell); `UNOTIFY_ERR_INVALID_ARGUMENT`. On failure a handle that was given
 * remains the caller's and holds nothing.
 *
 * Requires:
 * `listener` is NULL or a live handle; `notification` is NULL or points to NULL or to a live
 * handle that no other thread uses.
 */
unotify_status unotify_listener_receive(const struct unotify_listener *listener,
                                        int32_t timeout_ms,
                                        struct unotify_notification **notification);

/**
 * Switches synchronous wake-up on (`on` not 0) or off: with it the kernel runs the woken side at
 * once on the same processor. It is on where the kernel has it.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 6.6.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_set_sync_wake_up(const struct unotify_listener *listener,
                                                 int32_t on);

/**
 * Chooses the error number, positive, for notifications that are freed unanswered. `ENOSYS` at
 * first.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_set_fallback_error(const struct unotify_listener *listener,
                                                   int32_t errnum);

/**
 * Sends a duplicate of the listener over a Unix socket (`SCM_RIGHTS`). The handle remains the
 * caller's.
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when `unix_socket` is no open Unix socket.
 *
 * Requires:
 * `listener` is NULL or a live handle.
 */
unotify_status unotify_listener_send(const struct unotify_listener *listener, int32_t unix_socket);

/**
 * Receives a listener that came over a Unix socket (`SCM_RIGHTS`, with any payload of one byte).
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when what came is no listener (it is closed), or `unix_socket` is no open Unix socket.
 *
 * Requires:
 * `out` is NULL or valid for writing.
 */
unotify_status unotify_listener_recv(int32_t unix_socket, struct unotify_listener **out);

/**
 * Frees a listener; NULL is nothing. Its descriptor is closed once the last notification from it
 * is freed, and then the kernel answers what is pending, and every later call, with `ENOSYS`.
 *
 * Requires:
 * `listener` is NULL or a live handle that is not used again.
 */
void unotify_listener_free(struct unotify_listener *listener);

/**
 * The system call. Valid until the handle is received into or freed; NULL for NULL.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
const unotify_request *unotify_notification_request(const struct unotify_notification *notification);

/**
 * The `data` that its listener was given to the supervisor with; NULL if it was not.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
void *unotify_notification_listener_data(const struct unotify_notification *notification);

/**
 * Whether the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What was read
 * of a target before this succeeds belongs to that target.
 *
 * Errors: `UNOTIFY_ERR_GONE` when it does not; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_is_valid(struct unotify_notification *notification);

/**
 * Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library.
 *
 * Errors: `UNOTIFY_ERR_GONE` when the target does not wait any more; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_value(struct unotify_notification *notification,
                                                int64_t value);

/**
 * Lets the call fail with `errnum`, a **positive** error number such as `EPERM`.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_error(struct unotify_notification *notification,
                                                int32_t errnum);

/**
 * Lets the kernel carry out the call as if there were no filter
 * (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
 * the memory its arguments point to since you looked.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.5, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 *
 * Requires:
 * `notification` is NULL or a live handle.
 */
unotify_status unotify_notification_reply_continue(struct unotify_notification *notification);

/**
 * Frees a notification; NULL is nothing. If nobody has answered it, the target gets the fallback
 * error: `ENOSYS` unless another one was chosen. Never waits for the target.
 *
 * Requires:
 * `notification` is NULL or a live handle that is not used again.
 */
void unotify_notification_free(struct unotify_notification *notification);

/**
 * The library's version, such as "0.1.0". Static.
 */
const char *unotify_version(void);

/**
 * What the running kernel offers, as `UNOTIFY_FEATURE_*` bits. Asks the kernel on every call;
 * never fails: what cannot be asked is not offered.
 */
uint64_t unotify_features(void);

/**
 * The name of a status' constant, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for a number that
 * is none. Static.
 */
const char *unotify_status_name(int32_t status);

/**
 * What a status means, in half a sentence; "unknown status" for a number that is none. Static.
 */
const char *unotify_status_message(int32_t status);

/**
 * Copies the calling thread's last failure as a sentence into `buf`, cut to `len` bytes with its
 * NUL, and returns the length of the whole sentence without NUL: at least `len` means that it
 * was cut. Empty if nothing has failed on this thread. `buf` may be NULL if `len` is 0.
 * Success of a later call does not clear it.
 *
 * Requires:
 * `buf` is valid for writing `len` bytes.
 */
size_t unotify_last_error(char *buf, size_t len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* UNOTIFY_H */

