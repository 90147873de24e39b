//! `unotify_listener`: the mirror of `listener.rs`.

use super::boundary::{call, exclusive, infallible, invalid, reclaim, shared, unotify_status, Out};
use super::notification::{inner, unotify_notification};
use crate::error::{Error, Status};
use crate::kernel::Errno;
use crate::listener::{Listener, ReceiveFlags};
use crate::notification::{is_errnum, Notification, Reply, CONTINUE};
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

/// The supervising end of a filter that notifies. Owns its descriptor.
#[derive(Debug)]
pub struct unotify_listener(pub(super) Listener);

/// A descriptor that C lends for one call.
///
/// # Safety
/// Nothing: a closed number is refused by the kernel. The result must not outlive the call.
pub(super) unsafe fn lent_fd<'a>(fd: c_int, name: &str) -> crate::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(Error::with_errno(
            Status::InvalidArgument,
            Errno(libc::EBADF),
            format!("`{name}` is {fd}, which is no descriptor"),
        ));
    }
    // SAFETY: it is not -1; the kernel checks the rest.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Makes a listener of a descriptor from elsewhere, and takes ownership of it unless this fails.
/// Switches synchronous wake-up on if it can.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `fd` is no listener.
///
/// # Safety
/// `out` is NULL or valid for writing; nobody else closes `fd` after success.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_from_fd(
    fd: c_int,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: used for this call only.
        Listener::check_fd(unsafe { lent_fd(fd, "fd") }?)?;
        // SAFETY: it is open, and the caller gives it away.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        out.put_boxed(unotify_listener(Listener::new(fd, true)));
        Ok(())
    })
}

/// Duplicates the listener that process `pid` has as descriptor `fd` (Linux 5.6: `pidfd_getfd(2)`).
///
/// Errors: `UNOTIFY_ERR_PERMISSION` without the right to trace that process; `UNOTIFY_ERR_SYSTEM`
/// with `ESRCH` when there is no such process; `UNOTIFY_ERR_INVALID_ARGUMENT` when it has no such
/// descriptor or that is not a listener.
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_from_pid(
    pid: libc::pid_t,
    fd: c_int,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        out.put_boxed(unotify_listener(Listener::from_pid(pid, fd)?));
        Ok(())
    })
}

/// Receives a listener over a Unix socket (`SCM_RIGHTS`, with one byte of any payload): the first
/// descriptor of one message. Others in it are closed.
///
/// Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT` when
/// what came is no listener (it is closed), or `unix_socket` no Unix socket; after
/// `UNOTIFY_ERR_SYSTEM` with `EMFILE` the message waits.
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_from_socket(
    unix_socket: c_int,
    out: *mut *mut unotify_listener,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: used for this call only.
        let socket = unsafe { lent_fd(unix_socket, "unix_socket") }?;
        out.put_boxed(unotify_listener(Listener::from_socket(socket)?));
        Ok(())
    })
}

/// Sends a duplicate of the listener for unotify_listener_from_socket(). This is a `sendmsg(2)`: a
/// thread whose filter notifies that waits here for ever, as nobody has the listener yet.
///
/// Errors: `UNOTIFY_ERR_CLOSED` when the other side is closed; `UNOTIFY_ERR_INVALID_ARGUMENT` when
/// it is no Unix socket.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_to_socket(
    listener: *const unotify_listener,
    unix_socket: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `listener` is NULL or a live handle, as promised.
        let listener = unsafe { shared(listener, "listener") }?;
        // SAFETY: used for this call only.
        let socket = unsafe { lent_fd(unix_socket, "unix_socket") }?;
        listener.0.to_socket(socket.as_fd())
    })
}

/// The listener's descriptor, which remains the listener's; -1 for NULL. It polls readable when a
/// notification is pending, and hung up when the last target has exited (before Linux 6.11, when it
/// was waited for: poll the child's descriptor too). `POLLERR` alone only says that a signal came
/// while the kernel looked. Receive from it through the library only.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_fd(listener: *const unotify_listener) -> c_int {
    infallible(-1, || {
        // SAFETY: `listener` is NULL or a live handle, as promised.
        unsafe { listener.as_ref() }.map_or(-1, |l| l.0.as_raw_fd())
    })
}

