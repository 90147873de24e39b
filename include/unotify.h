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
 * Signals. Interrupted system calls are tried again, and the program's handlers run as usual, except
 * where a call is asked to return (UNOTIFY_RECEIVE_RETURN_ON_SIGNAL, UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL).
 * To get a thread out of a receive the library reserves SIGSTKFLT, which Linux itself never sends: the
 * first receive or run installs a handler for it, if the program has none, and unblocks it on its
 * thread, which is to leave it so. It is sent only to a thread that is receiving, and interrupts
 * nothing else. A program that resets its signals need not spare it: it is looked at before it is sent,
 * and the handler put back. Where the program has a handler of its own for it, the library gets along
 * without, a little slower. Its own threads block all signals but this one.
 *
 * Targets that stall. unotify_notification_read(), _read_string(), _read_pointers(), _write(), _open(),
 * _open_parent() and _reopen() last as long as a target wants whose memory or files it provides itself
 * (userfaultfd, FUSE); and so may close() of what was opened. A supervisor replaces a worker that is
 * stuck in one of these calls for 100 ms, at most 64 of them, beyond `max_workers`; it is let in again
 * when the call returns, so that handlers which must not overlap run one at a time still, though one may
 * run within such a call of another. A run in the background that is stopped does not wait for it; when
 * the supervisor is freed, it never returns to its handler, whose thread then sleeps until the program
 * ends. Serve those who do not trust each other with a supervisor for each.
 *
 * Fork. A copy of the process that fork() has made inherits copies of the handles, and none of the
 * threads. There, freeing anything only frees it: no target is answered, no run stopped, nothing is
 * waited for. unotify_supervisor_stop() does nothing, as from a signal handler that was inherited
 * too; what runs a supervisor or adds to it fails with UNOTIFY_ERR_INVALID_ARGUMENT. What a copy asks
 * for by name is done: a `_reply_` answers the target, and the parent's then fails with
 * UNOTIFY_ERR_GONE; unotify_listener_receive() takes notifications that the parent does not get;
 * unotify_child_kill() signals the parent's child, and unotify_child_wait() fails with ECHILD.
 * Targets of a parent that is gone wait for as long as a copy has the listener's descriptor: until it
 * frees the listener and its notifications, ends, or executes a program (it is close-on-exec); that of
 * a supervisor that was running in the background only until one of the latter. A handler that forks
 * must not return in the copy.
 *
 * Cancellation. No function here is a cancellation point: pthread_cancel() takes effect once the call
 * has returned, which it does as if nothing had been asked for, so nothing is lost or left behind. For
 * unotify_supervisor_run() that is when the run ends. The threads that the library starts cannot be
 * cancelled. Not for threads that can be cancelled asynchronously.
 *
 * Memory. Where there is none left, the library ends the program (abort()), as programs in Rust do.
 * Receiving into a handle that exists, looking at the request and answering it allocate nothing, and
 * so go on.
 *
 * Unloading. dlclose() leaves the library in memory, as its signal handler stays. A plugin that
 * libunotify.a is linked into is to be linked with `-z nodelete` for the same reason.
 *
 * Options. A structure that begins with `size_t size` is filled with zeroes, then `size` is set to
 * its sizeof; NULL means the defaults, and so does every field that is zero.
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

/* ---- Handles ------------------------------------------------------------------------------- */

/** A filter in the making. Belongs to one thread at a time and may be handed to another. */
typedef struct unotify_filter unotify_filter;

/**
 * The supervising end of a filter that notifies. Owns its descriptor.
 *
 * May be shared between threads: all functions but `unotify_listener_free` and
 * `unotify_listener_into_fd` may be called at the same time.
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
 * Serves listeners. All functions but `unotify_supervisor_free` may be called from any thread at
 * any time.
 */
typedef struct unotify_supervisor unotify_supervisor;

/**
 * A program that was started. All functions but `unotify_child_free` may be called from several
 * threads at once: one can kill while another waits.
 */
typedef struct unotify_child unotify_child;

/* ---- Options and results ------------------------------------------------------------------- */

/**
 * An options structure with `size` set, the fields that are named, and zero for the rest:
 * `unotify_filter_load(f, &UNOTIFY_OPTS(unotify_load_opts, .flags = UNOTIFY_LOAD_LOG), &listener)`.
 * It lives as long as the block it stands in. In C++, which has no such literals, write
 * `unotify_load_opts opts = {}; opts.size = sizeof opts;` and set the fields.
 */
#define UNOTIFY_OPTS(type, ...) ((struct type){ .size = sizeof(struct type), __VA_ARGS__ })

/* ---- Status and errors --------------------------------------------------------------------- */

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
    /** It worked. */
    UNOTIFY_OK = 0,
    /** The notification is no longer pending: the target died, or a signal interrupted its call. */
    UNOTIFY_ERR_GONE = -1,
    /** The last target of the listener exited, or the other side hung up. */
    UNOTIFY_ERR_CLOSED = -2,
    /** The supervisor was told to stop, or the listener is interrupted. */
    UNOTIFY_ERR_STOPPED = -3,
    /** The time limit passed first. */
    UNOTIFY_ERR_TIMEOUT = -4,
    /** The notification was answered before. */
    UNOTIFY_ERR_ANSWERED = -5,
    /** An argument is null, out of range, closed or of the wrong kind. */
    UNOTIFY_ERR_INVALID_ARGUMENT = -6,
    /** No system call has this name or number on this architecture. */
    UNOTIFY_ERR_UNKNOWN_SYSCALL = -7,
    /** No architecture has this name or number. */
    UNOTIFY_ERR_UNKNOWN_ARCH = -8,
    /** The running kernel or libseccomp is too old for this. */
    UNOTIFY_ERR_UNSUPPORTED = -9,
    /** The kernel refuses this to a caller with these privileges. */
    UNOTIFY_ERR_PERMISSION = -10,
    /** A listener is installed on this task's filters already; the kernel allows one. */
    UNOTIFY_ERR_BUSY = -11,
    /** The address is not readable (or writable) in the target. */
    UNOTIFY_ERR_FAULT = -12,
    /** The string, list or path is longer than the room for it. */
    UNOTIFY_ERR_TOO_LONG = -13,
    /** The target is outside the supervisor's pid namespace, so nothing names it here. */
    UNOTIFY_ERR_NOT_VISIBLE = -14,
    /** There is no memory for it. */
    UNOTIFY_ERR_NO_MEMORY = -15,
    /** The kernel said no for another reason: see `errno`. */
    UNOTIFY_ERR_SYSTEM = -16,
    /** Code that ran under the library's control panicked. */
    UNOTIFY_ERR_PANIC = -17,
    /** A signal was handled on the calling thread, and the caller asked to be told. */
    UNOTIFY_ERR_INTERRUPTED = -18,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum unotify_status unotify_status;
#else
typedef int32_t unotify_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The name of a status' constant, such as "UNOTIFY_ERR_GONE"; "UNOTIFY_ERR_?" for a number that
 * is none. Static.
 */
const char *unotify_status_name(int status);

/** What a status means, in half a sentence; "unknown status" for a number that is none. Static. */
const char *unotify_status_message(int status);

/**
 * Copies the calling thread's last failure as a sentence into `buf`, cut to `len` bytes with its
 * NUL, and returns the length of the whole sentence without NUL: at least `len` means that it
 * was cut. Empty if nothing has failed on this thread. `buf` may be NULL if `len` is 0.
 * Success of a later call does not clear it.
 */
size_t unotify_last_error(char *buf, size_t len);

/* ---- Version and features ------------------------------------------------------------------ */

