/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/**
 * libunotify: write seccomp user-notification supervisors.
 *
 * A *supervisor* answers system calls on behalf of a *target* whose seccomp filter says "notify".
 * Loading a filter gives a *listener*. The supervisor receives *notifications* from it and answers
 * each once: with a value, an error, or by letting the call continue. See seccomp_unotify(2).
 *
 * Errors. Every function that can fail returns a `unotify_status`: UNOTIFY_OK is 0, errors are
 * negative. It then also sets `errno` to the kernel's error number, or the nearest to it, and keeps
 * a sentence for unotify_last_error(), per thread. Results go out through pointers, which are left
 * untouched on failure. A pointer may be NULL where it says so. NULL elsewhere, a flag that is not
 * defined and a number out of range give UNOTIFY_ERR_INVALID_ARGUMENT, never a crash; other
 * pointers must be valid: live handles, strings with their NUL, buffers as long as is said.
 * Functions list only what more there is to know about their errors.
 *
 * Ownership. Handles are opaque. One that is given out is the caller's, to be freed with the
 * `_free` function of its type, which does nothing for NULL and never waits for a target. A string
 * or `const` pointer that is returned is the library's. Descriptors that are passed in remain the
 * caller's, unless it says otherwise; those that are given out are the caller's to close, and
 * close-on-exec.
 *
 * Threads. Listeners, supervisors and children may be shared between threads. A filter and a
 * notification belong to one thread at a time, and may be handed on. Freeing ends all sharing.
 *
 * Structures. One that begins with `size_t size` may grow: set `size` to its sizeof, and what you
 * do not use to zero (UNOTIFY_OPTS() does). As options, NULL and every zero field mean the default,
 * and an option of a later version gives UNOTIFY_ERR_UNSUPPORTED. One that the library fills in is
 * written as far as its `size` goes; what it has beyond this version's becomes zero.
 *
 * Signals. Interrupted system calls are tried again and the program's handlers run as usual, except
 * where UNOTIFY_RECEIVE_RETURN_ON_SIGNAL or UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL asks for a return.
 * To get a thread out of a receive the library reserves SIGSTKFLT, which Linux itself never sends:
 * the first receive or run installs a handler for it, unless the program has one, and unblocks it
 * on its thread, which must leave it so. It is sent only to a thread that is receiving, and
 * interrupts nothing else. A program that resets its signals need not spare it: it is checked
 * before each use, and put back. With a handler of the program's own for it, the library does
 * without, a little slower. The library's threads block all other signals.
 *
 * Targets that stall. unotify_notification_read(), _write(), _open(), _reopen() and those whose
 * names begin so last as long as a target likes that provides its memory or files itself
 * (userfaultfd, FUSE); so may close() of what was opened. A supervisor replaces a worker that is
 * stuck in one for 100 ms, at most 64 of them, beyond `max_workers`. When the call returns the
 * worker waits to be let in again: handlers that must not overlap still run one at a time, but one
 * may run during such a call of another. A run in the background that is stopped does not wait for
 * it; once the supervisor is freed it never returns to its handler, whose thread sleeps until the
 * program ends. Serve targets that do not trust each other with a supervisor each.
 *
 * Fork. A copy of the process that fork() made has copies of the handles and no threads. There,
 * freeing only frees: no target is answered, no run stopped, nothing waited for.
 * unotify_supervisor_stop() does nothing, even from an inherited signal handler; what runs a
 * supervisor or adds to it fails with UNOTIFY_ERR_INVALID_ARGUMENT. What a copy asks for by name is
 * done: a `_reply_` answers the target, and the parent's fails with UNOTIFY_ERR_GONE;
 * unotify_listener_receive() takes notifications away from the parent; unotify_child_kill() signals
 * the parent's child, and unotify_child_wait() fails with ECHILD. Targets of a parent that is gone
 * wait as long as a copy has the listener's descriptor: until it frees the listener and its
 * notifications, ends, or executes a program; for a supervisor that ran in the background, only
 * until one of the latter. A handler that forks must not return in the copy.
 *
 * Cancellation. No function here is a cancellation point: pthread_cancel() takes effect once the
 * call has returned as if nothing had been asked for, so nothing is lost; for
 * unotify_supervisor_run() that is when the run ends. The library's threads cannot be cancelled.
 * Not for threads with asynchronous cancellation.
 *
 * Memory. When there is none left, the library ends the program (abort()), as programs in Rust do.
 * Receiving into an existing handle, looking at the request and answering it allocate nothing.
 *
 * Unloading. dlclose() leaves the library in memory, as its signal handler stays. A plugin that
 * libunotify.a is linked into must be linked with `-z nodelete` for the same reason.
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

/** The supervising end of a filter that notifies. Owns its descriptor. May be shared between
 * threads, but for unotify_listener_free() and unotify_listener_into_fd(). */
typedef struct unotify_listener unotify_listener;

/** A system call that a target waits on, to be answered once; freed unanswered, it gets the
 * fallback error. Belongs to one thread at a time. Keeps the listener's descriptor open. */
typedef struct unotify_notification unotify_notification;

/** Serves listeners. May be shared between threads, but for unotify_supervisor_free(). */
typedef struct unotify_supervisor unotify_supervisor;

/** A program that was started. May be shared between threads, but for unotify_child_free(): one can
 * kill while another waits. */
typedef struct unotify_child unotify_child;

/** What a probe has found. May be shared between threads, but for unotify_probe_free(). */
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

/** Copies a sentence about the calling thread's last error into `buf`, cut to `len` bytes with its
 * NUL, and returns the length of the whole sentence without NUL: `len` or more means that it was
 * cut. Empty if nothing has failed on this thread; success does not clear it. `buf` may be NULL if
 * `len` is 0. */
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

/** What the running kernel offers, as `UNOTIFY_FEATURE_*` bits. Asks it on every call, and never
 * fails: what cannot be asked is not offered. */
uint64_t unotify_features(void);

/* ---- Architectures and system calls ------------------------------------------------------------
 *
 * `arch` is the kernel's `AUDIT_ARCH_*` value, but for x32, which the kernel tells from x86_64 by
 * the number of the call; 0 is the native architecture. Names are libseccomp's. */

/** The architecture that the library was compiled for. */
uint32_t unotify_arch_native(void);

/** The number of an architecture by libseccomp's name for it, short ("x86_64", "aarch64") or long
 * ("SCMP_ARCH_X86_64"), or "native".
 * Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`. */
unotify_status unotify_arch_from_name(const char *name, uint32_t *arch);

/** libseccomp's short name of an architecture, such as "x86_64"; NULL for a number that is not
 * one. */
const char *unotify_arch_name(uint32_t arch);

/** The number of a system call on an architecture.
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when `arch` has no such call, even if another one has;
 * `UNOTIFY_ERR_UNKNOWN_ARCH`. */
unotify_status unotify_syscall_from_name(uint32_t arch, const char *name, int *nr);