/// Frees the handle and gives its descriptor back, for the caller to close; -1 for NULL, or with
/// `errno` when notifications hold the descriptor and it cannot be duplicated.
///
/// # Safety
/// `listener` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_into_fd(listener: *mut unotify_listener) -> c_int {
    let mut fd = -1;
    call(|| {
        // SAFETY: `listener` is NULL or a live handle that is not used again, as promised.
        let listener = unsafe { reclaim(listener) }.ok_or_else(|| invalid("`listener` is null"))?;
        fd = listener.0.into_fd()?.into_raw_fd();
        Ok(())
    });
    fd
}

/// Waits for the next notification. As with `getline(3)`, if `*notification` is NULL a handle is
/// allocated, for the caller to free in the end, else that handle is used again; what it held gets
/// the fallback error unless it was answered. On failure a handle that was given remains the
/// caller's and holds nothing. One thread at a time waits in the kernel, the others queue.
///
/// Errors: `UNOTIFY_ERR_TIMEOUT`; `UNOTIFY_ERR_STOPPED` by unotify_listener_set_interrupted();
/// `UNOTIFY_ERR_CLOSED` when the last target has exited (before 6.11 was waited for, before 5.9
/// never): see unotify_listener_watch_child().
///
/// # Safety
/// `listener` is NULL or a live handle; `notification` is NULL or points to NULL or to a live
/// handle that no other thread uses.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_receive(
    listener: *mut unotify_listener,
    timeout_ms: c_int,
    notification: *mut *mut unotify_notification,
) -> unotify_status {
    if timeout_ms != -1 {
        // SAFETY: the handles are live or NULL, as promised.
        return unsafe { receive_within(listener, timeout_ms, notification) };
    }
    // SAFETY: NULL or a live handle; NULL or what points to a handle or NULL, as promised.
    let given = unsafe { (listener.as_ref(), notification.as_ref()) };
    if let (Some(listener), Some(&reused)) = given {
        // SAFETY: NULL or a live handle that no other thread uses, as promised.
        let reused = unsafe { reused.as_mut() };
        if reused.is_some_and(|reused| listener.0.receive_at_once(reused.inner())) {
            return unotify_status::Ok;
        }
    }
    // SAFETY: the handles are live or NULL, as promised.
    unsafe { receive_patiently(listener, notification) }
}

/// Receives without a limit where that could not be done at once.
///
/// # Safety
/// As [`unotify_listener_receive`].
#[cold]
#[inline(never)]
unsafe fn receive_patiently(
    listener: *const unotify_listener,
    notification: *mut *mut unotify_notification,
) -> unotify_status {
    // SAFETY: the handles are live or NULL, as promised.
    unsafe { receive_within(listener, -1, notification) }
}

/// # Safety
/// As [`unotify_listener_receive`].
#[inline(never)]
unsafe fn receive_within(
    listener: *const unotify_listener,
    timeout_ms: c_int,
    notification: *mut *mut unotify_notification,
) -> unotify_status {
    // SAFETY: the handles are live or NULL, as promised.
    call(|| unsafe { receive(listener, timeout_ms, ReceiveFlags::empty(), notification) })
}

/// A handled signal ends the receive.
pub const UNOTIFY_RECEIVE_RETURN_ON_SIGNAL: u32 = 1 << 0;
const _: () = assert!(UNOTIFY_RECEIVE_RETURN_ON_SIGNAL == ReceiveFlags::RETURN_ON_SIGNAL.bits());

/// unotify_listener_receive() with flags. With `UNOTIFY_RECEIVE_RETURN_ON_SIGNAL` a signal that is
/// handled on this thread ends the wait with `UNOTIFY_ERR_INTERRUPTED`, `SA_RESTART` or not, for
/// languages that run handlers later. It takes a `ppoll`, and misses a signal right before that.
///
/// # Safety
/// As `unotify_listener_receive`.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_receive_with(
    listener: *mut unotify_listener,
    timeout_ms: c_int,
    flags: u32,
    notification: *mut *mut unotify_notification,
) -> unotify_status {
    call(|| {
        let flags = ReceiveFlags::from_bits(flags)
            .ok_or_else(|| invalid(format!("`flags` has unknown bits: {flags:#x}")))?;
        // SAFETY: the handles are live or NULL, as promised.
        unsafe { receive(listener, timeout_ms, flags, notification) }
    })
}