/** The version that this header belongs to. */
#define UNOTIFY_VERSION_MAJOR 0
#define UNOTIFY_VERSION_MINOR 1
#define UNOTIFY_VERSION_PATCH 0

/** Whether that is `major`.`minor` or later, also for `#if`. */
#define UNOTIFY_VERSION_AT_LEAST(major, minor) \
    (UNOTIFY_VERSION_MAJOR > (major) || \
     (UNOTIFY_VERSION_MAJOR == (major) && UNOTIFY_VERSION_MINOR >= (minor)))

/** The kernel has user notification (Linux 5.0). */
#define UNOTIFY_FEATURE_NOTIFY (1ULL << 0)
/** `UNOTIFY_LOAD_TSYNC` works for a filter with a listener (Linux 5.7). */
#define UNOTIFY_FEATURE_TSYNC_WITH_LISTENER (1ULL << 1)
/** Only fatal signals interrupt a received call (Linux 5.19). */
#define UNOTIFY_FEATURE_WAIT_KILLABLE (1ULL << 2)

/** The library's version, such as "0.1.0". Static. */
const char *unotify_version(void);

/**
 * What the running kernel offers, as `UNOTIFY_FEATURE_*` bits. Asks the kernel on every call;
 * never fails: what cannot be asked is not offered.
 */
uint64_t unotify_features(void);

/* ---- Architectures and system calls -------------------------------------------------------- */

/** The architecture the library was compiled for, as an `AUDIT_ARCH_*` value. */
uint32_t unotify_arch_native(void);

/**
 * The number of an architecture by libseccomp's name for it, short ("x86_64", "aarch64") or long
 * ("SCMP_ARCH_X86_64"); "native" is the one unotify_arch_native() gives. It is the kernel's
 * `AUDIT_ARCH_*` value, except for x32, which the kernel tells from x86_64 by the call's number.
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`.
 */
unotify_status unotify_arch_from_name(const char *name, uint32_t *arch);

/**
 * libseccomp's short name of an architecture, such as "x86_64"; NULL for a number that is none.
 * 0 is the native one. Static.
 */
const char *unotify_arch_name(uint32_t arch);

/**
 * The number that a system call has on `arch` (0: the native architecture).
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when `arch` has no such call, be it that another has;
 * `UNOTIFY_ERR_UNKNOWN_ARCH`.
 */
unotify_status unotify_syscall_from_name(uint32_t arch, const char *name, int *nr);

/**
 * Copies the name of the system call that has number `nr` on `arch` (0: the native architecture)
 * into `buf`, with its NUL. 64 bytes are room enough for every name.
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`; `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_TOO_LONG` with
 * `ERANGE` when `len` is too small.
 */
unotify_status unotify_syscall_name(uint32_t arch, int nr, char *buf, size_t len);

/* ---- Filter -------------------------------------------------------------------------------- */

/** Kill the whole process (`SECCOMP_RET_KILL_PROCESS`). */
#define UNOTIFY_ACTION_KILL_PROCESS 0x80000000U
/** Kill the calling thread (`SECCOMP_RET_KILL_THREAD`). */
#define UNOTIFY_ACTION_KILL_THREAD 0x00000000U
/** Send the thread a `SIGSYS` (`SECCOMP_RET_TRAP`). */
#define UNOTIFY_ACTION_TRAP 0x00030000U
/** Park the thread and notify the supervisor (`SECCOMP_RET_USER_NOTIF`). */
#define UNOTIFY_ACTION_NOTIFY 0x7fc00000U
/** Make the call and log it (`SECCOMP_RET_LOG`). */
#define UNOTIFY_ACTION_LOG 0x7ffc0000U
/** Make the call (`SECCOMP_RET_ALLOW`). */
#define UNOTIFY_ACTION_ALLOW 0x7fff0000U

/**
 * The action that makes a call fail with `errnum`, positive, without asking the supervisor
 * (`SECCOMP_RET_ERRNO`). 0 lets it return 0 without being made. Filters take up to 4094.
 */
uint32_t unotify_action_errno(uint16_t errnum);

/** unotify_action_errno() for constants. */
#define UNOTIFY_ACTION_ERRNO(errnum) (0x00050000U | ((uint32_t)(errnum) & 0xffffU))

/** The argument differs from `value`. */
#define UNOTIFY_COMPARE_NOT_EQUAL 1
/** The argument is less than `value`. */
#define UNOTIFY_COMPARE_LESS 2
/** The argument is at most `value`. */
#define UNOTIFY_COMPARE_LESS_OR_EQUAL 3
/** The argument is `value`. */
#define UNOTIFY_COMPARE_EQUAL 4
/** The argument is at least `value`. */
#define UNOTIFY_COMPARE_GREATER_OR_EQUAL 5
/** The argument is greater than `value`. */
#define UNOTIFY_COMPARE_GREATER 6
/** The argument, cut down to the bits of `mask`, is `value`. */
#define UNOTIFY_COMPARE_MASKED_EQUAL 7

/** A condition on an argument of a system call. Arguments are unsigned 64-bit numbers. */
typedef struct unotify_arg_compare {
    /** The number of the argument, 0 to 5. */
    uint32_t arg;
    /** `UNOTIFY_COMPARE_*`. */
    uint32_t op;
    /** What it is compared with. */
    uint64_t value;
    /** For `UNOTIFY_COMPARE_MASKED_EQUAL` the bits that count, otherwise 0. */
    uint64_t mask;
} unotify_arg_compare;

/**
 * Makes a filter for the native architecture that does `default_action` (`UNOTIFY_ACTION_*` or
 * unotify_action_errno()) for every call no rule is for. A call of an architecture the filter
 * was not told of kills the process: see unotify_filter_add_arch().
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when the action is none.
 */
unotify_status unotify_filter_new(uint32_t default_action, unotify_filter **out);

/**
 * Makes the filter decide about calls of `arch` too (a number from unotify_arch_from_name(); 0
 * is the native one, which is there already). All architectures come before the first rule, so
 * that every rule is for all of them.
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_ARCH`; `UNOTIFY_ERR_UNSUPPORTED` when the installed libseccomp
 * does not know it; `UNOTIFY_ERR_INVALID_ARGUMENT` when there are rules already, or when it has
 * another byte order than the native one.
 */
unotify_status unotify_filter_add_arch(unotify_filter *filter, uint32_t arch);

/**
 * Does `action` for the calls of this name whose arguments meet all `n` conditions at `cmp`
 * (NULL if `n` is 0), on every architecture of the filter that has the call.
 *
 * A rule without conditions swallows those with conditions for the same call, earlier and later,
 * and of two such rules the first counts; neither is an error.
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL` when no architecture of the filter has the call;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` when the action or a condition is none, an argument comes
 * twice, the action is the filter's default action, or an earlier rule has the same conditions
 * and another action.
 */
unotify_status unotify_filter_add_rule(unotify_filter *filter, uint32_t action, const char *syscall,
                                       const unotify_arg_compare *cmp, size_t n);

/**
 * Notifies the supervisor of every call of this name: unotify_filter_add_rule() with
 * `UNOTIFY_ACTION_NOTIFY` and no condition.
 *
 * Errors: as unotify_filter_add_rule().
 */
unotify_status unotify_filter_notify(unotify_filter *filter, const char *syscall);

/**
 * Copies the filter into `buf` as the program the kernel takes, a `struct sock_filter[]`.
 * `*len` is the room in `buf` in bytes, and becomes the length of the program. With `buf` NULL
 * only the length is told.
 *
 * Errors: `UNOTIFY_ERR_TOO_LONG` with `ERANGE` when the room is too small: `*len` is then, as
 * the one exception to results being left alone on failure, the room it takes.
 */