/** Copies the name of the system call with number `nr` into `buf`, with its NUL. 64 bytes are
 * enough for every name.
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`; `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_TOO_LONG` with
 * `ERANGE` when `len` is too small. */
unotify_status unotify_syscall_name(uint32_t arch, int nr, char *buf, size_t len);

/* ---- Filter ----------------------------------------------------------------------------------
 *
 * The actions are the kernel's `SECCOMP_RET_*`; `UNOTIFY_ACTION_NOTIFY` is
 * `SECCOMP_RET_USER_NOTIF`. */

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
 * rule. It kills a process that makes a call of an architecture it was not told of: see
 * unotify_filter_add_arch().
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `default_action` is not a valid action. */
unotify_status unotify_filter_new(uint32_t default_action, unotify_filter **out);

/** Makes the filter decide about calls of `arch` too; the native one is there already. Add all
 * architectures before the first rule, so that every rule is for all of them; families may come
 * before.
 * Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_UNSUPPORTED` when the installed libseccomp does
 * not know it; `UNOTIFY_ERR_INVALID_ARGUMENT` when there are rules already, or when its byte order
 * is not the native one's. */
unotify_status unotify_filter_add_arch(unotify_filter *filter, uint32_t arch);

/** Does `action` for the calls of this name whose arguments meet all `n` conditions at `cmp` (NULL
 * if `n` is 0), on every architecture of the filter that has the call. A rule without conditions
 * overrides those with conditions for the same call, earlier and later, and of two rules without,
 * the first counts; neither is an error.
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when no architecture of the filter has the call;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` when the action or a condition is not valid, an argument comes
 * twice, the action is the filter's default action, or an earlier rule has the same conditions and
 * another action. */
unotify_status unotify_filter_add_rule(unotify_filter *filter, uint32_t action, const char *syscall,
                                       const unotify_arg_compare *cmp, size_t n);

/** Notifies the supervisor of every call of this name: unotify_filter_add_rule() with
 * `UNOTIFY_ACTION_NOTIFY` and no condition, and with its errors. */
unotify_status unotify_filter_notify(unotify_filter *filter, const char *syscall);

/** Notifies the supervisor of all system calls that do the same job, on every architecture of the
 * filter, added before or after, and refuses those that would do it past the filter: `openat`
 * alone lets `open`, `openat2`, `creat` and io_uring by. `family` is "open", "exec", "connect",
 * "mount" or another of those that docs/families.md lists with what each holds; see
 * unotify_family_name(). A rule without conditions that a call has already counts, as in
 * unotify_filter_add_rule().
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when there is no such family, and for "connect" after
 * other rules where an architecture of the filter has `socketcall`; `UNOTIFY_ERR_UNSUPPORTED` when
 * the installed libseccomp does not know one of the calls. Nothing is added then. */
unotify_status unotify_filter_notify_family(unotify_filter *filter, const char *family);

/** The name of the family number `index`, from 0; NULL beyond the last. */
const char *unotify_family_name(size_t index);

/** Copies the filter into `buf` as the program that the kernel takes, a `struct sock_filter[]`.
 * `*len` is the size of `buf` in bytes, and becomes the length of the program. If `buf` is NULL
 * only the length is given.
 * Errors: `UNOTIFY_ERR_TOO_LONG` with `ERANGE` when `buf` is too small. `*len` is then the size it
 * takes: the one exception to results being left untouched on failure. */
unotify_status unotify_filter_export_bpf(const unotify_filter *filter, void *buf, size_t *len);

/** Writes the filter to `fd` as text for people, in libseccomp's Pseudo Filter Code.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open for writing; `UNOTIFY_ERR_SYSTEM`
 * when writing fails. */
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
 * each load gives a listener of its own.
 *
 * A filter that notifies nothing is loaded without a listener, and `*out` becomes NULL: so it can
 * go on top of one that has a listener, of which the kernel allows one in all filters of a thread.
 * If `out` is NULL any filter is loaded without one; the calls that it notifies fail with
 * `ENOSYS`.
 *
 * Once the filter is installed this function makes no system call, so it returns whatever the
 * filter notifies. But until the supervisor has the listener, the thread may only make calls that
 * are not notified: unotify_listener_to_socket() is a `sendmsg(2)`, any free() may be a
 * `munmap(2)`, and the thread's end is a call too. A supervisor in another process can take the
 * listener itself (unotify_listener_from_pid(), by a number agreed on through memory that both
 * see); unotify_spawn() works with every filter.
 * Errors: `UNOTIFY_ERR_BUSY` when the thread's filters have a listener already;
 * `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither no_new_privs nor
 * `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` for a program of more than the 4096 instructions
 * that the kernel takes; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.0, or 5.7 with
 * `UNOTIFY_LOAD_TSYNC`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when another thread has filters of its
 * own. */
unotify_status unotify_filter_load(const unotify_filter *filter, const unotify_load_opts *opts,
                                   unotify_listener **out);

/* ---- Listener -------------------------------------------------------------------------------- */

/** Makes a listener of a descriptor that came from elsewhere, and takes ownership of it; on failure
 * `fd` remains the caller's, open. Switches synchronous wake-up on where the kernel has it.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open or not a seccomp listener. */
unotify_status unotify_listener_from_fd(int fd, unotify_listener **out);

/** Duplicates the listener that process `pid` holds as descriptor `fd` (`pidfd_getfd(2)`, Linux
 * 5.6). The caller needs the right to trace that process.
 * Errors: `UNOTIFY_ERR_PERMISSION`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when there is no such
 * process; `UNOTIFY_ERR_INVALID_ARGUMENT` when it has no such descriptor or that is not a
 * listener; `UNOTIFY_ERR_UNSUPPORTED`. */
unotify_status unotify_listener_from_pid(pid_t pid, int fd, unotify_listener **out);

/** Receives a listener that came over a Unix socket (`SCM_RIGHTS`, with any payload of one byte):
 * the first descriptor of one message. Others that come with it are closed.
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT` when
 * what came is not a listener (it is closed), or `unix_socket` is not an open Unix socket;
 * `UNOTIFY_ERR_SYSTEM` with `EMFILE` when this process has no descriptor free: the message stays
 * in the socket for a later try, unless another thread took the last descriptor at that moment. */
unotify_status unotify_listener_from_socket(int unix_socket, unotify_listener **out);

/** Sends a duplicate of the listener over a Unix socket (`SCM_RIGHTS`), for
 * unotify_listener_from_socket(). The handle remains the caller's.
 *
 * This is a `sendmsg(2)`: a thread with a filter that notifies that call, or all calls, waits here
 * for ever, as nobody has the listener yet. Start such a target with unotify_spawn(), or let its
 * supervisor take the listener with unotify_listener_from_pid().
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT` when
 * `unix_socket` is not an open Unix socket. */
unotify_status unotify_listener_to_socket(const unotify_listener *listener, int unix_socket);

