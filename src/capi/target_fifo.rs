//! The mirror of `target/fifo.rs` and `target/interruption.rs`.

use super::boundary::{call, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::c_int;

/// Opens the file that `fd` stands for as unotify_notification_reopen() does and answers with it,
/// close-on-exec with `O_CLOEXEC`. **What has to wait waits, without the caller**: a FIFO for its
/// other end, a file for a lease. A thread of the library's opens it then, as the target would, and
/// answers. The wait ends with the target, and by signals as with
/// unotify_notification_reply_interrupted(). `fd` remains the caller's.
///
/// On success the notification is answered or holds nothing any more: a handler returns
/// `UNOTIFY_HANDLED`.
///
/// Errors: as unotify_notification_reopen() and unotify_notification_reply_fd(), and unless it is
/// gone the target goes on waiting; `UNOTIFY_ERR_SYSTEM` with `EAGAIN` when 1,024 opens wait.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_open(
    notification: *mut unotify_notification,
    fd: c_int,
    flags: c_int,
    mode: libc::mode_t,
) -> unotify_status {
    call(|| {
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        notification.reply_open(fd, flags, mode)
    })
}

/// If a signal waits for the target, ends its call as the kernel ends one that a signal interrupts,
/// and `*interrupted` is 1: the handler runs, and the call is made again or fails with `EINTR`, as
/// the handler was installed. If not, it is 0, and the target goes on waiting. For calls that are
/// let wait for long, as a received one is interrupted by nothing that does not kill: ask every 10
/// ms or so.
///
/// Not seen are a freezer, a tracer's stop, and signals to the process that another thread could
/// take as well, unless this one leads it.
///
/// # Safety
/// `notification` is NULL or a live handle; `interrupted` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_interrupted(
    notification: *mut unotify_notification,
    interrupted: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `interrupted` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(interrupted, "interrupted") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        out.put(unsafe { inner(notification) }?.reply_interrupted()?.into());
        Ok(())
    })
}