unotify_status unotify_filter_export_bpf(const unotify_filter *filter, void *buf, size_t *len);

/**
 * Writes the filter to `fd` as text for people, in libseccomp's Pseudo Filter Code.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open for writing; `UNOTIFY_ERR_SYSTEM`
 * when it cannot be written.
 */
unotify_status unotify_filter_export_pfc(const unotify_filter *filter, int fd);

/** Frees a filter; NULL is nothing. What was loaded stays loaded. */
void unotify_filter_free(unotify_filter *filter);

/* ---- Load ---------------------------------------------------------------------------------- */

/** All threads of the process get the filter (with a listener since Linux 5.7). */
#define UNOTIFY_LOAD_TSYNC (1U << 0)
/** The kernel logs every action but allow. */
#define UNOTIFY_LOAD_LOG (1U << 1)
/** Speculative Store Bypass mitigation is left off. */
#define UNOTIFY_LOAD_SPEC_ALLOW (1U << 2)
/** Any signal may interrupt a received call, not only a fatal one. */
#define UNOTIFY_LOAD_NO_WAIT_KILLABLE (1U << 3)
/** Synchronous wake-up is not switched on. */
#define UNOTIFY_LOAD_NO_SYNC_WAKE_UP (1U << 4)
/** no_new_privs stays as it is; loading then takes `CAP_SYS_ADMIN`, unless it is set. */
#define UNOTIFY_LOAD_KEEP_PRIVS (1U << 5)

/**
 * How to load a filter. NULL or all zero: no_new_privs is set first, only fatal signals
 * interrupt a received call and wake-up is synchronous where the kernel has them.
 */
typedef struct unotify_load_opts {
    /** `sizeof(unotify_load_opts)`. */
    size_t size;
    /** `UNOTIFY_LOAD_*`, or-ed. */
    uint32_t flags;
    /** 0. */
    uint32_t reserved;
} unotify_load_opts;

/**
 * Puts the filter on the calling thread, for good, and yields its listener. The thread is a
 * target from then on: another thread or process must answer it. The filter may be loaded by
 * other threads too; each load yields a listener of its own.
 *
 * A filter that notifies nothing is loaded without a listener: `*out` is NULL then. So it can be
 * put on top of one that has a listener, of which the kernel allows one in all filters of a thread.
 * A NULL `out` loads any filter without one; the calls that it notifies fail with `ENOSYS`.
 *
 * Once the filter is installed this function makes no system call, so it returns whatever the
 * filter notifies. But every call that the thread makes after that counts:
 * unotify_listener_to_socket() is a `sendmsg(2)`, any free() may be a `munmap(2)`, and the thread's end
 * is a call too. Before the supervisor has the listener, only calls may be made that the filter
 * does not notify. A supervisor in another process can take the listener itself
 * (unotify_listener_from_pid(), by a number agreed on through memory that both see), and
 * unotify_spawn() works with every filter.
 *
 * Errors: `UNOTIFY_ERR_BUSY` when the thread's filters have a listener already;
 * `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither no_new_privs nor
 * `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` when a flag is none, or the program is longer
 * than the 4096 instructions the kernel takes; `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.0,
 * or before 5.7 with `UNOTIFY_LOAD_TSYNC`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when another thread
 * has filters of its own.
 */
unotify_status unotify_filter_load(const unotify_filter *filter, const unotify_load_opts *opts,
                                   unotify_listener **out);

/* ---- Listener ------------------------------------------------------------------------------ */

/**
 * Makes a listener of a descriptor that came from elsewhere and takes ownership of it. On
 * failure the descriptor remains the caller's, open. Switches synchronous wake-up on where the
 * kernel has it.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not a seccomp listener or not open.
 */
unotify_status unotify_listener_from_fd(int fd, unotify_listener **out);

/**
 * Takes a duplicate of the listener that process `pid` holds as descriptor `fd`
 * (`pidfd_getfd(2)`, Linux 5.6). The caller needs the right to trace that process.
 *
 * Errors: `UNOTIFY_ERR_PERMISSION`; `UNOTIFY_ERR_SYSTEM` with `ESRCH` when there is no such
 * process; `UNOTIFY_ERR_INVALID_ARGUMENT` when it has no such descriptor or that is no listener;
 * `UNOTIFY_ERR_UNSUPPORTED`.
 */
unotify_status unotify_listener_from_pid(pid_t pid, int fd, unotify_listener **out);

/**
 * The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
 * notification is pending and hung up when the last target has exited; on a kernel before 6.11,
 * when it was waited for: poll the child's descriptor beside it there. `POLLERR` alone means nothing:
 * a signal came while the kernel looked. Receive from it through the library only.
 */
int unotify_listener_fd(const unotify_listener *listener);

/**
 * Frees the handle and gives its descriptor back, which the caller closes; -1 for NULL, or with
 * `errno` when notifications hold the descriptor and it cannot be duplicated.
 */
int unotify_listener_into_fd(unotify_listener *listener);

/**
 * Waits for the next notification. The manners are those of `getline(3)`: when `*notification`
 * is NULL a handle is allocated, else that one is used again, and what it held is answered with
 * the fallback error if nobody has answered. The caller frees it in the end.
 *
 * `timeout_ms` of -1 waits without limit, 0 only looks. Interrupted calls are retried. One
 * thread at a time waits in the kernel, the others queue for it.
 *
 * Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_CLOSED` when the last target has exited (kernels
 * before 5.9 do not tell, those before 6.11 when it was waited for: the library sees to that for a
 * program that it started, and see unotify_listener_watch_child()); `UNOTIFY_ERR_STOPPED` while
 * `unotify_listener_set_interrupted` is on; `UNOTIFY_ERR_INVALID_ARGUMENT`. On failure a handle that was given
 * remains the caller's and holds nothing.
 */
unotify_status unotify_listener_receive(unotify_listener *listener, int timeout_ms,
                                        unotify_notification **notification);
/** A signal that is handled on the calling thread while it waits ends the receive. */
#define UNOTIFY_RECEIVE_RETURN_ON_SIGNAL (1U << 0)

/**
 * `unotify_listener_receive` with `flags`: 0, or `UNOTIFY_RECEIVE_RETURN_ON_SIGNAL`, by which a
 * signal that is handled on this thread while it waits ends the call, also if its handler was
 * installed with `SA_RESTART`. For languages whose own signal handlers run when the call has
 * returned. It costs a `ppoll` for each notification, and a signal that is handled just before the
 * wait begins does not end it.
 *
 * Errors: as `unotify_listener_receive`; `UNOTIFY_ERR_INTERRUPTED`.
 */
unotify_status unotify_listener_receive_with(unotify_listener *listener, int timeout_ms,
                                             uint32_t flags, unotify_notification **notification);
/** Answers nothing. */
#define UNOTIFY_REPLY_NONE 0
/** Lets the call return `value`, as `unotify_notification_reply_value`. */
#define UNOTIFY_REPLY_VALUE 1
/**
 * Lets the call fail with the positive error number `value`, as `unotify_notification_reply_error`.
 */
#define UNOTIFY_REPLY_ERROR 2
/** Lets the kernel carry out the call, as `unotify_notification_reply_continue`; `value` is 0. */
#define UNOTIFY_REPLY_CONTINUE 3

