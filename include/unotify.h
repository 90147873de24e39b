/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/**
 * libunotify: write seccomp user-notification supervisors. The manual is unotify(7): it has the
 * model, an example, and at length what is only named here.
 *
 * A *supervisor* answers system calls on behalf of a *target* whose seccomp filter says "notify".
 * Loading a filter gives a *listener*. The supervisor receives *notifications* from it and answers
 * each once: with a value, an error, a descriptor, or by letting the call continue.
 *
 * Errors. Every function that can fail returns a `unotify_status`: UNOTIFY_OK is 0, errors are
 * negative. It then also sets `errno` to the kernel's error number, or the nearest to it, and keeps
 * a sentence for unotify_last_error(), per thread. Results go out through pointers, which are left
 * untouched on failure. Each function lists its errors without UNOTIFY_ERR_, and without these:
 *  - INVALID_ARGUMENT for NULL where it is not said to be allowed, an undefined flag, a number out
 *    of range, and, with EBADF, a descriptor that is not open. Never a crash; but other pointers
 *    must be valid: live handles, strings with their NUL, buffers of the size that is said.
 *  - UNSUPPORTED on a kernel before the one that a function gives in brackets, as "(Linux 5.6)".
 *  - SYSTEM with EMFILE where a descriptor is made and this process has none left.
 *
 * Parameters. `timeout_ms` is in milliseconds: -1 waits without limit, 0 only looks, and after
 * UNOTIFY_ERR_TIMEOUT all is as before. Strings are copied with their NUL, for which there must be
 * room. Sizes are in bytes.
 *
 * Ownership. Handles are opaque. One that is given out is the caller's, to be freed with the
 * `_free` function of its type, which does nothing for NULL and never waits for a target. A string
 * or `const` pointer that is returned is the library's. Descriptors that are passed in remain the
 * caller's, unless it says otherwise; those given out are close-on-exec, and the caller's to close.
 *
 * Threads. Listeners, supervisors, children, agents, containers and probes may be shared between
 * threads, until they are freed. A filter and a notification belong to one thread at a time, and
 * may be handed on.
 *
 * Structures. One that begins with `size_t size` may grow: set `size` to its sizeof, and what you
 * do not use to zero (UNOTIFY_OPTS() does). As options, NULL and every zero field mean the default,
 * and an option of a later version gives UNOTIFY_ERR_UNSUPPORTED. One that the library fills in is
 * written as far as its `size` goes; what it has beyond this version's becomes zero.
 *
 * unotify(7) has a chapter on each of these. Signals: interrupted calls are tried again; SIGSTKFLT
 * is the library's. Targets that stall: reading, writing, opening last as long as a target likes.
 * Fork: in a copy of the process, freeing a handle only frees. Cancellation: no function here is a
 * cancellation point. Memory: with none left the program ends (abort); the way from receive to
 * reply takes none. Unloading: dlclose() leaves the library in memory.
 */

#ifndef UNOTIFY_H
#define UNOTIFY_H

/* Made of include/unotify.h.in and src/capi by `UNOTIFY_BLESS=1 cargo test --test header`. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Handles and structures ------------------------------------------------------------------ */

/** A filter that is being built. */
typedef struct unotify_filter unotify_filter;
/** The supervising end of a filter that notifies. Owns its descriptor. */
typedef struct unotify_listener unotify_listener;
/** A call that a target waits on, to be answered once. Keeps the listener's descriptor open. */
typedef struct unotify_notification unotify_notification;
/** Directories that targets may open things in: add to it before threads open with it. */
typedef struct unotify_roots unotify_roots;
/** Serves listeners with handlers. */
typedef struct unotify_supervisor unotify_supervisor;
/** A program that was started. One thread can kill it while another waits. */
typedef struct unotify_child unotify_child;
/** Takes the listeners of containers from their runtimes. */
typedef struct unotify_agent unotify_agent;
/** A container, or a process started in one, whose listener came to an agent. */
typedef struct unotify_container unotify_container;
/** What a probe has found. */
typedef struct unotify_probe unotify_probe;

/** A structure with `size` set and zero for what is not named, which lives as long as its block.
 * C: `unotify_filter_load(f, &UNOTIFY_OPTS(unotify_load_opts, .flags = UNOTIFY_LOAD_LOG), &l)`
 * C++: `unotify_load_opts opts = {}; opts.size = sizeof opts; opts.flags = UNOTIFY_LOAD_LOG;` */
#define UNOTIFY_OPTS(type, ...) ((struct type){ .size = sizeof(struct type), __VA_ARGS__ })

/* ---- Status and errors ----------------------------------------------------------------------- */

/** What a call came to; C functions that can fail return it. A value keeps its meaning for ever. */
enum unotify_status
#ifdef __cplusplus
    : int32_t
#endif
{
    UNOTIFY_OK = 0,                    /**< It worked. */
    UNOTIFY_ERR_GONE = -1,             /**< The target died, or a signal interrupted its call. */
    UNOTIFY_ERR_CLOSED = -2,           /**< The last target exited, or the other side hung up. */
    UNOTIFY_ERR_STOPPED = -3,          /**< Told to stop, or the listener is interrupted. */
    UNOTIFY_ERR_TIMEOUT = -4,          /**< The time limit passed first. */
    UNOTIFY_ERR_ANSWERED = -5,         /**< The notification was answered before. */
    UNOTIFY_ERR_INVALID_ARGUMENT = -6, /**< NULL, out of range, closed or of the wrong kind. */
    UNOTIFY_ERR_UNKNOWN_SYSCALL = -7,  /**< The architecture has no call of this name or number. */
    UNOTIFY_ERR_UNKNOWN_ARCH = -8,     /**< No architecture has this name or number. */
    UNOTIFY_ERR_UNSUPPORTED = -9,      /**< The running kernel or libseccomp is too old for this. */
    UNOTIFY_ERR_PERMISSION = -10,      /**< Not permitted to a caller with these privileges. */
    UNOTIFY_ERR_BUSY = -11,            /**< The filters of this thread have a listener already. */
    UNOTIFY_ERR_FAULT = -12,           /**< The target cannot read (or write) at this address. */
    UNOTIFY_ERR_TOO_LONG = -13,        /**< The string, list or path is longer than the room. */
    UNOTIFY_ERR_NOT_VISIBLE = -14,     /**< The target is outside the supervisor's pid namespace. */
    UNOTIFY_ERR_NO_MEMORY = -15,       /**< Not enough memory. */
    UNOTIFY_ERR_SYSTEM = -16,          /**< The kernel said no for another reason: see `errno`. */
    UNOTIFY_ERR_PANIC = -17,           /**< Code that ran under the library's control panicked. */
    UNOTIFY_ERR_INTERRUPTED = -18,     /**< A signal was handled on this thread while it waited. */
    UNOTIFY_ERR_HANDLER = -19,         /**< A handler said that it failed. */
};
#ifndef __cplusplus
typedef int32_t unotify_status;
#endif

/** The name of a status, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for any other number. */
const char *unotify_status_name(int status);
/** What a status means, in half a sentence; "unknown status" for any other number. */
const char *unotify_status_message(int status);

/** Copies a sentence about this thread's last error into `buf` (NULL if `len` is 0), cut to `len`
 * bytes, and returns its whole length without NUL: `len` or more means that it was cut. Empty if
 * nothing has failed so far; success does not clear it. */
size_t unotify_last_error(char *buf, size_t len);

/* ---- Versions and features ------------------------------------------------------------------- */

/** The version of this header. */
#define UNOTIFY_VERSION_MAJOR 0
#define UNOTIFY_VERSION_MINOR 1
#define UNOTIFY_VERSION_PATCH 0

/** Whether it is `major`.`minor` or later, also for `#if`. */
#define UNOTIFY_VERSION_AT_LEAST(major, minor) \
    (UNOTIFY_VERSION_MAJOR > (major) || \
     (UNOTIFY_VERSION_MAJOR == (major) && UNOTIFY_VERSION_MINOR >= (minor)))

#define UNOTIFY_FEATURE_NOTIFY (1ULL << 0)              /**< User notification (Linux 5.0). */
#define UNOTIFY_FEATURE_TSYNC_WITH_LISTENER (1ULL << 1) /**< `UNOTIFY_LOAD_TSYNC` works (5.7). */
#define UNOTIFY_FEATURE_WAIT_KILLABLE (1ULL << 2)       /**< Only fatal signals interrupt (5.19). */