/// # Safety
/// As [`unotify_listener_receive`].
unsafe fn receive(
    listener: *const unotify_listener,
    timeout_ms: c_int,
    flags: ReceiveFlags,
    notification: *mut *mut unotify_notification,
) -> crate::Result<()> {
    // SAFETY: `listener` is NULL or a live handle, as promised.
    let listener = &unsafe { shared(listener, "listener") }?.0;
    // SAFETY: `notification` is NULL or points to a handle or NULL, as promised.
    let place = unsafe { exclusive(notification, "notification") }?;
    let limit = time_limit(timeout_ms)?;
    // SAFETY: it holds NULL or a live handle that no other thread uses, as promised.
    if let Some(reused) = unsafe { place.as_mut() } {
        return listener.receive_with(reused.inner(), limit, flags);
    }
    let mut new = Notification::vacant()?;
    listener.receive_with(&mut new, limit, flags)?;
    *place = Box::into_raw(Box::new(unotify_notification::new(new)));
    Ok(())
}

/// A time limit in milliseconds, as C gives it: -1 is no limit.
pub(super) fn time_limit(timeout_ms: c_int) -> crate::Result<Option<Duration>> {
    if timeout_ms == -1 {
        return Ok(None);
    }
    let ms = u64::try_from(timeout_ms).map_err(|_| {
        invalid(format!(
            "`timeout_ms` is {timeout_ms}; use -1 to wait without limit"
        ))
    })?;
    Ok(Some(Duration::from_millis(ms)))
}

/// Answers nothing.
pub const UNOTIFY_REPLY_NONE: u32 = 0;
/// As unotify_notification_reply_value().
pub const UNOTIFY_REPLY_VALUE: u32 = 1;
/// As unotify_notification_reply_error(): a positive `value`.
pub const UNOTIFY_REPLY_ERROR: u32 = 2;
/// As unotify_notification_reply_continue(): `value` is 0.
pub const UNOTIFY_REPLY_CONTINUE: u32 = 3;

/// Answers what `notification` holds, then receives the next one into it as
/// unotify_listener_receive() does: one call for each turn of a loop. With `UNOTIFY_REPLY_NONE`, as
/// for a new handle, it only receives. What the answer came to goes to `*replied` (which may be
/// NULL), whether this fails or not; `errno` is of what this returns. After `UNOTIFY_OK`,
/// `UNOTIFY_ERR_GONE` and `UNOTIFY_ERR_ANSWERED` it goes on to receive. Any other error of the
/// answer is returned, nothing was received, and the target waits for a better answer.
///
/// Errors: those of the answer and of receiving; `UNOTIFY_ERR_INVALID_ARGUMENT` also with nothing
/// to answer.
///
/// # Safety
/// `listener` is NULL or a live handle; `notification` is NULL or a live handle that no other
/// thread uses; `replied` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_reply_receive(
    listener: *mut unotify_listener,
    notification: *mut unotify_notification,
    reply: u32,
    value: i64,
    timeout_ms: c_int,
    replied: *mut unotify_status,
) -> unotify_status {
    let mut rest = reply;
    if timeout_ms == -1 {
        // SAFETY: NULL or a live handle; NULL or one that no other thread uses, as promised.
        let given = unsafe { (listener.as_ref(), notification.as_mut()) };
        if let (Some(listener), Some(held)) = given {
            let held = held.inner();
            if give_answer_at_once(held, reply, value) {
                if listener.0.receive_at_once(held) {
                    // SAFETY: `replied` is NULL or valid for writing, as promised.
                    unsafe { put_answer(replied, unotify_status::Ok) };
                    return unotify_status::Ok;
                }
                rest = UNOTIFY_REPLY_NONE;
            }
        }
    }
    // SAFETY: as before.
    unsafe { reply_receive(listener, notification, rest, value, timeout_ms, replied) }
}

/// Does what of [`unotify_listener_reply_receive`] could not be done at once.
///
/// # Safety
/// As there.
#[cold]
unsafe fn reply_receive(
    listener: *mut unotify_listener,
    notification: *mut unotify_notification,
    reply: u32,
    value: i64,
    timeout_ms: c_int,
    replied: *mut unotify_status,
) -> unotify_status {
    let mut answer = unotify_status::Ok;
    let status = call(|| {
        // SAFETY: the handles are live or NULL, as promised.
        let (listener, held) = unsafe { (shared(listener, "listener")?, inner(notification)?) };
        let limit = time_limit(timeout_ms)?;
        if let Err(error) = give_answer(held, reply, value) {
            answer = error.status();
            if !matches!(answer, Status::Gone | Status::Answered) {
                return Err(error);
            }
        }
        listener.0.receive_into(held, limit)
    });
    // SAFETY: `replied` is NULL or valid for writing, as promised.
    unsafe { put_answer(replied, answer) };
    status
}