/**
 * Answers what `notification` holds, then waits for the next one as `unotify_listener_receive` does
 * and puts it into the same handle: the two calls of a loop in one, for languages in which each call
 * of C costs something. `reply` is one of `UNOTIFY_REPLY_*`; with `UNOTIFY_REPLY_NONE`, as for a handle
 * that is new, this only receives.
 *
 * What the answer came to goes to `*replied` (which may be NULL), whether it fails or not. The
 * function goes on to receive when the target does not wait any more: after `UNOTIFY_OK`,
 * `UNOTIFY_ERR_GONE` and `UNOTIFY_ERR_ANSWERED`. After any other error of the answer it returns that
 * error, nothing was received, and the target goes on waiting for a better answer.
 *
 * Errors: as `unotify_listener_receive`, with the notification answered; those of the answer as said
 * above, and `UNOTIFY_ERR_INVALID_ARGUMENT` when `reply` is none of these or the handle holds
 * nothing to be answered. `errno` and unotify_last_error() are those of what is returned.
 */
unotify_status unotify_listener_reply_receive(unotify_listener *listener,
                                              unotify_notification *notification, uint32_t reply,
                                              int64_t value, int timeout_ms,
                                              unotify_status *replied);

/**
 * Interrupts receiving (`on` not 0), or allows it again: receives on this listener that are under
 * way on any thread, and later ones, end with `UNOTIFY_ERR_STOPPED` until it is switched off.
 * Nothing is lost: what is pending stays so. A supervisor that serves the listener takes no notice.
 *
 * May be called from any thread and from a signal handler, as long as the listener is not freed
 * meanwhile.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for NULL.
 */
unotify_status unotify_listener_set_interrupted(unotify_listener *listener, int on);

/**
 * Tells whose listener this is, so that it ends with that process on every kernel: with a child
 * of the caller's, which loaded the filter. Duplicates `pidfd` (`pidfd_open(2)`), which remains
 * the caller's.
 *
 * A listener ends when its last target is gone. Since Linux 6.11 a process is gone when it has
 * exited, and this function only checks `pidfd`. Before that it is gone when it was *reaped*, so
 * one who receives until the end and waits for the child after that waits for ever. On such a
 * kernel, then, receiving also ends, with `UNOTIFY_ERR_CLOSED`, when the child is a zombie and no
 * notification is pending. It is not reaped: its status is the caller's to wait for. Whether
 *other* targets are left, children of the child's that outlive it, cannot be known before it
 * was; one who has such targets waits for the child and receives again. A supervisor that the
 * listener was given to lets go of it at that moment. Its descriptor is polled together with the
 * child's there.
 *
 * A later call takes the place of an earlier one. The listeners of programs that unotify_spawn()
 * starts end by themselves, and for them this changes nothing.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `pidfd` is none; `UNOTIFY_ERR_UNSUPPORTED` on a
 * kernel before 5.4; `UNOTIFY_ERR_SYSTEM` when there is no descriptor left.
 */
unotify_status unotify_listener_watch_child(unotify_listener *listener, int pidfd);

/**
 * Switches synchronous wake-up on (`on` not 0) or off: with it the kernel runs the woken side at
 * once on the same processor. It is on where the kernel has it.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 6.6.
 */
unotify_status unotify_listener_set_sync_wake_up(unotify_listener *listener, int on);

/**
 * Chooses the error number, positive, for notifications that are freed unanswered. `ENOSYS` at
 * first.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095.
 */
unotify_status unotify_listener_set_fallback_error(unotify_listener *listener, int errnum);

/**
 * Sends a duplicate of the listener over a Unix socket (`SCM_RIGHTS`). The handle remains the
 * caller's.
 *
 * This is a `sendmsg(2)`: a thread that has loaded a filter which notifies that call, or all
 * calls, waits here for ever, as nobody has the listener yet. Such a target is started with
 * unotify_spawn(), or its supervisor takes the listener with unotify_listener_from_pid().
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when `unix_socket` is no open Unix socket.
 */
unotify_status unotify_listener_to_socket(const unotify_listener *listener, int unix_socket);

/**
 * Receives a listener that came over a Unix socket (`SCM_RIGHTS`, with any payload of one byte):
 * the first descriptor of one message. Others that come with it are closed.
 *
 * Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when what came is no listener (it is closed), or `unix_socket` is no open Unix socket;
 * `UNOTIFY_ERR_SYSTEM` with `EMFILE` when this process has no descriptor free: the message stays
 * in the socket, to be received when there is one, unless another thread took the last one at
 * that moment.
 */
unotify_status unotify_listener_from_socket(int unix_socket, unotify_listener **out);

/**
 * Frees a listener; NULL is nothing. Its descriptor is closed once the last notification from it
 * is freed, and then the kernel answers what is pending, and every later call, with `ENOSYS`.
 */
void unotify_listener_free(unotify_listener *listener);

/* ---- Notification -------------------------------------------------------------------------- */

/**
 * The kernel's `struct seccomp_notif`, and the C ABI's `unotify_request`: one system call of a
 * target, as it stood when the target made it.
 */
typedef struct unotify_request {
    /** The notification's number, unique on its listener. */
    uint64_t id;
    /**
     * The thread that made the call, as the supervisor's pid namespace numbers it; 0 when that
     * namespace does not see it.
     */
    pid_t pid;
    /** Always 0 so far (the kernel's `flags`). */
    uint32_t flags;
    /** System call number, in the numbering of `arch`. */
    int syscall;
    /** Architecture the call was made for: an `AUDIT_ARCH_*` value. */
    uint32_t arch;
    /** The target's instruction pointer at the call. */
    uint64_t instruction_pointer;
    /** The call's arguments. What they point to can change at any time. */
    uint64_t args[6];
} unotify_request;

/**
 * Makes a handle that holds nothing, to be received into.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel without user notification (before 5.0).
 */
unotify_status unotify_notification_new(unotify_notification **out);

/**
 * The system call; NULL for NULL. For one handle this is always the same pointer, valid until the
 * handle is freed; what it points to changes with each receive into the handle, and is all zero in
 * one that was never received into.
 */
const unotify_request *unotify_notification_request(const unotify_notification *notification);

/** The `data` that its listener was given to the supervisor with; NULL if it was not. */
void *unotify_notification_listener_data(const unotify_notification *notification);

/**
 * Whether the target still waits for the answer (`SECCOMP_IOCTL_NOTIF_ID_VALID`). What was read
 * of a target before this succeeds belongs to that target.
 *
 * Errors: `UNOTIFY_ERR_GONE` when it does not; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_check_valid(unotify_notification *notification);

/**
 * Lets the call return `value`. Values from -4095 to -1 are errors to the target's C library.
 *
 * Errors: `UNOTIFY_ERR_GONE` when the target does not wait any more; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_reply_value(unotify_notification *notification, int64_t value);

/**
 * Lets the call fail with `errnum`, a **positive** error number such as `EPERM`.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` outside 1 to 4095, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_reply_error(unotify_notification *notification, int errnum);

/**
 * Lets the kernel carry out the call as if there were no filter
 * (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). **Not a security decision**: the target may have changed
 * the memory its arguments point to since you looked.
 *
 * Errors: `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.5, and the target goes on waiting;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_reply_continue(unotify_notification *notification);

/**
 * Frees a notification; NULL is nothing. If nobody has answered it, the target gets the fallback
 * error: `ENOSYS` unless another one was chosen. Not in a copy of the process that received it, which
 * `fork` has made: there it only frees. Never waits for the target.
 */
void unotify_notification_free(unotify_notification *notification);

/* ---- Target: memory ------------------------------------------------------------------------ */