/** The version of the library that the program runs with, such as "0.1.0". */
const char *unotify_version(void);
/** What the running kernel is found to offer at each call, as `UNOTIFY_FEATURE_*`. Never fails. */
uint64_t unotify_features(void);

/* ---- Architectures and system calls ------------------------------------------------------------
 *
 * `arch` is the kernel's `AUDIT_ARCH_*` value, but for x32, which the kernel tells from x86_64 by
 * the number of the call; 0 is the native one. Names are libseccomp's. All others give
 * `UNOTIFY_ERR_UNKNOWN_ARCH`; a call that `arch` lacks gives `UNOTIFY_ERR_UNKNOWN_SYSCALL`. */

/** The architecture that the library was compiled for. */
uint32_t unotify_arch_native(void);
/** That of 32-bit programs here: x86 on x86_64, arm on aarch64; else the native one. */
uint32_t unotify_arch_compat(void);
/** Gives an architecture's number by its name, "x86_64" or "SCMP_ARCH_X86_64", or "native". */
unotify_status unotify_arch_from_name(const char *name, uint32_t *arch);
/** The short name of an architecture, such as "x86_64"; NULL for a number that is not one. */
const char *unotify_arch_name(uint32_t arch);
/** Gives the number of a system call on an architecture. */
unotify_status unotify_syscall_from_name(uint32_t arch, const char *name, int *nr);
/** Copies the name of call `nr` into `buf`; 64 bytes hold any. Errors: TOO_LONG with `ERANGE`. */
unotify_status unotify_syscall_name(uint32_t arch, int nr, char *buf, size_t len);

/* ---- Filter ------------------------------------------------------------------------------------
 *
 * The actions are the kernel's `SECCOMP_RET_*`; UNOTIFY_ACTION_NOTIFY is SECCOMP_RET_USER_NOTIF. */

#define UNOTIFY_ACTION_KILL_PROCESS 0x80000000U /**< Kill the whole process. */
#define UNOTIFY_ACTION_KILL_THREAD 0x00000000U  /**< Kill the calling thread. */
#define UNOTIFY_ACTION_TRAP 0x00030000U         /**< Send the thread a `SIGSYS`. */
#define UNOTIFY_ACTION_NOTIFY 0x7fc00000U       /**< Park the thread and notify the supervisor. */
#define UNOTIFY_ACTION_LOG 0x7ffc0000U          /**< Make the call and log it. */
#define UNOTIFY_ACTION_ALLOW 0x7fff0000U        /**< Make the call. */

/** The action that makes a call fail with `errnum`, positive, without asking the supervisor
 * (`SECCOMP_RET_ERRNO`). With 0 it returns 0 without being made. Filters accept up to 4094. */
uint32_t unotify_action_errno(uint16_t errnum);

/** The same for constants. */
#define UNOTIFY_ACTION_ERRNO(errnum) (0x00050000U | ((uint32_t)(errnum) & 0xffffU))

#define UNOTIFY_COMPARE_NOT_EQUAL 1        /**< The argument differs from `value`. */
#define UNOTIFY_COMPARE_LESS 2             /**< The argument is less than `value`. */
#define UNOTIFY_COMPARE_LESS_OR_EQUAL 3    /**< The argument is at most `value`. */
#define UNOTIFY_COMPARE_EQUAL 4            /**< The argument is `value`. */
#define UNOTIFY_COMPARE_GREATER_OR_EQUAL 5 /**< The argument is at least `value`. */
#define UNOTIFY_COMPARE_GREATER 6          /**< The argument is greater than `value`. */
#define UNOTIFY_COMPARE_MASKED_EQUAL 7     /**< The argument and-ed with `mask` is `value`. */

/** A condition on an argument of a system call, an unsigned 64-bit number. */
typedef struct unotify_arg_compare {
    uint32_t arg;   /**< The number of the argument, 0 to 5. */
    uint32_t op;    /**< `UNOTIFY_COMPARE_*`. */
    uint64_t value; /**< What it is compared with. */
    uint64_t mask;  /**< For `UNOTIFY_COMPARE_MASKED_EQUAL` the bits that count, otherwise 0. */
} unotify_arg_compare;

/** Makes a filter for the native architecture that does `default_action` for every call without a
 * rule. It kills a process that makes a call of any other: see unotify_filter_add_arch(). */
unotify_status unotify_filter_new(uint32_t default_action, unotify_filter **out);

/** Makes the filter decide about calls of `arch` too; the native one is there already. Add all
 * before the first rule; only families may come before. Its byte order must be the native one's.
 * Errors: UNKNOWN_ARCH; UNSUPPORTED if libseccomp lacks it; INVALID_ARGUMENT after a rule. */
unotify_status unotify_filter_add_arch(unotify_filter *filter, uint32_t arch);

/** Does `action` for the calls of this name whose arguments meet all `n` conditions at `cmp` (NULL
 * if `n` is 0), on every architecture of the filter that has it. A rule without conditions
 * replaces those with some for the same call, earlier and later; of two without, the first counts.
 * Errors: UNKNOWN_SYSCALL when no architecture has it; INVALID_ARGUMENT when an argument comes
 * twice, `action` is the default one, or an earlier rule with the same conditions has another. */
unotify_status unotify_filter_add_rule(unotify_filter *filter, uint32_t action, const char *syscall,
                                       const unotify_arg_compare *cmp, size_t n);

/** unotify_filter_add_rule() with `UNOTIFY_ACTION_NOTIFY` and no condition. */
unotify_status unotify_filter_notify(unotify_filter *filter, const char *syscall);

/** Notifies all system calls that do the same job, on every architecture of the filter, added
 * before or after, and refuses those that would do it past the filter: `openat` alone lets `open`,
 * `openat2`, `creat` and io_uring by. `family` is one of unotify_family_name(), such as "open":
 * see docs/families.md. Earlier rules without conditions stay.
 * Errors, and nothing is added: INVALID_ARGUMENT when there is no such family, and for "connect"
 * after other rules where an architecture has `socketcall`; UNSUPPORTED if libseccomp lacks one of
 * the calls. */
unotify_status unotify_filter_notify_family(unotify_filter *filter, const char *family);

/** The name of the family number `index`, from 0; NULL beyond the last. */
const char *unotify_family_name(size_t index);

/** Copies the filter into `buf` as the kernel takes it, a `struct sock_filter[]`. `*len` is the
 * size of `buf` in bytes, and becomes the program's, also on failure or if `buf` is NULL.
 * Errors: TOO_LONG with `ERANGE` when `buf` is too small. */
unotify_status unotify_filter_export_bpf(const unotify_filter *filter, void *buf, size_t *len);

/** Writes the filter to `fd` as text for people, in libseccomp's Pseudo Filter Code.
 * Errors: INVALID_ARGUMENT when `fd` is not open for writing; SYSTEM when writing fails. */
unotify_status unotify_filter_export_pfc(const unotify_filter *filter, int fd);

/** Frees a filter. What was loaded stays loaded. */
void unotify_filter_free(unotify_filter *filter);

/* ---- Load ------------------------------------------------------------------------------------ */

#define UNOTIFY_LOAD_TSYNC (1U << 0)            /**< For all threads (with a listener since 5.7). */
#define UNOTIFY_LOAD_LOG (1U << 1)              /**< Log every action but allow. */
#define UNOTIFY_LOAD_SPEC_ALLOW (1U << 2)       /**< Leave Speculative Store Bypass unmitigated. */
#define UNOTIFY_LOAD_NO_WAIT_KILLABLE (1U << 3) /**< Any signal may interrupt a received call. */
#define UNOTIFY_LOAD_NO_SYNC_WAKE_UP (1U << 4)  /**< Leave synchronous wake-up off. */
#define UNOTIFY_LOAD_KEEP_PRIVS (1U << 5)       /**< Leave no_new_privs as it is. */

/** How to load a filter. By default no_new_privs is set first, only fatal signals interrupt a
 * received call, and wake-up is synchronous, where the kernel has these. */
typedef struct unotify_load_opts {
    size_t size;       /**< `sizeof(unotify_load_opts)`. */
    uint32_t flags;    /**< `UNOTIFY_LOAD_*`. */
    uint32_t reserved; /**< Always 0. */
} unotify_load_opts;

