//! The mirror of `target/connect.rs`.

use super::boundary::{call, slice, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;

/// Opens with `O_PATH` what the path in the `len` bytes at `addr`, a `struct sockaddr_un`, leads
/// the target to.
///
/// Errors: as unotify_notification_open(); `UNOTIFY_ERR_INVALID_ARGUMENT` without a path.
///
/// # Safety
/// `notification` is NULL or a live handle; `addr` is valid for reading `len` bytes, and may be NULL
/// if `len` is 0; `fd` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open_socket(
    notification: *mut unotify_notification,
    addr: *const c_void,
    len: usize,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `addr` is valid for reading `len` bytes, as promised.
        let address = unsafe { slice(addr.cast::<u8>(), len, "addr") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let opened = unsafe { inner(notification) }?.open_socket(address)?;
        out.put(opened.into_raw_fd());
        Ok(())
    })
}

/// Connects the target's socket to the `len` bytes at `addr`, a `struct sockaddr` that was read and
/// decided on, and answers with what comes of it, be it an error. If that has to wait, a thread of
/// the library's does, until the target ends or a signal comes for it; `notification` is empty
/// then, and a handler returns `UNOTIFY_HANDLED`. `file` is -1, or what
/// unotify_notification_open_socket() opened, to take that for the path of a Unix socket. The
/// supervisor's rights count, and the peer sees the supervisor (`SO_PEERCRED`).
///
/// Errors, and the target goes on waiting: those of unotify_notification_get_fd() and of
/// unotify_notification_open_socket(); `UNOTIFY_ERR_SYSTEM` with `EAGAIN` when 1,024 calls wait
/// already.
///
/// # Safety
/// `notification` is NULL or a live handle; `addr` is valid for reading `len` bytes, and may be NULL
/// if `len` is 0.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_connect(
    notification: *mut unotify_notification,
    target_fd: c_int,
    addr: *const c_void,
    len: usize,
    file: c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `addr` is valid for reading `len` bytes, as promised.
        let address = unsafe { slice(addr.cast::<u8>(), len, "addr") }?;
        let file = if file == -1 {
            None
        } else {
            // SAFETY: used for this call only.
            Some(unsafe { lent_fd(file, "file") }?)
        };
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        unsafe { inner(notification) }?.reply_connect(target_fd, address, file)
    })
}