/** The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
 * notification is pending, and hung up when the last target has exited; before Linux 6.11, when
 * that was waited for: poll the child's descriptor beside it there. `POLLERR` alone means nothing:
 * a signal came while the kernel looked. Receive from it through the library only. */
int unotify_listener_fd(const unotify_listener *listener);

/** Frees the handle and gives its descriptor back, for the caller to close; -1 for NULL, or with
 * `errno` when notifications hold the descriptor and it cannot be duplicated. */
int unotify_listener_into_fd(unotify_listener *listener);

/** Waits for the next notification. As with `getline(3)`, if `*notification` is NULL a handle is
 * allocated, else that handle is used again; what it held is answered with the fallback error if
 * nobody has answered. The caller frees it in the end. On failure a handle that was given remains
 * the caller's and holds nothing.
 *
 * `timeout_ms` of -1 waits without limit, 0 does not wait. Interrupted calls are retried. One
 * thread at a time waits in the kernel, the others queue for it.
 * Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_CLOSED` when the last target has exited (kernels
 * before 5.9 do not tell; those before 6.11 do when it was waited for, which the library does for
 * a program that it started: see unotify_listener_watch_child()); `UNOTIFY_ERR_STOPPED` after
 * unotify_listener_set_interrupted(). */
unotify_status unotify_listener_receive(unotify_listener *listener, int timeout_ms,
                                        unotify_notification **notification);

/** A signal that is handled on this thread while it waits ends the receive with
 * `UNOTIFY_ERR_INTERRUPTED`, even if its handler was installed with `SA_RESTART`. */
#define UNOTIFY_RECEIVE_RETURN_ON_SIGNAL (1U << 0)

/** unotify_listener_receive() with `UNOTIFY_RECEIVE_*` flags. `UNOTIFY_RECEIVE_RETURN_ON_SIGNAL` is
 * for languages whose own signal handlers run when the call has returned. It costs a `ppoll` for
 * each notification, and a signal that is handled just before the wait begins does not end it. */
unotify_status unotify_listener_receive_with(unotify_listener *listener, int timeout_ms,
                                             uint32_t flags, unotify_notification **notification);

#define UNOTIFY_REPLY_NONE 0     /**< Answers nothing. */
#define UNOTIFY_REPLY_VALUE 1    /**< As unotify_notification_reply_value(). */
#define UNOTIFY_REPLY_ERROR 2    /**< As unotify_notification_reply_error(): a positive `value`. */
#define UNOTIFY_REPLY_CONTINUE 3 /**< As unotify_notification_reply_continue(): `value` is 0. */

/** Answers what `notification` holds, then receives the next one into the same handle, as
 * unotify_listener_receive() does: the two calls of a loop in one, for languages in which each
 * call of C costs something. `reply` is one of `UNOTIFY_REPLY_*`; with `UNOTIFY_REPLY_NONE`, as
 * for a new handle, this only receives.
 *
 * What the answer came to goes to `*replied` (which may be NULL), whether this fails or not. It
 * goes on to receive when the target does not wait any more: after `UNOTIFY_OK`,
 * `UNOTIFY_ERR_GONE` and `UNOTIFY_ERR_ANSWERED`. Any other error of the answer is returned,
 * nothing was received, and the target goes on waiting for a better answer.
 * Errors: those of unotify_listener_receive(), with the notification answered; those of the answer
 * as said above; `UNOTIFY_ERR_INVALID_ARGUMENT` when `reply` is not valid or the handle holds
 * nothing to be answered. `errno` and unotify_last_error() are those of what is returned. */
unotify_status unotify_listener_reply_receive(unotify_listener *listener,
                                              unotify_notification *notification, uint32_t reply,
                                              int64_t value, int timeout_ms,
                                              unotify_status *replied);

/** While this is on (`on` is not 0), receives on this listener end with `UNOTIFY_ERR_STOPPED`,
 * those that are under way on any thread and later ones. What is pending stays so. A supervisor
 * that serves the listener takes no notice. May be called from any thread and from a signal
 * handler. */
unotify_status unotify_listener_set_interrupted(unotify_listener *listener, int on);

/** Tells which process this listener is of, so that it ends with that process on every kernel: a
 * child of the caller's that loaded the filter. Duplicates `pidfd` (`pidfd_open(2)`). A later call
 * replaces an earlier one. Not needed for programs that unotify_spawn() started.
 *
 * A listener ends when its last target is gone: since Linux 6.11 when that has exited, and this
 * function only checks `pidfd`; before, when it was *reaped*, so who receives until the end and
 * then waits for the child waits for ever. On such a kernel receiving therefore also ends, with
 * `UNOTIFY_ERR_CLOSED`, and a supervisor lets go of the listener, when the child is a zombie and
 * no notification is pending. It is not reaped: its status is the caller's to wait for. Whether
 * *other* targets are left, such as children that outlive it, cannot be known before: who has such
 * targets waits for the child and receives again. Poll the child's descriptor beside the
 * listener's there.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `pidfd` is not one; `UNOTIFY_ERR_UNSUPPORTED` before
 * Linux 5.4; `UNOTIFY_ERR_SYSTEM` when there is no descriptor left. */
unotify_status unotify_listener_watch_child(unotify_listener *listener, int pidfd);

/** Switches synchronous wake-up on (`on` is not 0) or off: with it the kernel runs the woken side
 * at once on the same processor. It is on at first where the kernel has it.
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` before Linux 6.6. */
unotify_status unotify_listener_set_sync_wake_up(unotify_listener *listener, int on);

/** Chooses the error number, 1 to 4095, for notifications that are freed unanswered: `ENOSYS` at
 * first. */
unotify_status unotify_listener_set_fallback_error(unotify_listener *listener, int errnum);

/** Frees a listener. Its descriptor is closed once the last notification from it is freed; the
 * kernel then answers what is pending, and every later call, with `ENOSYS`. */
void unotify_listener_free(unotify_listener *listener);

/* ---- Notification ------------------------------------------------------------------------------
 *
 * These, and those of the target below, fail with `UNOTIFY_ERR_GONE` when the target does not wait
 * any more, because it died or a signal interrupted its call, and with `UNOTIFY_ERR_ANSWERED` when
 * the notification was answered before. */

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

/** Makes a handle that holds nothing, to receive into.
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel without user notification (before 5.0). */
unotify_status unotify_notification_new(unotify_notification **out);

/** The system call; NULL for NULL. For one handle this is always the same pointer, valid until the
 * handle is freed; what it points to changes with each receive into the handle, and is all zero in
 * one that was never received into. */
const unotify_request *unotify_notification_request(const unotify_notification *notification);

/** The `data` that its listener was given to the supervisor with; NULL if it was not. */
void *unotify_notification_listener_data(const unotify_notification *notification);

/** UNOTIFY_OK while the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What
 * was read of a target by other means before this succeeds belongs to that target. */