/** Puts the filter on the calling thread, for good, and gives its listener. The thread is a target
 * from then on: another thread or process must answer it. Other threads may load the filter too;
 * each load gives a listener of its own. A filter that notifies nothing is loaded without one, and
 * `*out` becomes NULL; with NULL for `out` any filter is, and what it notifies fails with
 * `ENOSYS`. **Until the supervisor has the listener, the thread may only make calls that are not
 * notified**; free(), or its end, can be one: see "Loading a filter" in unotify(7).
 * Errors: BUSY when the thread's filters have a listener already; PERMISSION with
 * `UNOTIFY_LOAD_KEEP_PRIVS` and neither no_new_privs nor `CAP_SYS_ADMIN`; INVALID_ARGUMENT for
 * more than 4096 instructions; UNSUPPORTED before Linux 5.0, or 5.7 with `UNOTIFY_LOAD_TSYNC`;
 * SYSTEM with `ESRCH` when another thread has filters of its own. */
unotify_status unotify_filter_load(const unotify_filter *filter, const unotify_load_opts *opts,
                                   unotify_listener **out);

/* ---- Listener -------------------------------------------------------------------------------- */

/** Makes a listener of a descriptor from elsewhere, and takes ownership of it unless this fails.
 * Switches synchronous wake-up on if it can. Errors: INVALID_ARGUMENT when `fd` is no listener. */
unotify_status unotify_listener_from_fd(int fd, unotify_listener **out);

/** Duplicates the listener that process `pid` has as descriptor `fd` (Linux 5.6: `pidfd_getfd(2)`).
 * Errors: PERMISSION without the right to trace that process; SYSTEM with `ESRCH` when there is no
 * such process; INVALID_ARGUMENT when it has no such descriptor or that is not a listener. */
unotify_status unotify_listener_from_pid(pid_t pid, int fd, unotify_listener **out);

/** Receives a listener over a Unix socket (`SCM_RIGHTS`, with one byte of any payload): the first
 * descriptor of one message. Others in it are closed.
 * Errors: CLOSED when the other side is closed; INVALID_ARGUMENT when what came is no listener (it
 * is closed), or `unix_socket` no Unix socket; after SYSTEM with `EMFILE` the message waits. */
unotify_status unotify_listener_from_socket(int unix_socket, unotify_listener **out);

/** Sends a duplicate of the listener for unotify_listener_from_socket(). This is a `sendmsg(2)`: a
 * thread whose filter notifies that waits here for ever, as nobody has the listener yet.
 * Errors: CLOSED when the other side is closed; INVALID_ARGUMENT when it is no Unix socket. */
unotify_status unotify_listener_to_socket(const unotify_listener *listener, int unix_socket);

/** The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
 * notification is pending, and hung up when the last target has exited (before Linux 6.11, when it
 * was waited for: poll the child's descriptor too). `POLLERR` alone only says that a signal came
 * while the kernel looked. Receive from it through the library only. */
int unotify_listener_fd(const unotify_listener *listener);

/** Frees the handle and gives its descriptor back, for the caller to close; -1 for NULL, or with
 * `errno` when notifications hold the descriptor and it cannot be duplicated. */
int unotify_listener_into_fd(unotify_listener *listener);

/** Waits for the next notification. As with `getline(3)`, if `*notification` is NULL a handle is
 * allocated, for the caller to free in the end, else that handle is used again; what it held gets
 * the fallback error unless it was answered. On failure a handle that was given remains the
 * caller's and holds nothing. One thread at a time waits in the kernel, the others queue.
 * Errors: TIMEOUT; STOPPED by unotify_listener_set_interrupted(); CLOSED when the last target has
 * exited (before 6.11 was waited for, before 5.9 never): see unotify_listener_watch_child(). */
unotify_status unotify_listener_receive(unotify_listener *listener, int timeout_ms,
                                        unotify_notification **notification);

#define UNOTIFY_RECEIVE_RETURN_ON_SIGNAL (1U << 0) /**< A handled signal ends the receive. */

/** unotify_listener_receive() with flags. With `UNOTIFY_RECEIVE_RETURN_ON_SIGNAL` a signal that is
 * handled on this thread ends the wait with `UNOTIFY_ERR_INTERRUPTED`, `SA_RESTART` or not, for
 * languages that run handlers later. It takes a `ppoll`, and misses a signal right before that. */
unotify_status unotify_listener_receive_with(unotify_listener *listener, int timeout_ms,
                                             uint32_t flags, unotify_notification **notification);

#define UNOTIFY_REPLY_NONE 0     /**< Answers nothing. */
#define UNOTIFY_REPLY_VALUE 1    /**< As unotify_notification_reply_value(). */
#define UNOTIFY_REPLY_ERROR 2    /**< As unotify_notification_reply_error(): a positive `value`. */
#define UNOTIFY_REPLY_CONTINUE 3 /**< As unotify_notification_reply_continue(): `value` is 0. */

/** Answers what `notification` holds, then receives the next one into it as
 * unotify_listener_receive() does: one call for each turn of a loop. With `UNOTIFY_REPLY_NONE`, as
 * for a new handle, it only receives. What the answer came to goes to `*replied` (which may be
 * NULL), whether this fails or not; `errno` is of what this returns. After `UNOTIFY_OK`,
 * `UNOTIFY_ERR_GONE` and `UNOTIFY_ERR_ANSWERED` it goes on to receive. Any other error of the
 * answer is returned, nothing was received, and the target waits for a better answer.
 * Errors: those of the answer and of receiving; INVALID_ARGUMENT also with nothing to answer. */
unotify_status unotify_listener_reply_receive(
    unotify_listener *listener, unotify_notification *notification, uint32_t reply, int64_t value,
    int timeout_ms, unotify_status *replied);

/** While this is on (`on` is not 0), receives on this listener end with `UNOTIFY_ERR_STOPPED`,
 * those under way on any thread and later ones. What is pending stays so. A supervisor that serves
 * the listener takes no notice. May be called from any thread and from a signal handler. */
unotify_status unotify_listener_set_interrupted(unotify_listener *listener, int on);

/** Tells which child of the caller's loaded the filter by itself (Linux 5.4), so that the listener
 * ends with it before Linux 6.11 too: once it is a zombie and no notification is pending, though
 * other targets may be left. It remains the caller's to wait for. Duplicates `pidfd`
 * (`pidfd_open(2)`); a later call replaces it. Not needed after unotify_spawn(). See "The end of a
 * target" in unotify(7). Errors: INVALID_ARGUMENT when `pidfd` is not one. */
unotify_status unotify_listener_watch_child(unotify_listener *listener, int pidfd);

/** Switches synchronous wake-up on (`on` is not 0) or off (Linux 6.6): with it the kernel runs the
 * woken side at once on the same processor. It is on at first where the kernel has it. */
unotify_status unotify_listener_set_sync_wake_up(unotify_listener *listener, int on);

/** Chooses the error, 1 to 4095, for notifications that are freed unanswered: `ENOSYS` at first. */
unotify_status unotify_listener_set_fallback_error(unotify_listener *listener, int errnum);

/** Frees a listener. Its descriptor is closed once the last notification from it is freed; the
 * kernel then answers what is pending, and every later call, with `ENOSYS`. */
void unotify_listener_free(unotify_listener *listener);

/* ---- Notification ------------------------------------------------------------------------------
 *
 * These, and those of the target below, fail with `UNOTIFY_ERR_GONE` when the target does not wait
 * any more, because it died or a signal interrupted its call, and with `UNOTIFY_ERR_ANSWERED` when
 * the notification was answered before. After other errors the target waits for a better answer. */

/** One system call of a target, as it was when the target made it. The layout is that of the
 * kernel's `struct seccomp_notif`, in which `pid` is unsigned. */
typedef struct unotify_request {
    uint64_t id;                  /**< The notification's number, unique on its listener. */
    pid_t pid;                    /**< The thread, 0 if outside the supervisor's pid namespace. */
    uint32_t flags;               /**< The kernel's flags, always 0 so far. */
    int syscall;                  /**< Number of the system call on `arch`. */
    uint32_t arch;                /**< The call's architecture, an `AUDIT_ARCH_*` value. */
    uint64_t instruction_pointer; /**< The target's instruction pointer at the call. */
    uint64_t args[6];             /**< What they point to can change at any time. */
} unotify_request;

/** Makes a handle that holds nothing, to receive into (Linux 5.0). */
unotify_status unotify_notification_new(unotify_notification **out);

/** The system call; NULL for NULL. For one handle this is always the same pointer, valid until it
 * is freed; what it points to changes with each receive into it, and is zero before the first. */