/**
 * Fills `buf` with `len` bytes from the target's memory at `addr`, wholly or not at all, and only
 * if the target waits still: the bytes are this target's and no other's. **It blocks for as long
 * as the target likes** on pages that the target serves itself (`userfaultfd(2)`, FUSE).
 *
 * Errors: `UNOTIFY_ERR_GONE` when the target does not wait any more; `UNOTIFY_ERR_FAULT` when any
 * of the bytes is not readable; `UNOTIFY_ERR_PERMISSION` when the supervisor may not look into
 * the target (unotify_last_error() says what is missing); `UNOTIFY_ERR_NOT_VISIBLE`;
 * `UNOTIFY_ERR_NO_MEMORY`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_read(unotify_notification *notification, uint64_t addr,
                                         void *buf, size_t len);

/**
 * Copies `len` bytes from `buf` into the target's memory at `addr`, which must be writable to the
 * target itself. It goes through `/proc/TID/mem`, so that no other process can be hit whatever
 * becomes of the target meanwhile. One further system call for each mapping that is touched; before
 * Linux 6.11 the list of mappings is read up to there, at most a MiB of it.
 *
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_FAULT` when any of the bytes is not
 * writable, and none is written. `UNOTIFY_ERR_GONE` can come after they were written;
 * `UNOTIFY_ERR_UNSUPPORTED` before Linux 6.11 when some ten thousand mappings lie below `addr`.
 */
unotify_status unotify_notification_write(unotify_notification *notification, uint64_t addr,
                                          const void *buf, size_t len);

/**
 * Copies the string at `addr` in the target's memory into `buf`, with its NUL, and its length
 * without NUL into `*len` (`len` may be NULL). No page is touched that the string does not
 * reach into. Two system calls for a string in one page.
 *
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` when there is no NUL among the
 * first `cap` bytes. `buf` is untouched then.
 */
unotify_status unotify_notification_read_string(unotify_notification *notification, uint64_t addr,
                                                char *buf, size_t cap, size_t *len);

/**
 * Copies the pointers of a null-terminated array at `addr` in the target's memory (`argv`,
 * `envp`) into `out`, without the terminator, and their count into `*count`. Pointers of a 32-bit
 * target are widened.
 *
 * Errors: as unotify_notification_read(); `UNOTIFY_ERR_TOO_LONG` when there are more than `cap`.
 * `out` is untouched then.
 */
unotify_status unotify_notification_read_pointers(unotify_notification *notification, uint64_t addr,
                                                  uint64_t *out, size_t cap, size_t *count);

/* ---- Target: descriptors ------------------------------------------------------------------- */

/**
 * Duplicates the target's descriptor `target_fd` into `*fd`, close-on-exec, which the caller
 * closes (`pidfd_getfd(2)`, Linux 5.6). It is the same open file: what is done to a socket through
 * it is done to the target's.
 *
 * Errors: `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_INVALID_ARGUMENT` with `EBADF` when the target has no
 * such descriptor; `UNOTIFY_ERR_PERMISSION`; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.6, and
 * before 6.9 for a thread that does not share its leader's descriptors;
 * `UNOTIFY_ERR_NOT_VISIBLE`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_get_fd(unotify_notification *notification, int target_fd,
                                           int *fd);

/**
 * Gives the target a duplicate of `fd` (Linux 5.9): at the lowest free number if `target_fd` is
 * -1, else at `target_fd`, where whatever was open is closed. `flags` is 0 or `O_CLOEXEC`. The
 * number goes to `*new_fd` (`new_fd` may be NULL). The target goes on waiting, and `fd` remains
 * the caller's.
 *
 * Errors: `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_ANSWERED`; `UNOTIFY_ERR_INVALID_ARGUMENT` for `flags`,
 * or with `EBADF` when `fd` is not open or was opened with `O_PATH` (the kernel passes no such
 * descriptor: see unotify_notification_reopen()), or `target_fd` is beyond the target's limit;
 * `UNOTIFY_ERR_SYSTEM` with `EMFILE` when the target may not have more;
 * `UNOTIFY_ERR_UNSUPPORTED`.
 */
unotify_status unotify_notification_add_fd(unotify_notification *notification, int fd,
                                           int target_fd, int flags, int *new_fd);

/**
 * Gives the target a duplicate of `fd` at the lowest free number and lets its call return that
 * number, in one step since Linux 5.14. `flags` is 0 or `O_CLOEXEC`. `fd` remains the caller's.
 *
 **Before 5.14 it takes two steps**: a target that a signal interrupts between them keeps a
 * descriptor that its call never returned, and the answer here is `UNOTIFY_ERR_GONE`.
 *
 **Signals are held back while the kernel does it**, for the few microseconds that the target takes
 * to wake up: one that was delivered meanwhile would make the target's call return 0, its standard
 * input. What cannot be blocked still does, if it comes in that very moment: `SIGKILL` or `SIGSTOP`
 * to the supervisor, its being frozen or traced. Where even that must not be,
 * unotify_notification_add_fd() and then unotify_notification_reply_value() with the number are
 * right whatever comes between, and cost one more turn of the target.
 *
 * Errors: as unotify_notification_add_fd(), after which the target goes on waiting unless it is
 * gone or answered; `UNOTIFY_ERR_BUSY` while another holder of the listener gives the target a
 * descriptor.
 */
unotify_status unotify_notification_reply_fd(unotify_notification *notification, int fd,
                                             int flags);

/**
 * Opens a pidfd for the target's process, close-on-exec, which the caller closes. It stands for
 * the thread group, also when the call was made by a thread that does not lead it.
 *
 * Errors: `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_NOT_VISIBLE`; `UNOTIFY_ERR_ANSWERED`;
 * `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.3; `UNOTIFY_ERR_SYSTEM` where `/proc` does not show
 * the target.
 */
unotify_status unotify_notification_open_pidfd(unotify_notification *notification, int *fd);

/* ---- Target: opening what it names --------------------------------------------------------- */

/** How to open what a target names. */
typedef struct unotify_open_how {
    /** sizeof(unotify_open_how) */
    size_t size;
    /** `O_*` flags, as of `open(2)`, which ignores unknown ones. */
    uint64_t flags;
    /** Permissions of a file that is created; looked at with `O_CREAT` and `O_TMPFILE` only. */
    uint64_t mode;
    /**
     * Further `RESOLVE_*` flags of `openat2(2)`. With `RESOLVE_BENEATH` or `RESOLVE_IN_ROOT` the
     * directory that the path starts from takes the place of the target's root;
     * `RESOLVE_NO_XDEV` implies `RESOLVE_BENEATH` for a relative path.
     */
    uint64_t resolve;
    /**
     * `AT_EMPTY_PATH` or 0: with it an empty path is the directory descriptor itself, and what
     * comes out is a duplicate of it, or for `AT_FDCWD` the working directory opened with
     * `O_PATH`.
     */
    uint64_t at_flags;
} unotify_open_how;

