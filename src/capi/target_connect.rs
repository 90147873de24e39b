//! The mirror of `target/connect.rs`.

use super::boundary::{call, slice, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;

/// Opens the file of the Unix socket that the `len` bytes at `addr`, a `struct sockaddr_un`, name
/// by a path, with `O_PATH`, as unotify_notification_open() does: to decide on the socket itself,
/// and connect to that.
///
/// Errors: those of unotify_notification_open(); `UNOTIFY_ERR_INVALID_ARGUMENT` when it is not such
/// an address, or has no path.
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

/// Connects the target's socket `target_fd` to the `len` bytes at `addr`, a `struct sockaddr` that
/// was read of the target once and decided on, and answers with what came of it, be it an error:
/// for `connect(2)`. `AF_UNSPEC` takes a connection away. The path of a Unix socket is the target's;
/// `file`, unless it is -1, is what unotify_notification_open_socket() has opened in its place. The
/// supervisor's rights count, and its peer sees the supervisor (`SO_PEERCRED`).
///
/// A socket with `O_NONBLOCK` is connected at once. **One that waits does so without the caller**: a
/// thread of the library's connects it and answers. That ends with the target, and with a signal that
/// would end it in the target, as unotify_notification_reply_interrupted() does; the connection goes
/// on being made, and the call that comes again waits for it. The handle holds nothing meanwhile, so
/// a handler returns `UNOTIFY_HANDLED`.
///
/// Errors: those of unotify_notification_get_fd() and unotify_notification_open_socket(), and the
/// target goes on waiting; `UNOTIFY_ERR_INVALID_ARGUMENT` when `len` is more than a
/// `struct sockaddr_storage`; `UNOTIFY_ERR_SYSTEM` with `EAGAIN` when 1,024 calls wait already.
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
        // SAFETY: used for this call only.
        let file = (file != -1)
            .then(|| unsafe { lent_fd(file, "file") })
            .transpose()?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        unsafe { inner(notification) }?.reply_connect(target_fd, address, file)
    })
}