const unotify_request *unotify_notification_request(const unotify_notification *notification);

/** The `data` that its listener was given to the supervisor with; NULL if it was not. */
void *unotify_notification_listener_data(const unotify_notification *notification);

/** UNOTIFY_OK while the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What
 * was read of a target by other means before this succeeds belongs to that target. */
unotify_status unotify_notification_check_valid(unotify_notification *notification);

/** Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library. */
unotify_status unotify_notification_reply_value(unotify_notification *notification, int64_t value);
/** Lets the call fail with `errnum`, a **positive** error number up to 4095, such as `EPERM`. */
unotify_status unotify_notification_reply_error(unotify_notification *notification, int errnum);

/** Lets the kernel carry out the call as if there were no filter (Linux 5.5:
 * `SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
 * the memory that its arguments point to since you looked. */
unotify_status unotify_notification_reply_continue(unotify_notification *notification);

/** Frees a notification. If nobody has answered it, the target gets the fallback error, `ENOSYS`
 * unless another one was chosen. A handler's is only answered by this, unless it was deferred. */
void unotify_notification_free(unotify_notification *notification);

/* ---- Target: memory ----------------------------------------------------------------------------
 *
 * What these and the following give out is the target's and no other's: if the target does not wait
 * any more it is not given out. They also fail with `UNOTIFY_ERR_NOT_VISIBLE` when the target is
 * outside the supervisor's pid namespace, with `UNOTIFY_ERR_PERMISSION` when the supervisor may not
 * look into it (unotify_last_error() says what is missing), and with `UNOTIFY_ERR_SYSTEM` where
 * `/proc` does not show it. Those of memory and opening can block: see "Targets that stall". */

/** Fills `buf` with `len` bytes from the target's memory at `addr`, all or nothing.
 * Errors: FAULT when any of the bytes is not readable; NO_MEMORY. */
unotify_status unotify_notification_read(unotify_notification *notification, uint64_t addr,
                                         void *buf, size_t len);

/** Copies `len` bytes from `buf` into the target's memory at `addr`, which must be writable to the
 * target itself. No other process can be hit, whatever becomes of the target (`/proc/TID/mem`).
 * Errors: FAULT when any byte is not writable, and none is written; NO_MEMORY; UNSUPPORTED before
 * Linux 6.11 when some ten thousand mappings lie below; GONE can come after they were written. */
unotify_status unotify_notification_write(unotify_notification *notification, uint64_t addr,
                                          const void *buf, size_t len);

/** Copies the target's string at `addr` into `buf`, and its length without NUL into `*len` (which
 * may be NULL). Errors: as unotify_notification_read(); TOO_LONG without a NUL in `cap` bytes. */
unotify_status unotify_notification_read_string(unotify_notification *notification, uint64_t addr,
                                                char *buf, size_t cap, size_t *len);

/** Copies the pointers of a null-terminated array at `addr` in the target's memory (`argv`, `envp`)
 * into `out`, without the terminator, and their number into `*count`. 32-bit ones are widened.
 * Errors: as unotify_notification_read(); TOO_LONG when there are more than `cap`. */
unotify_status unotify_notification_read_pointers(unotify_notification *notification, uint64_t addr,
                                                  uint64_t *out, size_t cap, size_t *count);

/* ---- Target: descriptors --------------------------------------------------------------------- */

/** Duplicates the target's descriptor `target_fd` (Linux 5.6: `pidfd_getfd(2)`). It is the same
 * open file: what is done to a socket through it is done to the target's.
 * Errors: INVALID_ARGUMENT with `EBADF` when there is none; before 6.9 UNSUPPORTED for a thread
 * that does not share its leader's descriptors. */
unotify_status unotify_notification_get_fd(unotify_notification *notification, int target_fd,
                                           int *fd);

/** Gives the target a duplicate of `fd` (Linux 5.9): at the lowest free number if `target_fd` is
 * -1, else at `target_fd`, closing what was open there. `flags` is 0 or `O_CLOEXEC`. The number
 * goes to `*new_fd` (which may be NULL). The target goes on waiting.
 * Errors: INVALID_ARGUMENT with `EBADF` also when `fd` was opened with `O_PATH`, which the kernel
 * does not pass (see unotify_notification_reopen()), or `target_fd` is beyond the target's limit;
 * SYSTEM with `EMFILE` when the target may not have more. */
unotify_status unotify_notification_add_fd(unotify_notification *notification, int fd,
                                           int target_fd, int flags, int *new_fd);

/** Gives the target a duplicate of `fd` at the lowest free number, and lets its call return that
 * number. `flags` is 0 or `O_CLOEXEC`. **Signals are held back on this thread meanwhile**, some
 * microseconds; what stops or kills it in that moment can make the call return 0, the standard
 * input. **Before Linux 5.14** a target that a signal interrupts can keep a descriptor that its
 * call never returned. See "Answering with a descriptor" in unotify(7).
 * Errors: as unotify_notification_add_fd(); BUSY while another holder of the listener does it. */
unotify_status unotify_notification_reply_fd(unotify_notification *notification, int fd,
                                             int flags);

/** Opens a pidfd for the target's process, whichever of its threads calls (Linux 5.3). */
unotify_status unotify_notification_open_pidfd(unotify_notification *notification, int *fd);

/* ---- Target: opening what it names ----------------------------------------------------------- */

/** How to open what a target names. By default for reading. */
typedef struct unotify_open_how {
    size_t size;       /**< `sizeof(unotify_open_how)`. */
    uint64_t flags;    /**< `O_*`, as for `open(2)`, which ignores unknown ones. */
    uint64_t mode;     /**< Permissions of a file that is created with `O_CREAT` or `O_TMPFILE`. */
    uint64_t resolve;  /**< `RESOLVE_*` of `openat2(2)`, from where the path starts: unotify(7). */
    uint64_t at_flags; /**< `AT_EMPTY_PATH` or 0: see unotify(7). */
} unotify_open_how;

/** Opens the file whose path is at `path_addr` in the target's memory, as the target would: from
 * its root, relative to its working directory (`dirfd` is `AT_FDCWD`) or to its descriptor
 * `dirfd`. `how` may be NULL. Decide on what `*fd` *is* and hand that over with
 * unotify_notification_reply_fd(): nothing is left that the target could exchange. Nothing leads
 * out of its root: not `..` or an absolute link, not a magic link (`ELOOP`), not a directory that
 * is outside (`EXDEV`). **The supervisor's rights count.** `O_CREAT` and `O_TRUNC` act at once: to
 * decide first, use `O_PATH`, then reopen. `/proc/self` is the target. **The supervisor's own
 * files in any `/proc` are refused** (`ELOOP`), others' (`/proc/PID/mem`) not: see unotify(7).
 * Errors: SYSTEM with the `errno` that the path leads to, which is the one to answer with; FAULT
 * and TOO_LONG for the path; INVALID_ARGUMENT with `EBADF` for `dirfd`; UNSUPPORTED before 5.6. */
unotify_status unotify_notification_open(unotify_notification *notification, int dirfd,
                                         uint64_t path_addr, const unotify_open_how *how, int *fd);

/** Opens the file that `fd` stands for again, whatever its name leads to by now: for what was
 * opened with `O_PATH`, once it is decided that the target may have it. `flags` are the target's,
 * less `O_CREAT`, `O_EXCL` and `O_NOFOLLOW`; `mode` is for `O_TMPFILE`.
 * Errors: SYSTEM with the `errno` to answer with, such as `ENXIO` for a socket or a FIFO that
 * nobody reads, `ELOOP` for a link or the supervisor's own `/proc`. */
unotify_status unotify_notification_reopen(unotify_notification *notification, int fd,
                                           uint64_t flags, uint64_t mode, int *out);

/** Opens the directory that holds the last component of the path at `path_addr`, with `O_PATH`, and
 * copies that component into `name` (256 bytes are enough), for calls that make, remove or rename
 * it. It has no slash and is neither "." nor "..", but may be a link or a mount, at any time: use
 * it only with calls that neither follow nor open it, such as unotify_notification_create().
 * Errors: as unotify_notification_open(), SYSTEM with `EEXIST` for a path to "/", "." or "..". */
unotify_status unotify_notification_open_parent(unotify_notification *notification, int dirfd,
                                                uint64_t path_addr, char *name, size_t cap,
                                                int *fd);

/** Copies the absolute path of what is at `path_addr` in the target's memory into `buf`, as the
 * target sees it, with links and `..`, and "(unreachable)" before what is outside its root. For
 * logs, not for deciding: it may lead elsewhere later. Errors: as unotify_notification_open(). */