unotify_status unotify_notification_check_valid(unotify_notification *notification);

/** Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library. */
unotify_status unotify_notification_reply_value(unotify_notification *notification, int64_t value);

/** Lets the call fail with `errnum`, a **positive** error number such as `EPERM`.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095, and the target goes on waiting. */
unotify_status unotify_notification_reply_error(unotify_notification *notification, int errnum);

/** Lets the kernel carry out the call as if there were no filter
 * (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
 * the memory that its arguments point to since you looked.
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.5, and the target goes on waiting. */
unotify_status unotify_notification_reply_continue(unotify_notification *notification);

/** Frees a notification. If nobody has answered it, the target gets the fallback error: `ENOSYS`
 * unless another one was chosen. A handler's notification is only answered by this, unless it was
 * deferred. */
void unotify_notification_free(unotify_notification *notification);

/* ---- Target: memory ----------------------------------------------------------------------------
 *
 * What these and the following give out is the target's and no other's: if the target does not
 * wait any more it is not given out, and what was opened is closed again. They also fail with
 * `UNOTIFY_ERR_NOT_VISIBLE` when the target is outside the supervisor's pid namespace, with
 * `UNOTIFY_ERR_PERMISSION` when the supervisor may not look into it (unotify_last_error() says
 * what is missing), and with `UNOTIFY_ERR_SYSTEM` where `/proc` does not show it. Those of
 * memory and opening can block: see "Targets that stall". */

/** Fills `buf` with `len` bytes from the target's memory at `addr`, all or nothing.
 * Errors: `UNOTIFY_ERR_FAULT` when any of the bytes is not readable; `UNOTIFY_ERR_NO_MEMORY`. */
unotify_status unotify_notification_read(unotify_notification *notification, uint64_t addr,
                                         void *buf, size_t len);

/** Copies `len` bytes from `buf` into the target's memory at `addr`, which must be writable to the
 * target itself. Goes through `/proc/TID/mem`, so that no other process can be hit, whatever
 * becomes of the target meanwhile. Takes one more system call for each mapping that is touched;
 * before Linux 6.11 it reads the list of mappings up to there, at most a MiB of it.
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_FAULT` when any of the bytes is not
 * writable, and none is written; `UNOTIFY_ERR_UNSUPPORTED` before Linux 6.11 when some ten
 * thousand mappings lie below `addr`. `UNOTIFY_ERR_GONE` can come after they were written. */
unotify_status unotify_notification_write(unotify_notification *notification, uint64_t addr,
                                          const void *buf, size_t len);

/** Copies the string at `addr` in the target's memory into `buf`, with its NUL, and its length
 * without NUL into `*len` (which may be NULL). Touches no page that the string does not reach
 * into. Two system calls for a string within one page.
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` when there is no NUL among the
 * first `cap` bytes, and `buf` is untouched. */
unotify_status unotify_notification_read_string(unotify_notification *notification, uint64_t addr,
                                                char *buf, size_t cap, size_t *len);

/** Copies the pointers of a null-terminated array at `addr` in the target's memory (`argv`, `envp`)
 * into `out`, without the terminator, and their number into `*count`. Pointers of a 32-bit target
 * are widened.
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` when there are more than `cap`,
 * and `out` is untouched. */
unotify_status unotify_notification_read_pointers(unotify_notification *notification, uint64_t addr,
                                                  uint64_t *out, size_t cap, size_t *count);

/* ---- Target: descriptors --------------------------------------------------------------------- */

/** Duplicates the target's descriptor `target_fd` (`pidfd_getfd(2)`, Linux 5.6). It is the same
 * open file: what is done to a socket through it is done to the target's.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` with `EBADF` when the target has no such descriptor;
 * `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.6, and before 6.9 for a thread that does not share its
 * leader's descriptors. */
unotify_status unotify_notification_get_fd(unotify_notification *notification, int target_fd,
                                           int *fd);

/** Gives the target a duplicate of `fd` (Linux 5.9): at the lowest free number if `target_fd` is
 * -1, else at `target_fd`, closing what was open there. `flags` is 0 or `O_CLOEXEC`. The number
 * goes to `*new_fd` (`new_fd` may be NULL). The target goes on waiting.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for `flags`, or with `EBADF` when `fd` is not open, was
 * opened with `O_PATH` (the kernel passes no such descriptor: see unotify_notification_reopen()),
 * or `target_fd` is beyond the target's limit; `UNOTIFY_ERR_SYSTEM` with `EMFILE` when the target
 * may not have more; `UNOTIFY_ERR_UNSUPPORTED`. */
unotify_status unotify_notification_add_fd(unotify_notification *notification, int fd,
                                           int target_fd, int flags, int *new_fd);

/** Gives the target a duplicate of `fd` at the lowest free number, and lets its call return that
 * number. `flags` is 0 or `O_CLOEXEC`. One step since Linux 5.14. **Before, it takes two**: a
 * target that a signal interrupts between them keeps a descriptor that its call never returned,
 * and this fails with `UNOTIFY_ERR_GONE`.
 *
 * **Signals are held back while the kernel does it**, for the few microseconds that the target
 * takes to wake up: one that is handled meanwhile would make its call return 0, the standard
 * input. So still does what cannot be blocked, in that very moment: `SIGKILL` or `SIGSTOP` to the
 * supervisor, its being frozen or traced. Where even that must not be,
 * unotify_notification_add_fd() and then unotify_notification_reply_value() are always right, at
 * the cost of one more wake-up of the target.
 * Errors: as unotify_notification_add_fd(), and the target goes on waiting unless it is gone or
 * answered; `UNOTIFY_ERR_BUSY` while another holder of the listener gives the target a
 * descriptor. */
unotify_status unotify_notification_reply_fd(unotify_notification *notification, int fd,
                                             int flags);

/** Opens a pidfd for the target's process: the thread group, even if another thread than its leader
 * made the call.
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.3. */
unotify_status unotify_notification_open_pidfd(unotify_notification *notification, int *fd);

/* ---- Target: opening what it names ----------------------------------------------------------- */

/** How to open what a target names. By default for reading. */
typedef struct unotify_open_how {
    size_t size;    /**< `sizeof(unotify_open_how)`. */
    uint64_t flags; /**< `O_*`, as for `open(2)`, which ignores unknown ones. */
    uint64_t mode;  /**< Permissions of a file that is created with `O_CREAT` or `O_TMPFILE`. */
    /** `RESOLVE_*` of `openat2(2)`. With `RESOLVE_BENEATH` or `RESOLVE_IN_ROOT` the directory that
     * the path starts from takes the place of the target's root; `RESOLVE_NO_XDEV` implies
     * `RESOLVE_BENEATH` for a relative path. */
    uint64_t resolve;
    /** `AT_EMPTY_PATH` or 0. With it an empty path gives a duplicate of `dirfd` itself, or for
     * `AT_FDCWD` the working directory opened with `O_PATH`. */
    uint64_t at_flags;
} unotify_open_how;