/// # Safety
/// `replied` is NULL or valid for writing.
unsafe fn put_answer(replied: *mut unotify_status, answer: unotify_status) {
    // SAFETY: NULL or valid for writing, as promised.
    if let Some(replied) = unsafe { replied.as_mut() } {
        *replied = answer;
    }
}

/// Does what [`give_answer`] does, if nothing stands in the way; whether it did. If not, nothing has
/// happened.
#[inline(always)]
fn give_answer_at_once(held: &mut Notification, reply: u32, value: i64) -> bool {
    match reply {
        UNOTIFY_REPLY_NONE => true,
        UNOTIFY_REPLY_VALUE => held.send_at_once(Reply::Value, value, 0, 0),
        UNOTIFY_REPLY_ERROR => i32::try_from(value)
            .is_ok_and(|e| is_errnum(e) && held.send_at_once(Reply::Error, 0, -e, 0)),
        UNOTIFY_REPLY_CONTINUE => value == 0 && held.send_at_once(Reply::Continue, 0, 0, CONTINUE),
        _ => false,
    }
}

fn give_answer(held: &mut Notification, reply: u32, value: i64) -> crate::Result<()> {
    match reply {
        UNOTIFY_REPLY_NONE => Ok(()),
        UNOTIFY_REPLY_VALUE => held.reply_value(value),
        // What does not fit is no error number either way.
        UNOTIFY_REPLY_ERROR => held.reply_error(i32::try_from(value).unwrap_or(0)),
        UNOTIFY_REPLY_CONTINUE if value == 0 => held.reply_continue(),
        UNOTIFY_REPLY_CONTINUE => Err(invalid(format!(
            "`value` is {value}; a call that is continued has none"
        ))),
        _ => Err(invalid(format!(
            "`reply` is {reply}, which is no way to answer"
        ))),
    }
}

/// While this is on (`on` is not 0), receives on this listener end with `UNOTIFY_ERR_STOPPED`,
/// those under way on any thread and later ones. What is pending stays so. A supervisor that serves
/// the listener takes no notice. May be called from any thread and from a signal handler.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_set_interrupted(
    listener: *mut unotify_listener,
    on: c_int,
) -> unotify_status {
    // SAFETY: `listener` is NULL or a live handle, as promised.
    let Some(listener) = (unsafe { listener.as_ref() }) else {
        return call(|| Err(invalid("`listener` is null")));
    };
    let errno = Errno::last();
    listener.0.set_interrupted(on != 0);
    // A signal handler must leave it as it was.
    errno.set();
    unotify_status::Ok
}

/// Tells which child of the caller's loaded the filter by itself (Linux 5.4), so that the listener
/// ends with it before Linux 6.11 too: once it is a zombie and no notification is pending, though
/// other targets may be left. It remains the caller's to wait for. Duplicates `pidfd`
/// (`pidfd_open(2)`); a later call replaces it. Not needed after unotify_spawn(). See "The end of a
/// target" in unotify(7).
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` when `pidfd` is not one.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_watch_child(
    listener: *mut unotify_listener,
    pidfd: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `listener` is NULL or a live handle, as promised.
        let listener = unsafe { shared(listener, "listener") }?;
        // SAFETY: used for this call only.
        let pidfd = unsafe { lent_fd(pidfd, "pidfd") }?;
        listener.0.watch_child(pidfd)
    })
}

/// Switches synchronous wake-up on (`on` is not 0) or off (Linux 6.6): with it the kernel runs the
/// woken side at once on the same processor. It is on at first where the kernel has it.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_set_sync_wake_up(
    listener: *mut unotify_listener,
    on: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `listener` is NULL or a live handle, as promised.
        unsafe { shared(listener, "listener") }?
            .0
            .set_sync_wake_up(on != 0)
    })
}

/// Chooses the error, 1 to 4095, for notifications that are freed unanswered: `ENOSYS` at first.
///
/// # Safety
/// `listener` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_set_fallback_error(
    listener: *mut unotify_listener,
    errnum: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `listener` is NULL or a live handle, as promised.
        unsafe { shared(listener, "listener") }?
            .0
            .set_fallback_error(errnum)
    })
}

/// Frees a listener. Its descriptor is closed once the last notification from it is freed; the
/// kernel then answers what is pending, and every later call, with `ENOSYS`.
///
/// # Safety
/// `listener` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_listener_free(listener: *mut unotify_listener) {
    // SAFETY: `listener` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(listener) }));
}