unotify_status unotify_notification_read_path(unotify_notification *notification, int dirfd,
                                              uint64_t path_addr, char *buf, size_t cap);

#define UNOTIFY_RIGHT_READ (1U << 0)       /**< Open for reading. */
#define UNOTIFY_RIGHT_WRITE (1U << 1)      /**< Open for writing, and truncate. */
#define UNOTIFY_RIGHT_CREATE (1U << 2)     /**< Make new files. */
#define UNOTIFY_ROOTS_SAME_PATHS (1U << 0) /**< No target changes its root or mounts: faster. */

/** Makes an empty set. `flags` is 0 or `UNOTIFY_ROOTS_SAME_PATHS`: see unotify(7). */
unotify_status unotify_roots_new(uint32_t flags, unotify_roots **out);

/** Allows what lies in the directory `path`, with what is mounted there now, or that single file;
 * "/" is everything. It is kept open, and its name does not matter afterwards. `rights` are
 * `UNOTIFY_RIGHT_*`; those of directories within each other add up.
 * Errors: SYSTEM with the `errno` of opening `path`. */
unotify_status unotify_roots_add(unotify_roots *roots, const char *path, uint32_t rights);

/** Frees a set of directories. */
void unotify_roots_free(unotify_roots *roots);

/** As unotify_notification_open(), for what lies in a directory of `roots` that allows it. It is
 * decided on the file itself, before it is created or truncated: no link, renaming, mount or other
 * root leads around that, but **a hard link is a file of the directory it lies in**.
 * Errors: as there; SYSTEM with `EACCES` for all else. */
unotify_status unotify_notification_open_within(
    unotify_notification *notification, const unotify_roots *roots, int dirfd, uint64_t path_addr,
    const unotify_open_how *how, int *fd);

/** The same and unotify_notification_reply_fd(), waiting as unotify_notification_reply_open(). */
unotify_status unotify_notification_reply_open_within(
    unotify_notification *notification, const unotify_roots *roots, int dirfd, uint64_t path_addr,
    const unotify_open_how *how);

/** unotify_notification_reopen() and unotify_notification_reply_fd() in one, close-on-exec with
 * `O_CLOEXEC`. If that has to wait, for a FIFO's other end, a thread of the library's does, until
 * a signal ends that as in the target; `notification` is empty then. `EAGAIN` if 1,024 wait. */
unotify_status unotify_notification_reply_open(unotify_notification *notification, int fd,
                                               int flags, mode_t mode);

/** If a signal waits for the target, ends its call as the kernel would (`EINTR`, or it is made
 * again), and `*interrupted` is 1. For who lets a call wait, every 10 ms: see unotify(7). */
unotify_status unotify_notification_reply_interrupted(unotify_notification *notification,
                                                      int *interrupted);

/** Creates a file `name` in `directory`, after unotify_notification_open_parent(), and opens it, as
 * the target would: less its umask or by the directory's default list, owned by its user and
 * group. **The supervisor's rights count**: see "Opening what a target names" in unotify(7).
 * Errors: SYSTEM with the `errno` to answer with, `EEXIST` for what is there. */
unotify_status unotify_notification_create(unotify_notification *notification, int directory,
                                           const char *name, int flags, mode_t mode, int *fd);

/** The same for `mkdirat(2)`. */
unotify_status unotify_notification_mkdir(unotify_notification *notification, int directory,
                                          const char *name, mode_t mode);
/** The same for `mknodat(2)`. */
unotify_status unotify_notification_mknod(unotify_notification *notification, int directory,
                                          const char *name, mode_t mode, dev_t device);

/** Opens with `O_PATH` what the path in the `len` bytes at `addr`, a `struct sockaddr_un`, leads
 * the target to. Errors: as unotify_notification_open(); INVALID_ARGUMENT without a path. */
unotify_status unotify_notification_open_socket(unotify_notification *notification,
                                                const void *addr, size_t len, int *fd);

/** Connects the target's socket to the `len` bytes at `addr`, a `struct sockaddr` that was read and
 * decided on, and answers with what comes of it, be it an error. If that has to wait, a thread of
 * the library's does, until the target ends or a signal comes for it; `notification` is empty
 * then, and a handler returns `UNOTIFY_HANDLED`. `file` is -1, or what
 * unotify_notification_open_socket() opened, to take that for the path of a Unix socket. The
 * supervisor's rights count, and the peer sees the supervisor (`SO_PEERCRED`).
 * Errors, and the target goes on waiting: those of unotify_notification_get_fd() and of
 * unotify_notification_open_socket(); SYSTEM with `EAGAIN` when 1,024 calls wait already. */
unotify_status unotify_notification_reply_connect(unotify_notification *notification, int target_fd,
                                                  const void *addr, size_t len, int file);

/* ---- Target: who it is ----------------------------------------------------------------------- */

/** Who makes a call, as the supervisor's namespaces number it. Users and groups without a number
 * there are the overflow number (65534). Capabilities of another user namespace mean nothing. */
typedef struct unotify_identity {
    size_t size;                  /**< `sizeof(unotify_identity)`, set by the caller. */
    pid_t tgid;                   /**< The process (the thread group). */
    uid_t uid;                    /**< The real user. */
    uid_t euid;                   /**< The effective user. */
    uid_t fsuid;                  /**< The user that access to files is decided for. */
    gid_t gid;                    /**< The real group. */
    gid_t egid;                   /**< The effective group. */
    gid_t fsgid;                  /**< The group that access to files is decided for. */
    uint32_t umask;               /**< What is taken away from the permissions of new files. */
    uint64_t capabilities;        /**< Effective ones in its own user namespace, `1 << CAP_*`. */
    uint32_t same_user_namespace; /**< 1 if that is the supervisor's, 0 also if it is unknown. */
    uint32_t reserved;            /**< Always 0. */
} unotify_identity;

/** Fills in who the target is, read in one go. */
unotify_status unotify_notification_identity(unotify_notification *notification,
                                             unotify_identity *identity);

/** Copies the target's supplementary groups, 65536 at most, to `out`, and their number to `*count`.
 * Errors: TOO_LONG when there are more than `cap`. */
unotify_status unotify_notification_groups(unotify_notification *notification, gid_t *out,
                                           size_t cap, size_t *count);

/** Copies the path of the target's program into `buf`, as the supervisor sees it (`/proc/TID/exe`),
 * with " (deleted)" behind it if it has no name any more. Errors: TOO_LONG beyond `cap` bytes. */
unotify_status unotify_notification_executable(unotify_notification *notification, char *buf,
                                               size_t cap);

/** Opens the target's root directory with `O_PATH`: for a container, its own file system. */
unotify_status unotify_notification_open_root(unotify_notification *notification, int *fd);

/** What is mounted, with the target's root and working directory. */
#define UNOTIFY_NAMESPACE_MOUNT (1U << 0)
/** Users: its root, if it has one, with all capabilities there. */
#define UNOTIFY_NAMESPACE_USER (1U << 1)
#define UNOTIFY_NAMESPACE_NET (1U << 2) /**< Network. */

/** Returns 0, with `*value` and a descriptor in `*fd` (0 and -1 at first), or a positive error
 * number. **It may only do what is async-signal-safe.** */
typedef int (*unotify_run_function)(void *data, int64_t *value, int *fd);

/** Runs `function` in namespaces of the target (`UNOTIFY_NAMESPACE_*`), to mount what it asks for,
 * or to open a socket on its network: in a copy of this process, as after `fork(2)`, which is
 * killed after `timeout_ms`. What it gives goes to `*value` and `*fd` (each may be NULL). The
 * rights are the supervisor's. See "In a target's namespaces" in unotify(7).
 * Errors: SYSTEM, or what else it means, with the number that the function returned; PERMISSION
 * when the supervisor may not join them; TIMEOUT. */
unotify_status unotify_notification_run_in(unotify_notification *notification, uint32_t namespaces,
                                           int timeout_ms, unotify_run_function function,
                                           void *data, int64_t *value, int *fd);

/* ---- Supervisor --------------------------------------------------------------------------------
 *
 * Handlers get the `data` that they were set with; both must be usable until the supervisor is
 * freed. Setting one fails with `UNOTIFY_ERR_INVALID_ARGUMENT` while the supervisor runs. */