/** Opens the file whose path is at `path_addr` in the target's memory, as the target would: from
 * its root, relative to its working directory (`dirfd` is `AT_FDCWD`) or to its descriptor
 * `dirfd`, in its mount namespace. `how` may be NULL. Decide on what `*fd` *is* (`fstat(2)`) and
 * hand that same file over with unotify_notification_reply_fd(), and there is nothing left that
 * the target could exchange.
 *
 * Nothing leads out of the target's root: not `..`, not an absolute link, not a magic link
 * (`ELOOP`), not a working directory or a `dirfd` that is outside (`EXDEV`). What differs from the
 * target's own call:
 *
 *  - **The supervisor's rights count.** A file that is created belongs to the supervisor; its
 *    permissions honour the target's umask, and the supervisor's as well.
 *  - `O_CREAT` and `O_TRUNC` take effect at once. Where that matters open with `O_PATH`, decide,
 *    and use unotify_notification_reopen().
 *  - A FIFO does not block: opening it for writing fails with `ENXIO` while nobody reads. A
 *    terminal does not become a controlling terminal, and `/dev/tty` is the target's.
 *  - `/proc/self` and `/proc/thread-self` are the target, also by links to there: `/dev/fd`,
 *    `/dev/stdin`, `/proc/mounts`. `/proc/self/fd/N` opens the file of the target's descriptor
 *    anew. None of this with `how.resolve`.
 *  - **What belongs to the supervisor's own process in a `/proc` is refused** with `ELOOP`, by
 *    whatever name, thread, link, mount or descriptor, and so is any part of a `/proc` that is
 *    mounted by itself. Other processes' files are not: `/proc/PID/mem` is for the supervisor to
 *    refuse. **`/proc/sys` is of the namespaces of who opens it.**
 *  - **It can block** for as long as the target likes, on a file system that it serves itself
 *    (FUSE).
 * Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` that the path leads to, which is the one to answer
 * the target with; `UNOTIFY_ERR_FAULT` and `UNOTIFY_ERR_TOO_LONG` for the path itself;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` for `how`, or with `EBADF` when the target has no descriptor
 * `dirfd`; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.6. */
unotify_status unotify_notification_open(unotify_notification *notification, int dirfd,
                                         uint64_t path_addr, const unotify_open_how *how, int *fd);

/** Opens the file that `fd` stands for again, whatever its name leads to by now: for what
 * unotify_notification_open() opened with `O_PATH`, once it is decided that the target may have
 * it. Give `*out` away with unotify_notification_reply_fd().
 *
 * `flags` are those that the target gave to `open(2)`; `O_CREAT`, `O_EXCL` and `O_NOFOLLOW` mean
 * nothing any more, and unknown ones are ignored. `mode` counts with `O_TMPFILE` only, and honours
 * the target's umask.
 *
 * Never blocks on a FIFO: opening for reading succeeds at once, for writing it fails with `ENXIO`
 * while nobody reads. A terminal does not become a controlling terminal, and for `/dev/tty` the
 * target's own is opened: it is looked for among its descriptors 0 to 2, and then by its usual
 * name in its `/dev`. What belongs to the supervisor's own process in a `/proc` is refused as
 * unotify_notification_open() does, also when `fd` is a descriptor that the target had
 * (unotify_notification_get_fd()).
 * Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` of opening, which is the one to answer the target
 * with: `ENXIO` for a FIFO that nobody reads, a socket, or `/dev/tty` without a terminal, `ELOOP`
 * for a symbolic link or the supervisor's own `/proc`, `EACCES`, `EISDIR`, ...;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open (`EBADF`), or for `mode`. */
unotify_status unotify_notification_reopen(unotify_notification *notification, int fd,
                                           uint64_t flags, uint64_t mode, int *out);

/** Opens the directory that holds the last component of the path at `path_addr`, resolved as
 * unotify_notification_open() does, with `O_PATH`, and copies that component into `name`, with its
 * NUL: for calls that make, remove or rename what a path names (`mkdirat(2)`, `mknodat(2)`,
 * `unlinkat(2)`, `renameat(2)`), and for creating a file after deciding on the directory. 256
 * bytes are enough for any name.
 *
 * The component has no slash, not at its end either, and is neither "." nor "..". What lies there
 * may be a link, or something may be mounted there, at any time: use it only with calls that
 * neither follow nor open it, such as `openat(2)` with `O_CREAT` and `O_EXCL`. To open what is
 * there already use unotify_notification_open().
 * Errors: as unotify_notification_open(); `UNOTIFY_ERR_SYSTEM` with `EEXIST` for a path that ends
 * in "." or ".." or is the root directory; `UNOTIFY_ERR_TOO_LONG` when the component does not fit
 * `cap` bytes. */
unotify_status unotify_notification_open_parent(unotify_notification *notification, int dirfd,
                                                uint64_t path_addr, char *name, size_t cap,
                                                int *fd);

/** Copies the absolute path of what is at `path_addr` in the target's memory into `buf`, with its
 * NUL, as the target sees it: if it is relative, behind the target's working directory or its
 * descriptor `dirfd`. For logs, not for deciding: links and `..` stay in it, and by the time it is
 * read it may lead elsewhere. A directory outside the target's root has "(unreachable)" in front.
 * Errors: as unotify_notification_open(), without those of opening; `UNOTIFY_ERR_TOO_LONG` also
 * when it does not fit `cap` bytes. */
unotify_status unotify_notification_read_path(unotify_notification *notification, int dirfd,
                                              uint64_t path_addr, char *buf, size_t cap);

/* ---- Target: who it is ----------------------------------------------------------------------- */

/** Who makes a call, as the supervisor's namespaces number it. Users and groups without a number
 * there are the overflow number (65534). */
typedef struct unotify_identity {
    size_t size;       /**< `sizeof(unotify_identity)`, set by the caller. */
    pid_t tgid;        /**< The process (the thread group). */
    uid_t uid;         /**< The real user. */
    uid_t euid;        /**< The effective user. */
    uid_t fsuid;       /**< The user that access to files is decided for. */
    gid_t gid;         /**< The real group. */
    gid_t egid;        /**< The effective group. */
    gid_t fsgid;       /**< The group that access to files is decided for. */
    uint32_t reserved; /**< Always 0. */
} unotify_identity;

/** Fills in who the target is, read in one go. */
unotify_status unotify_notification_identity(unotify_notification *notification,
                                             unotify_identity *identity);

/** Copies the path of the program that the target executes into `buf`, with its NUL, as the
 * supervisor sees it (`/proc/TID/exe`), followed by " (deleted)" if it has no name any more.
 * Errors: `UNOTIFY_ERR_TOO_LONG` when it does not fit `cap` bytes. */
unotify_status unotify_notification_executable(unotify_notification *notification, char *buf,
                                               size_t cap);

/* ---- Supervisor ------------------------------------------------------------------------------ */

