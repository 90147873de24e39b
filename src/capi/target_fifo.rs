//! The mirror of `target/fifo.rs` and `target/interruption.rs`.

use super::boundary::{call, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::c_int;

/// unotify_notification_reopen() and unotify_notification_reply_fd() in one, close-on-exec with
/// `O_CLOEXEC`. If that has to wait, for a FIFO's other end, a thread of the library's does, until
/// a signal ends that as in the target; `notification` is empty then. `EAGAIN` if 1,024 wait.
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

/// If a signal waits for the target, ends its call as the kernel would (`EINTR`, or it is made
/// again), and `*interrupted` is 1. For who lets a call wait, every 10 ms: see unotify(7).
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