#define UNOTIFY_SUPERVISOR_KEEP_RUNNING (1U << 0)     /**< Runs on without a listener. */
#define UNOTIFY_SUPERVISOR_DRAIN_ON_STOP (1U << 1)    /**< A stop answers what is pending. */
#define UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL (1U << 2) /**< A signal ends the run. */

#define UNOTIFY_WAKE_UP_AUTO 0  /**< Switched by measuring; on for many listeners. */
#define UNOTIFY_WAKE_UP_SYNC 1  /**< Waking hands over the processor: for one target (Linux 6.6). */
#define UNOTIFY_WAKE_UP_ASYNC 2 /**< It does not: can be better for several busy targets. */

/** How a supervisor is to work. */
typedef struct unotify_supervisor_opts {
    size_t size;          /**< `sizeof(unotify_supervisor_opts)`. */
    uint32_t max_workers; /**< Handlers that may run at once, up to 1024. 0 is 1: never two. */
    int fallback_error;   /**< Positive, for notifications that nobody answers. 0 is `ENOSYS`. */
    uint32_t flags;       /**< `UNOTIFY_SUPERVISOR_*`. */
    uint32_t wake_up;     /**< `UNOTIFY_WAKE_UP_*`. */
} unotify_supervisor_opts;

#define UNOTIFY_HANDLED 0     /**< Answered, or left to the fallback error. */
#define UNOTIFY_DEFERRED 1    /**< From now on the handler's, to answer and free on any thread. */
#define UNOTIFY_NOT_HANDLED 2 /**< For the default handler, and then the fallback error. */
#define UNOTIFY_FAILED 3      /**< As handled, but the run ends with `UNOTIFY_ERR_HANDLER`. */

#define UNOTIFY_HANDLER_BLOCKING (1U << 0) /**< It waits for something: another worker receives. */

/** Handles a notification and returns `UNOTIFY_HANDLED`, `UNOTIFY_DEFERRED`, `UNOTIFY_NOT_HANDLED`
 * or `UNOTIFY_FAILED`; any other number counts as `UNOTIFY_HANDLED`. The notification is lent for
 * the call: freeing it before `UNOTIFY_DEFERRED` was returned only answers it. It must not jump
 * out of the call (`longjmp`), nor return in a copy of the process that it forked, nor **end its
 * thread** (`pthread_exit`, cancellation): that ends the program. So does a C++ exception that it
 * lets out; on x86_64 and aarch64 it is caught, counted, and answered with the fallback error. */
typedef int (*unotify_handler)(unotify_notification *notification, void *data);

/** Is told that a listener, added with `listener_data`, has left. It may do what a handler may. */
typedef void (*unotify_close_handler)(void *listener_data, void *data);
/** Makes a supervisor. `opts` may be NULL. */
unotify_status unotify_supervisor_new(const unotify_supervisor_opts *opts,
                                      unotify_supervisor **out);

/** Serves one more listener, also while running, and takes ownership of it unless this returns
 * `UNOTIFY_ERR_INVALID_ARGUMENT`. `data` is for unotify_notification_listener_data().
 * Errors: SYSTEM when the kernel has no room to watch it. */
unotify_status unotify_supervisor_add_listener(unotify_supervisor *supervisor,
                                               unotify_listener *listener, void *data);

/** Gives back a listener that was added with `data`, the first if there are several, also while
 * running. What is pending stays with it, for whoever receives from it next; what was received,
 * even at this moment, is handled, and then unotify_supervisor_on_close() tells. A run ends with
 * its last listener. May be called from a handler, but while unotify_supervisor_dispatch() is
 * under way not from another thread. Errors: CLOSED when no listener with that data is served. */
unotify_status unotify_supervisor_take_listener(unotify_supervisor *supervisor, void *data,
                                                unotify_listener **out);

/** unotify_supervisor_take_listener(), and frees it: it is closed once what was received is
 * answered; the kernel answers what is pending, and its targets' later calls, with `ENOSYS`. */
unotify_status unotify_supervisor_remove_listener(unotify_supervisor *supervisor, void *data);

/** Sets a handler for a system call, on every architecture that has it. Several for one call are
 * asked in the order in which they were set, until one returns something else than
 * `UNOTIFY_NOT_HANDLED`. `flags` is 0 or `UNOTIFY_HANDLER_BLOCKING`. It runs on any thread of the
 * run, with `max_workers` above 1 on several at a time. Errors: UNKNOWN_SYSCALL. */
unotify_status unotify_supervisor_on(unotify_supervisor *supervisor, const char *syscall,
                                     uint32_t flags, unotify_handler handler, void *data);

/** unotify_supervisor_on() for every system call that has no handler, or none that handled it. */
unotify_status unotify_supervisor_on_default(unotify_supervisor *supervisor,
                                             unotify_handler handler, void *data);

/** Has `told` called once for each listener that has left: its targets have ended, it broke, or was
 * removed or taken, and no handler is or will be at work on its notifications. Its data may be
 * freed then, but notifications that a handler has deferred show it until they are freed. It
 * counts as a handler; while there is no run, it runs on the thread that removes the listener, or
 * frees the supervisor with all that are left. See "Listeners that leave" in unotify(7). */
unotify_status unotify_supervisor_on_close(unotify_supervisor *supervisor,
                                           unotify_close_handler told, void *data);

/** Serves the listeners on this thread, until stopped or until the last listener closes.
 * Errors: STOPPED when stopped; HANDLER after a handler's `UNOTIFY_FAILED`; INVALID_ARGUMENT when
 * it runs already; what the kernel said of a listener that broke, after the others were served. */
unotify_status unotify_supervisor_run(unotify_supervisor *supervisor);

/** Does what unotify_supervisor_run() does in the background.
 * Errors: INVALID_ARGUMENT when it runs already or was not joined; SYSTEM if it gets no thread. */
unotify_status unotify_supervisor_start(unotify_supervisor *supervisor);

/** Ends the current run, or else the next one at once. Handlers that are at work finish; what was
 * received is answered. May be called from any thread, a handler and a signal handler. */
unotify_status unotify_supervisor_stop(unotify_supervisor *supervisor);

/** Waits for the end of what unotify_supervisor_start() began, and tells one thread how it ended.
 * Errors: as unotify_supervisor_run(); TIMEOUT; INVALID_ARGUMENT when not started, or joined. */
unotify_status unotify_supervisor_join(unotify_supervisor *supervisor, int timeout_ms);

/** A descriptor for an event loop, which remains the supervisor's; -1 for NULL. It polls readable
 * when unotify_supervisor_dispatch() has something to do, and now and then when not. */
int unotify_supervisor_fd(const unotify_supervisor *supervisor);

/** Handles what is pending, at most some dozens of notifications, on this thread, without blocking.
 * How many they were goes to `*handled`, unless that is NULL: an edge-triggered loop goes on until
 * it is 0. Nobody else may receive from its listeners, or this may wait for a notification.
 * Errors: as unotify_supervisor_run(), but STOPPED only once for each stop; CLOSED after the last
 * listener. */
unotify_status unotify_supervisor_dispatch(unotify_supervisor *supervisor, size_t *handled);

/** Frees a supervisor and its listeners. A run in the background is stopped first, and the handlers
 * at work are waited for; a run on another thread must have returned. Not from a handler. Deferred
 * notifications remain usable. */
void unotify_supervisor_free(unotify_supervisor *supervisor);

/** What a supervisor has done since it was made. */
typedef struct unotify_stats {
    size_t size;                   /**< `sizeof(unotify_stats)`, set by the caller. */
    uint64_t received;             /**< Notifications received. */
    uint64_t values;               /**< Answered with a value. */
    uint64_t errors;               /**< Answered with an error by a handler. */
    uint64_t continued;            /**< Continued. */
    uint64_t fds;                  /**< Answered with a descriptor. */
    uint64_t fallbacks;            /**< Answered with the fallback error: nobody else did. */
    uint64_t gone;                 /**< Gone before they were answered. */
    uint64_t deferred;             /**< Deferred; counted once more when answered or freed. */
    uint64_t deferred_outstanding; /**< Deferred and not freed so far. */
    uint64_t panics;               /**< Handlers that threw (in C++) or panicked (in Rust). */
    uint64_t failed;               /**< Handlers that returned `UNOTIFY_FAILED`. */
    uint64_t listeners;            /**< Listeners served now. */
    uint64_t workers;              /**< Worker threads now, also to receive and for stuck ones. */
    uint64_t workers_max;          /**< The most workers there ever were. */
    uint64_t slowest_handler_ns;   /**< The longest time of one handler, of those sampled. */
    uint64_t workers_stuck;        /**< Workers now stuck in a call that the target prolongs. */
} unotify_stats;