/** The run goes on without listeners, until it is stopped. */
#define UNOTIFY_SUPERVISOR_KEEP_RUNNING (1U << 0)
/** When stopped, or ended by `UNOTIFY_FAILED`, what is pending on the listeners gets the fallback
 * error. */
#define UNOTIFY_SUPERVISOR_DRAIN_ON_STOP (1U << 1)
/** A signal that is handled while unotify_supervisor_run() waits, on its thread, ends the run with
 * `UNOTIFY_ERR_INTERRUPTED`, even if its handler was installed with `SA_RESTART`. */
#define UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL (1U << 2)

/** Switched by what is measured to be faster: synchronous for one target, and in
 * unotify_supervisor_dispatch(). */
#define UNOTIFY_WAKE_UP_AUTO 0
#define UNOTIFY_WAKE_UP_SYNC 1  /**< Waking hands over the processor: for one target (Linux 6.6). */
#define UNOTIFY_WAKE_UP_ASYNC 2 /**< It does not: can be better for several busy targets. */

/** How a supervisor is to work. */
typedef struct unotify_supervisor_opts {
    size_t size;        /**< `sizeof(unotify_supervisor_opts)`. */
    /** How many handlers may run at the same time, at most 1024. 0 is 1: they never overlap. With
     * more, several threads also receive at the same time, when several targets of a single
     * listener call at once and that is measured to be faster. */
    uint32_t max_workers;
    int fallback_error; /**< Positive, for notifications that nobody answers. 0 is `ENOSYS`. */
    uint32_t flags;     /**< `UNOTIFY_SUPERVISOR_*`. */
    uint32_t wake_up;   /**< `UNOTIFY_WAKE_UP_*`. */
} unotify_supervisor_opts;

#define UNOTIFY_HANDLED 0     /**< Answered, or left to the fallback error. */
#define UNOTIFY_DEFERRED 1    /**< From now on the handler's, to answer and free on any thread. */
#define UNOTIFY_NOT_HANDLED 2 /**< For the default handler, and then the fallback error. */
/** It could not go on: the fallback error, unless answered, and the run ends with
 * `UNOTIFY_ERR_HANDLER`. For languages whose handlers raise. */
#define UNOTIFY_FAILED 3

/** The handler waits for something: with several workers another one receives meanwhile. */
#define UNOTIFY_HANDLER_BLOCKING (1U << 0)

/** Handles a notification and returns `UNOTIFY_HANDLED`, `UNOTIFY_DEFERRED`, `UNOTIFY_NOT_HANDLED`
 * or `UNOTIFY_FAILED`; any other number counts as `UNOTIFY_HANDLED`. `data` is what it was
 * registered with.
 *
 * The notification is lent for the call: freeing it before `UNOTIFY_DEFERRED` was returned only
 * answers it. If it is not answered it gets the fallback error. So it does when a handler in C++
 * lets an exception out, which is caught and counted on x86_64 and aarch64; elsewhere that ends
 * the program. A handler must not jump out of the call (`longjmp`), nor return in a copy of the
 * process that it forked. **It must not end its thread**, by `pthread_exit` or by letting itself
 * be cancelled (the library's calls run with cancellation disabled, handlers included): that ends
 * the program. */
typedef int (*unotify_handler)(unotify_notification *notification, void *data);

/** Is told that a listener has left its supervisor: `listener_data` is what it was added with,
 * `data` what unotify_supervisor_on_close() got. It may call what a handler may, and is under the
 * same rules. */
typedef void (*unotify_close_handler)(void *listener_data, void *data);

/** Makes a supervisor. `opts` may be NULL.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for options out of range; `UNOTIFY_ERR_SYSTEM` when the
 * process has no descriptor left. */
unotify_status unotify_supervisor_new(const unotify_supervisor_opts *opts,
                                      unotify_supervisor **out);

/** Serves one more listener, also while running, and takes ownership of it. `data` is what
 * unotify_notification_listener_data() gives for its notifications.
 * Errors: `UNOTIFY_ERR_SYSTEM` when the kernel has no room to watch it. The listener is freed then
 * too; only after `UNOTIFY_ERR_INVALID_ARGUMENT` it remains the caller's. */
unotify_status unotify_supervisor_add_listener(unotify_supervisor *supervisor,
                                               unotify_listener *listener, void *data);

/** Gives a listener back to `*out`, also while running: the one that was added with `data`, or the
 * first of those that were. Nothing is lost: what is pending stays with it, for whoever receives
 * from it next; what was received is handled, and so is what a worker receives at this very
 * moment. When that is over, unotify_supervisor_on_close() tells. A run ends when there is no
 * other listener. May be called from a handler, but while unotify_supervisor_dispatch() is under
 * way not from another thread.
 * Errors: `UNOTIFY_ERR_CLOSED` when no listener with that data is served, or not any more. */
unotify_status unotify_supervisor_take_listener(unotify_supervisor *supervisor, void *data,
                                                unotify_listener **out);

/** Takes a listener as unotify_supervisor_take_listener() does, and frees it: when what was
 * received is answered it is closed, and the kernel answers what is pending, and all later calls
 * of its targets, with `ENOSYS`.
 * Errors: as there. */
unotify_status unotify_supervisor_remove_listener(unotify_supervisor *supervisor, void *data);

/** Sets a handler for a system call, on every architecture that has it. Several for one call are
 * asked in the order in which they were set, until one returns something else than
 * `UNOTIFY_NOT_HANDLED`. `flags` is 0 or `UNOTIFY_HANDLER_BLOCKING`. The handler runs on any
 * thread of the run, with `max_workers` above 1 on several at a time. It and `data` must be usable
 * until the supervisor is freed.
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`; `UNOTIFY_ERR_INVALID_ARGUMENT`, also while it runs. */
unotify_status unotify_supervisor_on(unotify_supervisor *supervisor, const char *syscall,
                                     uint32_t flags, unotify_handler handler, void *data);

/** Sets a handler for every system call that has none, or whose handlers returned
 * `UNOTIFY_NOT_HANDLED`. See unotify_supervisor_on(). */
unotify_status unotify_supervisor_on_default(unotify_supervisor *supervisor,
                                             unotify_handler handler, void *data);

/** Has `told` called once for each listener that was added, when it has left: because its targets
 * have ended, it broke, or was removed or taken, and no handler is at work any more on one of its
 * notifications, nor will be. So its data may be freed then. Not so if a handler has deferred
 * some: those show the data until they are freed.
 *
 * It counts as a handler: it is called on a thread of the run, with `max_workers` 1 never beside a
 * handler, or in unotify_supervisor_dispatch(); while there is no run, on the thread that removes
 * the listener. A handler that is stuck in a call which its target prolongs is waited for.
 * unotify_supervisor_free() calls it for all listeners that are left, when no handler will go on.
 * It is not called in a copy of the process.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT`, also while it runs. */