/**
 * Opens the file whose path is at `path_addr` in the target's memory, as the target would: from
 * its root, relative to its working directory (`dirfd` is `AT_FDCWD`) or to its descriptor
 * `dirfd`, in its mount namespace. `how` of NULL is read-only. `*fd`, close-on-exec, is the
 * supervisor's to close: decide on what it *is* (`fstat(2)`) and hand that same file over with
 * unotify_notification_reply_fd(), and there is nothing left that the target could exchange.
 *
 * Nothing leads out of the target's root: not `..`, not an absolute link, not a magic link
 * (`ELOOP`), not a working directory or a `dirfd` that is outside (`EXDEV`).
 *
 * What differs from the target's own call:
 *  - **The supervisor's rights count.** A file that is created belongs to the supervisor; its
 *    permissions honour the target's umask, and the supervisor's as well.
 *  - `O_CREAT` and `O_TRUNC` take effect at once. Where that matters open with `O_PATH`, decide,
 *    and open it for good with unotify_notification_reopen().
 *  - A FIFO does not block: opened for writing it fails with `ENXIO` while nobody reads. A
 *    terminal does not become anybody's controlling terminal, and `/dev/tty` is the target's.
 *  - `/proc/self` and `/proc/thread-self` are the target, also by links to there: `/dev/fd`,
 *    `/dev/stdin`, `/proc/mounts`. `/proc/self/fd/N` opens the file of the target's descriptor
 *    anew. None of it with `how.resolve`.
 *  - **What belongs to the supervisor's own process in a `/proc` is refused** with `ELOOP`, by
 *    whatever name, thread, link, mount or descriptor, and so is any part of a `/proc` that is
 *    mounted by itself. Other processes' files are not: `/proc/PID/mem` is for the supervisor to
 *    refuse. **`/proc/sys` is of the namespaces of who opens it.**
 *  - **It can block** for as long as the target likes, on a file system that it serves itself
 *    (FUSE).
 *
 * Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` that the path leads to, which is the one to answer
 * the target with; `UNOTIFY_ERR_GONE`, and what was opened is closed again; `UNOTIFY_ERR_FAULT`,
 * `UNOTIFY_ERR_TOO_LONG` for the path itself; `UNOTIFY_ERR_PERMISSION` when the supervisor may
 * not look into the target; `UNOTIFY_ERR_INVALID_ARGUMENT` for `how`, or with `EBADF` when the
 * target has no descriptor `dirfd`; `UNOTIFY_ERR_UNSUPPORTED` before Linux 5.6;
 * `UNOTIFY_ERR_NOT_VISIBLE`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_open(unotify_notification *notification, int dirfd,
                                         uint64_t path_addr, const unotify_open_how *how, int *fd);

/**
 * Opens again the file that `fd` stands for, whatever its name leads to by now: for what
 * unotify_notification_open() opened with `O_PATH`, once it is decided that the target may have
 * it. `fd` remains the caller's; `*out`, close-on-exec, is the caller's to give away with
 * unotify_notification_reply_fd() and to close.
 *
 * `flags` are those of `open(2)` that the target asked with, of which `O_CREAT`, `O_EXCL` and
 * `O_NOFOLLOW` mean nothing any more; unknown ones are ignored. `mode` is looked at with `O_TMPFILE`
 * only, and honours the target's umask.
 *
 * It never blocks on a FIFO: for reading it is open at once, for writing it fails with `ENXIO`
 * while nobody reads. A terminal does not become anybody's controlling terminal, and for
 * `/dev/tty` the target's own is opened: it is looked for among its descriptors 0 to 2, and then
 * by its usual name in its `/dev`. What belongs to the supervisor's own process in a `/proc` is
 * refused as unotify_notification_open() does, also when `fd` is a descriptor that the target had
 * (unotify_notification_get_fd()).
 *
 * Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` of opening, which is the one to answer the target
 * with: `ENXIO` for a FIFO that nobody reads, a socket, or `/dev/tty` without a terminal, `ELOOP`
 * for a symbolic link or the supervisor's own `/proc`, `EACCES`, `EISDIR`, ...;
 * `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is not open (`EBADF`), or for `mode`;
 * `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_NOT_VISIBLE`; `UNOTIFY_ERR_ANSWERED`.
 */
unotify_status unotify_notification_reopen(unotify_notification *notification, int fd,
                                           uint64_t flags, uint64_t mode, int *out);

/**
 * Opens the directory that the last component of the path at `path_addr` lies in, resolved as
 * unotify_notification_open() does, with `O_PATH`, and copies that component into `name`, with its
 * NUL: for calls that make, remove or rename what a path names (`mkdirat(2)`, `mknodat(2)`,
 * `unlinkat(2)`, `renameat(2)`), and for creating a file after deciding on the directory. `*fd`,
 * close-on-exec, is the supervisor's to close. 256 bytes are room for any name.
 *
 * The component has no slash, not at its end either, and is neither "." nor "..". What lies there
 * may be a link, or something may be mounted there, at any time: use it only with calls that
 * neither follow nor open it, such as `openat(2)` with `O_CREAT` and `O_EXCL`. To open what is
 * there already is for unotify_notification_open().
 *
 * Errors: as unotify_notification_open(); `UNOTIFY_ERR_SYSTEM` with `EEXIST` for a path that ends
 * in "." or ".." or is the root directory; `UNOTIFY_ERR_TOO_LONG` when the component does not fit
 * `cap` bytes.
 */
unotify_status unotify_notification_open_parent(unotify_notification *notification, int dirfd,
                                                uint64_t path_addr, char *name, size_t cap,
                                                int *fd);

/**
 * Copies the absolute path of what is at `path_addr` in the target's memory into `buf`, with its
 * NUL, as the target sees it: behind its working directory, or its descriptor `dirfd`, if it is
 * relative. For logs, not for deciding: links and `..` stay in it, and by the time it is read it
 * may lead elsewhere. A directory outside the target's root shows with "(unreachable)" in front.
 *
 * Errors: as unotify_notification_open(), without those of opening; `UNOTIFY_ERR_TOO_LONG` also
 * when it does not fit `cap` bytes.
 */
unotify_status unotify_notification_read_path(unotify_notification *notification, int dirfd,
                                              uint64_t path_addr, char *buf, size_t cap);

/* ---- Target: who it is --------------------------------------------------------------------- */

/**
 * Who makes a call, as the supervisor's namespaces number it. Users and groups that have no number
 * there show as the overflow number (65534).
 */
typedef struct unotify_identity {
    /** sizeof(unotify_identity), set by the caller: as much is written. */
    size_t size;
    /** The thread group: what is commonly called the process's number. */
    pid_t tgid;
    /** The real user. */
    uid_t uid;
    /** The effective user. */
    uid_t euid;
    /** The user that access to files is decided for. */
    uid_t fsuid;
    /** The real group. */
    gid_t gid;
    /** The effective group. */
    gid_t egid;
    /** The group that access to files is decided for. */
    gid_t fsgid;
    /** Always 0. */
    uint32_t reserved;
} unotify_identity;

/**
 * Who the target is, read in one go: fills in `*identity` as far as its `size`, which the caller
 * has set, goes.
 *
 * Errors: `UNOTIFY_ERR_GONE`; `UNOTIFY_ERR_INVALID_ARGUMENT` for `size`;
 * `UNOTIFY_ERR_NOT_VISIBLE`; `UNOTIFY_ERR_ANSWERED`; `UNOTIFY_ERR_SYSTEM` where `/proc` does not
 * show the target.
 */
unotify_status unotify_notification_identity(unotify_notification *notification,
                                             unotify_identity *identity);

/**
 * Copies the path of the program that the target executes into `buf`, with its NUL, as the
 * supervisor sees it (`/proc/TID/exe`); " (deleted)" is behind it when it has no name any more.
 *
 * Errors: as unotify_notification_identity(); `UNOTIFY_ERR_PERMISSION` when the supervisor may
 * not look into the target; `UNOTIFY_ERR_TOO_LONG` when it does not fit `cap` bytes.
 */
unotify_status unotify_notification_executable(unotify_notification *notification, char *buf,
                                               size_t cap);

/* ---- Supervisor ---------------------------------------------------------------------------- */