/** Fills in what it has done so far. */
unotify_status unotify_supervisor_stats(const unotify_supervisor *supervisor,
                                        unotify_stats *stats);

/** Is told that a process has ended. It must return: neither jump out of the call nor end its
 * thread. An exception is treated as a handler's is. */
typedef void (*unotify_exit_handler)(pid_t process, void *data);

/** Sets the function that is told of the end of a target's process, once for each that a handler
 * **has asked for** by unotify_notification_watch_exit(). The last one set counts. It runs as a
 * handler does, never two at a time, and before a handler sees a call of another process with the
 * same id. It is to be brief: a handler waits for it up to a tenth of a second. What it costs for
 * each notification, and what may come after it, is in "Ends of processes" in unotify(7). */
unotify_status unotify_supervisor_on_exit(unotify_supervisor *supervisor,
                                          unotify_exit_handler function, void *data);

/** Has the function of unotify_supervisor_on_exit() told of the end of the target's process, and
 * gives its id (the thread group) to `process` unless that is NULL (Linux 5.3). Asking again
 * changes nothing. After success the notice is certain, after `UNOTIFY_ERR_GONE` there is none.
 * Errors: INVALID_ARGUMENT when no supervisor handed it out, or no function was set. */
unotify_status unotify_notification_watch_exit(unotify_notification *notification, pid_t *process);

/* ---- Spawn ----------------------------------------------------------------------------------- */

/** The child is killed (`SIGKILL`) when the calling process ends, however it ends. */
#define UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH (1U << 0)
/** It and all it starts are in a pid namespace, killed likewise. This takes `CAP_SYS_ADMIN`. */
#define UNOTIFY_SPAWN_PID_NAMESPACE (1U << 1)

/** A descriptor for the program. All are put in place at once, and may be each other's numbers. */
typedef struct unotify_fd_map {
    int parent_fd; /**< The caller's descriptor, close-on-exec or not. */
    int child_fd;  /**< Its number in the program: 0, 1 and 2 are the standard streams. */
} unotify_fd_map;

/** How to start a program. By default in the caller's directory, with what is not close-on-exec. */
typedef struct unotify_spawn_opts {
    size_t size;                   /**< `sizeof(unotify_spawn_opts)`. */
    uint32_t load_flags;           /**< `UNOTIFY_LOAD_*`, but for `UNOTIFY_LOAD_TSYNC`. */
    uint32_t flags;                /**< `UNOTIFY_SPAWN_*`. */
    const char *working_directory; /**< Where it starts; `file` and `PATH` may be relative to it. */
    const unotify_fd_map *fds;     /**< Descriptors for it; the last for a number counts. */
    size_t n_fds;                  /**< How many there are at `fds`. */
} unotify_spawn_opts;

/** Starts the program `file` under a filter, which acts from the program's own `execve` on and may
 * notify every call. A name without a slash is looked up in the caller's `PATH`. `argv` and `envp`
 * are as for `execve(2)`, but an `envp` of NULL is the caller's environment, which no other thread
 * may change meanwhile. `opts` may be NULL. Returns when the program runs, or when its `execve`
 * waits for the supervisor: for a failure after that see unotify_child_exec_error(). The child
 * must be waited for, by unotify_child_wait(), or since Linux 6.11 by `waitpid(2)`: before, the
 * library may have done so. What it inherits is in "Starting a program" in unotify(7).
 * Errors, after which neither child nor descriptor is left over: with the `errno` of `execve`,
 * SYSTEM when the program is not found or of an unknown format and PERMISSION when it may not be
 * executed; with that of `chdir` for the working directory; PERMISSION for a pid namespace without
 * `CAP_SYS_ADMIN`; BUSY when the calling thread has a filter with a listener, which is inherited;
 * INVALID_ARGUMENT without `argv[0]`; others of unotify_filter_load(); SYSTEM or NO_MEMORY without
 * room for a process or thread; with `ECANCELED` when a signal has killed it before its
 * `execve`. */
unotify_status unotify_spawn(const unotify_filter *filter, const char *file, char *const *argv,
                             char *const *envp, const unotify_spawn_opts *opts,
                             unotify_child **out);

/** The child's process id, which may name another process once it was waited for; -1 for NULL. */
pid_t unotify_child_pid(const unotify_child *child);

/** A descriptor for the process (a pidfd), which remains the child's and polls readable when it has
 * ended; -1 for NULL, or with `errno` when there is none: `ENOSYS` before Linux 5.2. */
int unotify_child_pidfd(const unotify_child *child);

/** Hands out the child's listener. If nobody takes it, it is freed with the child.
 * Errors: INVALID_ARGUMENT when it was taken before. */
unotify_status unotify_child_take_listener(unotify_child *child, unotify_listener **out);

/** Waits for the child to end, and gives its status, in the form of `waitpid(2)`, to `wstatus`
 * unless that is NULL; again if called again. Others must answer its notifications meanwhile.
 * Errors: TIMEOUT; SYSTEM with `ECHILD` when it was waited for elsewhere, or `SIGCHLD` ignored. */
unotify_status unotify_child_wait(unotify_child *child, int timeout_ms, int *wstatus);

/** Sends the child a signal, never another process that got the same id; 0 only asks for the child.
 * Errors: SYSTEM with `ESRCH` when it was waited for; PERMISSION when it became another user's. */
unotify_status unotify_child_kill(unotify_child *child, int sig);

/** The error number of the child's `execve`, if it failed after unotify_spawn() had returned:
 * because the supervisor refused the call, or continued it and the kernel refused. The child then
 * exits with status 127, or dies by `SIGILL` if it may not exit. Else 0, so far; also for NULL. */
int unotify_child_exec_error(const unotify_child *child);

/** Frees the handle, and the listener if nobody took it: the child's pending and later notifying
 * calls fail with `ENOSYS` then. Neither kills the child nor waits for it. */
void unotify_child_free(unotify_child *child);

/** Starts the program `file` as unotify_spawn() does, serves it on this thread until it and all
 * that it has started have ended, and gives its status, in the form of `waitpid(2)`, to `wstatus`
 * unless that is NULL. Other listeners are served too, and this returns when the last has closed,
 * with `UNOTIFY_SUPERVISOR_KEEP_RUNNING` when stopped. The program's listener has no data (NULL).
 * Errors: those of unotify_spawn(), but `ECANCELED`, which is the program's end; with the `errno`
 * of `execve` also when a handler refused that call; those of unotify_supervisor_run(), so STOPPED
 * when stopped before the program has ended: it was killed and waited for then; what it has
 * started remains. */
unotify_status unotify_supervisor_run_program(
    unotify_supervisor *supervisor, const unotify_filter *filter, const char *file,
    char *const *argv, char *const *envp, const unotify_spawn_opts *opts, int *wstatus);

/** unotify_supervisor_run_program() for a process that is there for the program alone, as `env(1)`
 * is. **Until it returns it catches** `SIGINT`, `SIGQUIT`, `SIGTERM`, `SIGHUP` and `SIGTSTP` where
 * they have their default. What the terminal sends is left to the program, what other processes
 * send is sent on, and a second `SIGTERM` kills it; this process stops and goes on with it. See
 * "Standing in for a program" in unotify(7). unotify_exit_like() is to follow.
 * Errors: as there; INVALID_ARGUMENT while another thread is at the same. */
unotify_status unotify_supervisor_stand_in_for(
    unotify_supervisor *supervisor, const unotify_filter *filter, const char *file,
    char *const *argv, char *const *envp, const unotify_spawn_opts *opts, int *wstatus);

/** Ends the calling process, as `exit(3)` does, like one with this `waitpid(2)` status: with its
 * exit status, or killed by its signal; with 128 and the signal's number where that cannot be. */
void unotify_exit_like(int wstatus) __attribute__((noreturn));

/* ---- Agent -------------------------------------------------------------------------------------
 *
 * Container runtimes (runc, crun, youki) connect to the socket that a profile names and send a
 * container's state with its listener: see docs/oci.md. What a runtime leaves out is "" or 0. */

/** Is told, in a sentence, of a connection that an agent has refused, and why. It must return. */
typedef void (*unotify_agent_log)(const char *sentence, void *data);