unotify_status unotify_supervisor_on_close(unotify_supervisor *supervisor,
                                           unotify_close_handler told, void *data);

/** Serves the listeners on this thread, until stopped or until the last listener closes.
 * Errors: `UNOTIFY_ERR_STOPPED` when stopped; `UNOTIFY_ERR_HANDLER` when a handler returned
 * `UNOTIFY_FAILED`; `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already; what the kernel said of a
 * listener that broke, after the others were served. */
unotify_status unotify_supervisor_run(unotify_supervisor *supervisor);

/** Does what unotify_supervisor_run() does in the background.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already or was not joined;
 * `UNOTIFY_ERR_SYSTEM` when the process can have no more threads. */
unotify_status unotify_supervisor_start(unotify_supervisor *supervisor);

/** Ends the current run, or else the next one at once. Handlers that are at work finish; what was
 * received is answered. May be called from any thread, from a handler and from a signal
 * handler. */
unotify_status unotify_supervisor_stop(unotify_supervisor *supervisor);

/** Waits for the end of what unotify_supervisor_start() began, at most for `timeout_ms` (-1:
 * without limit, 0: only look), and returns how it ended. Of several threads that wait, one is
 * told.
 * Errors: as unotify_supervisor_run(); `UNOTIFY_ERR_TIMEOUT` when it still runs, which changes
 * nothing; `UNOTIFY_ERR_INVALID_ARGUMENT` when it was not started, or another thread was told. */
unotify_status unotify_supervisor_join(unotify_supervisor *supervisor, int timeout_ms);

/** A descriptor for an event loop, which remains the supervisor's; -1 for NULL. It polls readable
 * when unotify_supervisor_dispatch() has something to do, and now and then when not. */
int unotify_supervisor_fd(const unotify_supervisor *supervisor);

/** Handles what is pending, at most some dozens of notifications, without blocking. Handlers run on
 * this thread. Nobody else may receive from its listeners: if a notification is taken away between
 * the look and the `RECV`, this waits for the next one. How many were handled goes to `*handled`,
 * unless that is NULL: an edge-triggered loop goes on until it is 0.
 * Errors: `UNOTIFY_ERR_STOPPED` once after unotify_supervisor_stop(); `UNOTIFY_ERR_HANDLER` after
 * a handler's `UNOTIFY_FAILED`; `UNOTIFY_ERR_CLOSED` when the last listener has closed;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already. */
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
    /** Worker threads now, including the one that runs: at most `max_workers`, one that receives
     * what they have no time for, and those that replace stuck ones. */
    uint64_t workers;
    uint64_t workers_max;          /**< The most workers there ever were. */
    /** The longest time that one handler took, in nanoseconds. Sampled: the first calls of a
     * handler, one in sixteen later on, and all of a slow one. */
    uint64_t slowest_handler_ns;
    uint64_t workers_stuck;        /**< Workers now stuck in a call that the target prolongs. */
} unotify_stats;

/** Fills in what it has done so far. */
unotify_status unotify_supervisor_stats(const unotify_supervisor *supervisor,
                                        unotify_stats *stats);

/** Is told that a process has ended. `data` is what it was registered with. It must return: neither
 * jump out of the call nor end its thread. An exception is treated as a handler's is. */
typedef void (*unotify_exit_handler)(pid_t process, void *data);

/** Sets the function that is told of the end of a target's process: for handlers that keep
 * something by process. **It is told of the processes that a handler has asked for** by
 * unotify_notification_watch_exit(), of each once. The last function set counts. It and `data`
 * must be usable until the supervisor is freed.
 *
 * It runs as a handler does: on any thread of the run, never while a handler runs if `max_workers`
 * is 1, and never two at a time. A handler waits for it, but for a tenth of a second at most: it
 * is to be brief. It was called before a handler gets to see a call of another process that was
 * given the same id. Calls of a process that was killed may still be handled after it;
 * unotify_notification_watch_exit() then returns `UNOTIFY_ERR_GONE`, so that nothing is kept anew
 * for a process that is told of no more. Before a run ends, it is told of all that have ended, and
 * of those that are about to when the last listener has closed. What has not ended when the
 * supervisor is freed it is not told of.
 *
 * Who sets one pays for it: an `epoll_wait` for each notification, and one more while there is a
 * process to be told of.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` also while it runs; `UNOTIFY_ERR_SYSTEM` when the process
 * has no descriptor left. */
unotify_status unotify_supervisor_on_exit(unotify_supervisor *supervisor,
                                          unotify_exit_handler function, void *data);

/** Asks for notice of the end of the target's process, which the function set with
 * unotify_supervisor_on_exit() gets, and gives the process's id to `process` unless that is NULL:
 * the thread group, also when another thread than its leader made the call. Asking again for a
 * process changes nothing. On success the notice comes for certain, even if the process is killed
 * at this moment. A process that is watched takes a descriptor.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when the notification is not a supervisor's, or no
 * function was set; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.3; `UNOTIFY_ERR_SYSTEM` also when
 * this process has no descriptor left. */
unotify_status unotify_notification_watch_exit(unotify_notification *notification, pid_t *process);

/* ---- Spawn ----------------------------------------------------------------------------------- */

/** The child is killed (`SIGKILL`) when the calling process ends, however it ends. A sleeping
 * thread of the library's stays in the process until the child has ended. */
#define UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH (1U << 0)

/** A descriptor for the program. */
typedef struct unotify_fd_map {
    int parent_fd; /**< The caller's descriptor, close-on-exec or not. */
    int child_fd;  /**< Its number in the program: 0, 1 and 2 are the standard streams. */
} unotify_fd_map;

/** How to start a program. By default in the caller's directory, with its standard streams and its
 * other descriptors that are not close-on-exec. */
typedef struct unotify_spawn_opts {
    size_t size;                   /**< `sizeof(unotify_spawn_opts)`. */
    uint32_t load_flags;           /**< `UNOTIFY_LOAD_*`, but for `UNOTIFY_LOAD_TSYNC`. */
    uint32_t flags;                /**< `UNOTIFY_SPAWN_*`. */
    /** Where the program starts, and where a relative `file` or `PATH` counts from. */
    const char *working_directory;
    /** Descriptors for the program, put into place all at once, so that they may be each other's
     * numbers. The last one for a number counts. */
    const unotify_fd_map *fds;
    size_t n_fds;                  /**< How many there are at `fds`. */
} unotify_spawn_opts;