/** The handler answered, or leaves the answer to the fallback error. */
#define UNOTIFY_HANDLED 0
/** The notification is the handler's from now on, to answer and free from any thread. */
#define UNOTIFY_DEFERRED 1
/** The handler does not want it: the default handler is asked, then it gets the fallback error. */
#define UNOTIFY_NOT_HANDLED 2
/** The handler waits for something: with several workers another one receives meanwhile. */
#define UNOTIFY_HANDLER_BLOCKING (1U << 0)
/** The run goes on when there is no listener (any more), until stopped. */
#define UNOTIFY_SUPERVISOR_KEEP_RUNNING (1U << 0)
/** When stopped, what is pending on the listeners gets the fallback error. */
#define UNOTIFY_SUPERVISOR_DRAIN_ON_STOP (1U << 1)
/**
 * A signal that is handled on the thread that called `unotify_supervisor_run`, while it waits, ends
 * the run with `UNOTIFY_ERR_INTERRUPTED`, also if its handler was installed with `SA_RESTART`.
 */
#define UNOTIFY_SUPERVISOR_RETURN_ON_SIGNAL (1U << 2)
/**
 * Synchronous wake-up is switched on and off by what is measured to be faster at the moment: on
 * for one target, and with `unotify_supervisor_dispatch`.
 */
#define UNOTIFY_WAKE_UP_AUTO 0
/** Waking the other side up hands over the processor: best for one target (Linux 6.6). */
#define UNOTIFY_WAKE_UP_SYNC 1
/** It does not: can be better for several busy targets. */
#define UNOTIFY_WAKE_UP_ASYNC 2

/**
 * Handles a notification and returns `UNOTIFY_HANDLED`, `UNOTIFY_DEFERRED` or
 * `UNOTIFY_NOT_HANDLED`; any other number counts as `UNOTIFY_HANDLED`. `data` is what it was
 * registered with.
 *
 * The notification is lent for the call: freeing it before `UNOTIFY_DEFERRED` was returned only
 * answers it. An unanswered one gets the fallback error, and so does that of a handler in C++ that
 * lets an exception out, which is caught and counted on x86_64 and aarch64 (elsewhere it ends the
 * program). The handler must not jump out of the call (`longjmp`). **Nor may it end its thread**, by
 * `pthread_exit` or by allowing itself to be cancelled (the library's calls run with cancellation
 * disabled, handlers included): that ends the program. In a copy of the process that it forks it must
 * not return.
 */
typedef int (*unotify_handler)(unotify_notification *notification, void *data);

/** How a supervisor is to work. Zero is the default everywhere. */
typedef struct unotify_supervisor_opts {
    /** `sizeof(unotify_supervisor_opts)`. */
    size_t size;
    /**
     * How many handlers may run at the same time, at most 1024. 0 is 1: they never overlap. With
     * more, several threads also receive at the same time, while several targets of an only
     * listener call at once and that is measured to be faster.
     */
    uint32_t max_workers;
    /** The error number, positive, for notifications that nobody answers. 0 is `ENOSYS`. */
    int fallback_errno;
    /** `UNOTIFY_SUPERVISOR_*`. */
    uint32_t flags;
    /** `UNOTIFY_WAKE_UP_*`. */
    uint32_t wake_up;
} unotify_supervisor_opts;

/** What a supervisor has done since it was made. */
typedef struct unotify_stats {
    /** `sizeof(unotify_stats)`, set by the caller: no more than that is written. */
    size_t size;
    /** Notifications received. */
    uint64_t received;
    /** Answered with a value. */
    uint64_t values;
    /** Answered with an error by a handler. */
    uint64_t errors;
    /** Continued. */
    uint64_t continued;
    /** Answered with a descriptor. */
    uint64_t fds;
    /** Answered with the fallback error, as nobody else did. */
    uint64_t fallbacks;
    /** Gone before they were answered. */
    uint64_t gone;
    /**
     * Deferred by handlers. What becomes of one is counted beside this when it is answered or
     * freed.
     */
    uint64_t deferred;
    /** Of these, not freed so far. */
    uint64_t deferred_outstanding;
    /** Handlers that threw an exception (in C++) or panicked (in Rust). */
    uint64_t panics;
    /** Listeners served now. */
    uint64_t listeners;
    /**
     * Worker threads now, the one that runs included: at most `max_workers`, one that receives what
     * they have no time for, and those that replace stuck ones.
     */
    uint64_t workers;
    /** The most there ever were. */
    uint64_t workers_max;
    /**
     * The longest time one handler took, in nanoseconds. Sampled: the first calls of a handler,
     * one in sixteen later on, and all of one that is slow.
     */
    uint64_t slowest_handler_ns;
    /** Of the workers now, those that are stuck in a call that their target makes last. */
    uint64_t workers_stuck;
} unotify_stats;

/**
 * Makes a supervisor. `opts` of NULL is the defaults.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for options out of range; `UNOTIFY_ERR_UNSUPPORTED` for
 * options of a later version; `UNOTIFY_ERR_SYSTEM` when the process is out of descriptors.
 */
unotify_status unotify_supervisor_new(const unotify_supervisor_opts *opts,
                                      unotify_supervisor **out);

/**
 * Serves one more listener, also while running, and takes ownership of it. `data` is what
 * `unotify_notification_listener_data` gives for its notifications.
 *
 * Errors: `UNOTIFY_ERR_SYSTEM` when the kernel has no room to watch it. The listener is freed
 * then too; only after `UNOTIFY_ERR_INVALID_ARGUMENT` it remains the caller's.
 */
unotify_status unotify_supervisor_add_listener(unotify_supervisor *supervisor,
                                               unotify_listener *listener, void *data);

/**
 * Sets the handler for a system call, on every architecture that has it. The last one set
 * counts. `flags` is 0 or `UNOTIFY_HANDLER_BLOCKING`.
 *
 * The handler runs on any thread of the run, and with `max_workers` above 1 on several at a
 * time; `data` has to bear that.
 *
 * Errors: `UNOTIFY_ERR_UNKNOWN_SYSCALL`; `UNOTIFY_ERR_INVALID_ARGUMENT`, also while it runs.
 */
unotify_status unotify_supervisor_on(unotify_supervisor *supervisor, const char *syscall,
                                     uint32_t flags, unotify_handler handler, void *data);

/**
 * Sets the handler for every system call that has none, or whose handler returned
 * `UNOTIFY_NOT_HANDLED`. See `unotify_supervisor_on`.
 */
unotify_status unotify_supervisor_on_default(unotify_supervisor *supervisor,
                                             unotify_handler handler, void *data);

/**
 * Serves the listeners on this thread, until stopped or until the last listener closes.
 *
 * Errors: `UNOTIFY_ERR_STOPPED` when stopped; `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs
 * already; what the kernel said of a listener that broke, after the others were served.
 */
unotify_status unotify_supervisor_run(unotify_supervisor *supervisor);

/**
 * Does what `unotify_supervisor_run` does in the background. Its threads block all signals but
 * the library's own.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already or was not joined;
 * `UNOTIFY_ERR_SYSTEM` when the process can have no more threads.
 */
unotify_status unotify_supervisor_start(unotify_supervisor *supervisor);

/**
 * Ends the run at hand, or else the next one at once. Handlers that are at work finish; what was
 * received is answered. May be called from any thread, from a handler and from a signal handler. In a
 * copy of the process, which `fork` has made, it does nothing.
 */
unotify_status unotify_supervisor_stop(unotify_supervisor *supervisor);

/**
 * Waits for the end of what `unotify_supervisor_start` began, and returns how it ended.
 *
 * Errors: as `unotify_supervisor_run`; `UNOTIFY_ERR_INVALID_ARGUMENT` when it was not started.
 */
unotify_status unotify_supervisor_join(unotify_supervisor *supervisor);

/**
 * A descriptor for an event loop, which remains the supervisor's; -1 for NULL. It polls readable
 * when `unotify_supervisor_dispatch` has something to do, and now and then when not.
 */