/** How an agent is to work. */
typedef struct unotify_agent_opts {
    size_t size;           /**< `sizeof(unotify_agent_opts)`. */
    uint32_t mode;         /**< Permissions of its socket, whatever the umask. 0 is 0600. */
    uint32_t max_fds;      /**< Descriptors that may come with a state, up to 253. 0 is 16. */
    size_t max_message;    /**< Bytes that a state may have. 0 is 1 MiB. */
    int time_limit_ms;     /**< Milliseconds that a connection may take for it. 0 is 10,000. */
    uint32_t n_users;      /**< How many there are at `users`. 0: root and this process's user. */
    const uid_t *users;    /**< The users who are listened to (`SO_PEERCRED`). */
    unotify_agent_log log; /**< Is told of what is refused. NULL: nobody is. */
    void *log_data;        /**< For `log`. */
} unotify_agent_opts;

/** Makes an agent with a socket at `path`, which profiles name as `listenerPath` and which goes
 * with the agent. One that is there is replaced if it is this user's and nobody listens on it.
 * `opts` may be NULL; `log` may be called on any thread that uses the agent.
 * Errors: with `EADDRINUSE` BUSY when somebody listens there, PERMISSION when it is another
 * user's, SYSTEM when it is no socket; else with that of `bind(2)`; INVALID_ARGUMENT for more than
 * 107 bytes. */
unotify_status unotify_agent_new(const char *path, const unotify_agent_opts *opts,
                                 unotify_agent **out);

/** Makes an agent on a Unix stream socket that listens: on a duplicate, and it does not block from
 * then on. With -1 it is the one that a service manager passed (`LISTEN_FDS`), to be taken once.
 * Errors: INVALID_ARGUMENT when it is no such socket, or not one was passed. */
unotify_status unotify_agent_from_socket(int socket, const unotify_agent_opts *opts,
                                         unotify_agent **out);

/** A descriptor for an event loop, which remains the agent's; -1 for NULL. It polls readable when
 * unotify_agent_accept() has something to do, which may bring no container. */
int unotify_agent_fd(const unotify_agent *agent);

/** Waits for the next container. A connection that brings none is refused and logged, and delays
 * nobody.
 * Errors: TIMEOUT; STOPPED by unotify_agent_interrupt(); SYSTEM when the socket is broken; CLOSED
 * when the agent was handed over. */
unotify_status unotify_agent_accept(unotify_agent *agent, int timeout_ms, unotify_container **out);

/** Ends one unotify_agent_accept() or unotify_agent_serve() that is under way, or else the next at
 * once. May be called from any thread and from a signal handler. */
unotify_status unotify_agent_interrupt(unotify_agent *agent);

/** Is given a container, to keep or free. Returns 0 to have it served, with `*listener_data`, which
 * is `container` at first, for unotify_notification_listener_data(); else its calls fail with
 * `ENOSYS`. It must return. */
typedef int (*unotify_container_handler)(unotify_container *container, void *data,
                                         void **listener_data);

/** Serves all containers with the handlers of `supervisor`, until interrupted. `on_container` is
 * told of each first, on this thread; handlers run on the library's. What it gave comes back by
 * unotify_supervisor_on_close(). After the return the listeners are still the supervisor's.
 * Errors: INVALID_ARGUMENT without `UNOTIFY_SUPERVISOR_KEEP_RUNNING`; those of
 * unotify_agent_accept(), but an interruption is none; those of unotify_supervisor_run(). */
unotify_status unotify_agent_serve(unotify_agent *agent, unotify_supervisor *supervisor,
                                   unotify_container_handler on_container, void *data);

/** Gives everything to another process, which calls unotify_agent_take_over() at the other end of
 * `socket`, a Unix stream socket: the agent's socket, and the containers that `supervisor` (NULL:
 * none) serves or nobody has accepted. They wait meanwhile, and none of their calls fails. After
 * an error all is here, and the containers come again. See "Replacing an agent" in unotify(7).
 * Errors: CLOSED when the other side hangs up; TIMEOUT without an answer in `time_limit_ms`;
 * PERMISSION for a user who is not listened to. */
unotify_status unotify_agent_hand_over(unotify_agent *agent, unotify_supervisor *supervisor,
                                       int socket);

/** Makes an agent of that; the containers come again.
 * Errors: as there, and the old one goes on; INVALID_ARGUMENT for another version. */
unotify_status unotify_agent_take_over(int socket, const unotify_agent_opts *opts,
                                       unotify_agent **out);

/** Takes a container's listener back, as if that had just come. Takes ownership on success only.
 * Errors: INVALID_ARGUMENT when it came from no agent; CLOSED when this one was handed over. */
unotify_status unotify_agent_put_back(unotify_agent *agent, unotify_listener *listener);

/** Frees an agent and removes its socket. Containers that were accepted stay as they are. */
void unotify_agent_free(unotify_agent *agent);

/** The container's name among those of its runtime; its user may have chosen it. */
const char *unotify_container_id(const unotify_container *container);
/** The directory that it was described in. crun says "." for `exec`. */
const char *unotify_container_bundle(const unotify_container *container);
/** "creating", "created", "running" or "stopped", or what a runtime has beyond these. */
const char *unotify_container_status(const unotify_container *container);
/** What the profile says in `listenerMetadata`. */
const char *unotify_container_metadata(const unotify_container *container);
/** The version of the OCI runtime specification that the runtime goes by. */
const char *unotify_container_version(const unotify_container *container);
/** The annotation `key`; NULL if there is none. */
const char *unotify_container_annotation(const unotify_container *container, const char *key);
/** The key of the annotation number `index`, from 0; NULL beyond the last. */
const char *unotify_container_annotation_key(const unotify_container *container, size_t index);
/** The process under the filter, **as the runtime numbers it**; it may have ended. -1 for NULL. */
pid_t unotify_container_pid(const unotify_container *container);
/** The container's first process, likewise: after `exec` it is another. */
pid_t unotify_container_init_pid(const unotify_container *container);

/** A descriptor that came with the listener, by its name, open as long as container and listener
 * are; -1 if there is none. The runtimes of today send no other. */
int unotify_container_fd(const unotify_container *container, const char *name);

/** 1 if another agent has handed it over, else 0; also for NULL. */
int unotify_container_was_handed_over(const unotify_container *container);

/** Hands out the container's listener. If nobody takes it, it is freed with the container.
 * Errors: INVALID_ARGUMENT when it was taken before. */
unotify_status unotify_container_take_listener(unotify_container *container,
                                               unotify_listener **out);

/** Frees a container, and its listener if nobody took it: its notifying calls get `ENOSYS`. */
void unotify_container_free(unotify_container *container);

/* ---- Probe ----------------------------------------------------------------------------------- */

#define UNOTIFY_PROBE_WORKS 1     /**< It works. */
#define UNOTIFY_PROBE_FAILS 2     /**< It does not. */
#define UNOTIFY_PROBE_NOT_TRIED 3 /**< Something that it takes does not work. */

/** One thing that a supervisor does, and whether it can here. */
typedef struct unotify_probe_part {
    size_t size;        /**< `sizeof(unotify_probe_part)`, set by the caller. */
    const char *name;   /**< What it is called, such as "receive": unotify(7) has them all. */
    const char *detail; /**< A sentence: why it does not work, as far as can be told. Never NULL. */
    uint32_t outcome;   /**< `UNOTIFY_PROBE_*`. */
    int errnum;         /**< The error number of what does not work, or 0. */
    int is_basic;       /**< 1 if there is no supervisor without it, or 0. */
    uint32_t reserved;  /**< Always 0. */
} unotify_probe_part;

/** Tries what a supervisor does, with a thread and a child of its own, and notes for each part
 * whether it works here, and if not why: a container's seccomp profile or a security module may
 * forbid what unotify_features() has. `timeout_ms`, positive, is for each wait; at most a few are
 * needed. Leaves no child, thread or descriptor behind. What does not work is no error. */
unotify_status unotify_probe_new(int timeout_ms, unotify_probe **out);

/** 1 if programs can be supervised here, be it without this or that, else 0; also for NULL. */
int unotify_probe_basics_work(const unotify_probe *probe);
/** Fills in the part number `index`, from 0. Errors: INVALID_ARGUMENT beyond the last. */
unotify_status unotify_probe_get(const unotify_probe *probe, size_t index,
                                 unotify_probe_part *part);
/** Frees what a probe has found, with its strings. */
void unotify_probe_free(unotify_probe *probe);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* UNOTIFY_H */