/** Starts the program `file` under a filter. A name without a slash is looked up in the caller's
 * `PATH`. `argv` and `envp` are arrays of strings that end with NULL, as for `execve(2)`:
 * `argv[0]` is the name that the program is told, and an `envp` of NULL is the caller's
 * environment, which no other thread may change meanwhile. `opts` may be NULL. May be called in a
 * process with many threads.
 *
 * The filter acts from the program's own `execve` on, which is its first notification if the
 * filter notifies it, and may notify every system call. The child gets the calling thread's
 * credentials, namespaces and blocked signals; ignored signals stay ignored, but for `SIGPIPE`,
 * and caught ones get their default. Returns when the program runs, or when its `execve` waits for
 * the supervisor; for a failure after that see unotify_child_exec_error(). When the calling
 * process is killed before this returns, so is the child: it never stays behind with an `execve`
 * that nobody answers.
 *
 * The child must be waited for, by unotify_child_wait() or `waitpid(2)`. Before Linux 6.11 its
 * listener ends only once that was done, so there the library does it when the child has ended and
 * the listener is received from, or served by a supervisor; unotify_child_wait() still has the
 * status, but `waitpid(2)` does not find it.
 * Errors, after which neither child nor descriptor is left over: with the `errno` of `execve`,
 * `UNOTIFY_ERR_SYSTEM` when the program is not found or of an unknown format and
 * `UNOTIFY_ERR_PERMISSION` when it may not be executed; with that of `chdir` for the working
 * directory; `UNOTIFY_ERR_BUSY` when the calling thread has a filter with a listener, which its
 * children inherit; `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither
 * no_new_privs nor `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` for `UNOTIFY_LOAD_TSYNC`, a
 * descriptor that is not open, an `argv` without `argv[0]`, or a filter that is too long;
 * `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.0; `UNOTIFY_ERR_SYSTEM` or `UNOTIFY_ERR_NO_MEMORY`
 * without room for a process, thread or descriptor. */
unotify_status unotify_spawn(const unotify_filter *filter, const char *file, char *const *argv,
                             char *const *envp, const unotify_spawn_opts *opts,
                             unotify_child **out);

/** The child's process id, which may name another process once it was waited for; -1 for NULL. */
pid_t unotify_child_pid(const unotify_child *child);

/** A descriptor for the process (a pidfd), which remains the child's and polls readable when it has
 * ended; -1 for NULL, or with `errno` when there is none: `ENOSYS` before Linux 5.2. */
int unotify_child_pidfd(const unotify_child *child);

/** Hands out the child's listener. If nobody takes it, it is freed with the child.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it was taken before. */
unotify_status unotify_child_take_listener(unotify_child *child, unotify_listener **out);

/** Waits for the child to end, at most for `timeout_ms` (-1: without limit, 0: only look), and
 * gives its status, in the form of `waitpid(2)`, to `wstatus` unless that is NULL. May be called
 * again: the answer stays. Somebody else must answer the child's notifications meanwhile.
 * Errors: `UNOTIFY_ERR_TIMEOUT` when it still runs, which changes nothing; `UNOTIFY_ERR_SYSTEM`
 * with `ECHILD` when it was waited for elsewhere, or by the kernel because `SIGCHLD` is
 * ignored. */
unotify_status unotify_child_wait(unotify_child *child, int timeout_ms, int *wstatus);

/** Sends the child a signal; 0 only asks whether it is there. Never signals another process that
 * got the same id.
 * Errors: `UNOTIFY_ERR_SYSTEM` with `ESRCH` when it was waited for; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when `sig` is not a signal; `UNOTIFY_ERR_PERMISSION` when it has become somebody else. */
unotify_status unotify_child_kill(unotify_child *child, int sig);

/** The error number of the child's `execve`, if it failed after unotify_spawn() had returned:
 * because the supervisor refused the call, or continued it and the kernel refused. The child then
 * exits with status 127, or dies by `SIGILL` if it may not exit. 0 if it has not failed (so far),
 * and for NULL. */
int unotify_child_exec_error(const unotify_child *child);

/** Frees the handle, and the listener if nobody took it: the child's pending and later notifying
 * calls fail with `ENOSYS` then. Neither kills the child nor waits for it. */
void unotify_child_free(unotify_child *child);

/** Starts the program `file` under a filter, as unotify_spawn() does, serves it on this thread
 * until it and all that it has started have ended, and gives its status, in the form of
 * `waitpid(2)`, to `wstatus` unless that is NULL. Other listeners of the supervisor are served
 * too, and this returns when the last has closed, with `UNOTIFY_SUPERVISOR_KEEP_RUNNING` when
 * stopped. unotify_notification_listener_data() is NULL for the program's notifications.
 * Errors: those of unotify_spawn(), with the `errno` of `execve` also when a handler refused that
 * call; those of unotify_supervisor_run(), so `UNOTIFY_ERR_STOPPED` when stopped before the
 * program has ended. The program was killed and waited for then; what it has started remains. */
unotify_status unotify_supervisor_run_program(unotify_supervisor *supervisor,
                                              const unotify_filter *filter, const char *file,
                                              char *const *argv, char *const *envp,
                                              const unotify_spawn_opts *opts, int *wstatus);

/* ---- Probe ----------------------------------------------------------------------------------- */

#define UNOTIFY_PROBE_WORKS 1     /**< It works. */
#define UNOTIFY_PROBE_FAILS 2     /**< It does not. */
/** It was not tried, as something that it takes does not work. */
#define UNOTIFY_PROBE_NOT_TRIED 3

/** One thing that a supervisor does, and whether it can here. */
typedef struct unotify_probe_part {
    size_t size;        /**< `sizeof(unotify_probe_part)`, set by the caller. */
    /** What it is called: "kernel", "libseccomp", "load", "receive", "reply", "continue",
     * "reply_fd", "sync_wake_up", "wait_killable", "tsync", "spawn", and what is done to a target:
     * "read", "write", "get_fd", "add_fd", "open", "pidfd", "identity". */
    const char *name;
    const char *detail; /**< A sentence: why it does not work, as far as can be told. Never NULL. */
    uint32_t outcome;   /**< `UNOTIFY_PROBE_*`. */
    int errnum;         /**< The error number of what does not work, or 0. */
    int is_basic;       /**< 1 if there is no supervisor without it, or 0. */
    uint32_t reserved;  /**< Always 0. */
} unotify_probe_part;

/** Tries what a supervisor does, with a thread and a child of its own, and notes for each part
 * whether it works here, and if not why: unotify_features() says what the kernel has, which a
 * container's seccomp profile or a security module may keep from this process. `timeout_ms` is for
 * each wait; at most a few of them are ever needed. Leaves no child, thread or descriptor behind.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `timeout_ms` is not positive. That something does
 * not work is not an error. */
unotify_status unotify_probe_new(int timeout_ms, unotify_probe **out);

/** 1 if programs can be supervised here, be it without this or that, else 0; also for NULL. */
int unotify_probe_basics_work(const unotify_probe *probe);

/** Fills in the part number `index`, from 0. Its strings live as long as the probe.
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` beyond the last. */
unotify_status unotify_probe_get(const unotify_probe *probe, size_t index,
                                 unotify_probe_part *part);

/** Frees what a probe has found, with its strings; NULL is a no-op. */
void unotify_probe_free(unotify_probe *probe);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* UNOTIFY_H */