int unotify_supervisor_fd(const unotify_supervisor *supervisor);

/**
 * Handles what is there, at most some dozens of notifications, without blocking. Handlers run on
 * this thread. Nobody else may receive from its listeners: whoever takes a notification away
 * between the look and the `RECV` leaves that waiting for the next one.
 *
 * Errors: `UNOTIFY_ERR_STOPPED` once after `unotify_supervisor_stop`; `UNOTIFY_ERR_CLOSED` when
 * the last listener has closed; `UNOTIFY_ERR_INVALID_ARGUMENT` when it runs already.
 */
unotify_status unotify_supervisor_dispatch(unotify_supervisor *supervisor);

/**
 * What it has done so far. The caller sets `stats->size` first; what this version does not know
 * of a larger structure is left alone.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for NULL or a `size` below that of one counter.
 */
unotify_status unotify_supervisor_stats(const unotify_supervisor *supervisor,
                                        unotify_stats *stats);

/**
 * Frees a supervisor; NULL is nothing. A run in the background is stopped first, and the handlers
 * at work are waited for; a run on another thread must have returned. Not from a handler. Its
 * listeners are freed with it. Deferred notifications remain usable. In a copy of the process, which
 * `fork` has made, it stops nothing and waits for nobody.
 */
void unotify_supervisor_free(unotify_supervisor *supervisor);

/* ---- Spawn --------------------------------------------------------------------------------- */

/**
 * The child is killed (`SIGKILL`) when the calling process ends, however it ends. A thread of
 * the library's, asleep, stays in the process until the child has ended.
 */
#define UNOTIFY_SPAWN_KILL_ON_PARENT_DEATH (1U << 0)

/** A descriptor for the program. */
typedef struct unotify_fd_map {
    /** The caller's descriptor, close-on-exec or not. It remains the caller's. */
    int parent_fd;
    /** Its number in the program: 0, 1 and 2 are the standard streams. */
    int child_fd;
} unotify_fd_map;

/**
 * How to start a program. NULL or all zero: in the caller's directory, with its standard streams
 * and its other descriptors that are not close-on-exec.
 */
typedef struct unotify_spawn_opts {
    /** `sizeof(unotify_spawn_opts)`. */
    size_t size;
    /** `UNOTIFY_LOAD_*`, or-ed, but for `UNOTIFY_LOAD_TSYNC`. */
    uint32_t load_flags;
    /** `UNOTIFY_SPAWN_*`, or-ed. */
    uint32_t flags;
    /**
     * Where the program starts; NULL is the caller's directory. A relative `file` or `PATH`
     * counts from there.
     */
    const char *working_directory;
    /**
     * Descriptors for the program, which are put into place all at once, so that they may be
     * each other's numbers. The last word on a number counts. May be NULL when `n_fds` is 0.
     */
    const unotify_fd_map *fds;
    /** How many there are. */
    size_t n_fds;
} unotify_spawn_opts;

/**
 * Starts the program `file` under a filter. A name without a slash is looked for in the caller's
 * `PATH`. `argv` and `envp` are arrays of strings that end with NULL, as `execve(2)` takes them:
 * `argv[0]` is the name the program is told, and a NULL `envp` is the caller's environment, which
 * no other thread may change meanwhile.
 *
 * The filter acts from the program's own `execve` on, which is its first notification if the
 * filter notifies it, and may notify every system call. The child gets the calling thread's
 * credentials, namespaces and blocked signals; ignored signals stay ignored, but for `SIGPIPE`,
 * and caught ones get their default. May be called in a process with many threads.
 *
 * Returns when the program runs, or when its `execve` waits for the supervisor; a failure after
 * that is told by unotify_child_exec_error().
 *
 * The child must be waited for, by unotify_child_wait() or `waitpid(2)`. On a kernel before 6.11
 * its listener ends only once it was waited for, so there the library waits for it when it has
 * ended and the listener is received from, or served by a supervisor. Its status is kept for
 * unotify_child_wait(); `waitpid(2)` does not find it then.
 *
 * When the calling process is killed before this returns, the child is, too: it never stays behind
 * with an `execve` that nobody answers.
 *
 * Errors, after which there is neither child nor descriptor left over: with the `errno` of
 * `execve`, `UNOTIFY_ERR_SYSTEM` when the program is not found or of an unknown format and
 * `UNOTIFY_ERR_PERMISSION` when it may not be executed; with that of `chdir` for the working
 * directory; `UNOTIFY_ERR_BUSY` when the calling thread has a filter with a listener, which its
 * children inherit; `UNOTIFY_ERR_PERMISSION` with `UNOTIFY_LOAD_KEEP_PRIVS` and neither
 * no_new_privs nor `CAP_SYS_ADMIN`; `UNOTIFY_ERR_INVALID_ARGUMENT` for a flag that is none or
 * `UNOTIFY_LOAD_TSYNC`, a descriptor that is not open or out of range, an `argv` without
 * `argv[0]`, or a filter that is too long; `UNOTIFY_ERR_UNSUPPORTED` on a kernel before 5.0 or
 * for options of a later version; `UNOTIFY_ERR_SYSTEM` or `UNOTIFY_ERR_NO_MEMORY` when there is
 * no room for a process, a thread or a descriptor.
 */
unotify_status unotify_spawn(const unotify_filter *filter, const char *file, char *const *argv,
                             char *const *envp, const unotify_spawn_opts *opts,
                             unotify_child **out);

/** The child's process id, which may name another process once it was waited for; -1 for NULL. */
pid_t unotify_child_pid(const unotify_child *child);

/**
 * A descriptor for the process (a pidfd), which remains the child's and polls readable when it has
 * ended; -1 for NULL, or with `errno` when there is none: `ENOSYS` on a kernel before 5.2.
 */
int unotify_child_pidfd(const unotify_child *child);

/**
 * Hands out the child's listener, which is the caller's from then on. If nobody takes it, it is
 * freed with the child.
 *
 * Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when it was taken before.
 */
unotify_status unotify_child_take_listener(unotify_child *child, unotify_listener **out);

/**
 * Waits for the child to end and gives its status, in the form of `waitpid(2)`, to `wstatus`
 * unless that is NULL. May be called again: the answer stays. Somebody else must answer the
 * child's notifications meanwhile.
 *
 * Errors: `UNOTIFY_ERR_SYSTEM` with `ECHILD` when it was waited for elsewhere, or by the kernel
 * because `SIGCHLD` is ignored.
 */
unotify_status unotify_child_wait(unotify_child *child, int *wstatus);

/**
 * Sends the child a signal; 0 only asks whether it is there. Never signals another process that
 * got the same id.
 *
 * Errors: `UNOTIFY_ERR_SYSTEM` with `ESRCH` when it was waited for; `UNOTIFY_ERR_INVALID_ARGUMENT`
 * when `sig` is no signal; `UNOTIFY_ERR_PERMISSION` when it has become somebody else.
 */
unotify_status unotify_child_kill(unotify_child *child, int sig);

/**
 * The error number of the child's `execve`, if it failed after unotify_spawn() had returned:
 * because the supervisor refused the call, or continued it and the kernel did. The child then
 * exits with status 127, or dies by `SIGILL` if it may not exit. 0 when it has not failed (so
 * far), and for NULL.
 */
int unotify_child_exec_error(const unotify_child *child);

/**
 * Frees the handle, and the listener if nobody took it: the child's pending and later notifying
 * calls fail with `ENOSYS` then. Neither kills the child nor waits for it. NULL is nothing.
 */
void unotify_child_free(unotify_child *child);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* UNOTIFY_H */
