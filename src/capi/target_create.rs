//! The mirror of `target/create.rs`.

use super::boundary::{c_str, call, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::{c_char, c_int};
use std::os::fd::IntoRawFd;

/// Creates a file `name` in `directory`, after unotify_notification_open_parent(), and opens it, as
/// the target would: less its umask or by the directory's default list, owned by its user and
/// group. **The supervisor's rights count**: see "Opening what a target names" in unotify(7).
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` to answer with, `EEXIST` for what is there.
///
/// # Safety
/// `notification` is NULL or a live handle; `name` is NULL or a string; `fd` is NULL or valid for
/// writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_create(
    notification: *mut unotify_notification,
    directory: c_int,
    name: *const c_char,
    flags: c_int,
    mode: libc::mode_t,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let directory = unsafe { lent_fd(directory, "directory") }?;
        // SAFETY: `name` is NULL or a string, as promised.
        let name = unsafe { c_str(name, "name") }?;
        let made = notification.create(directory, name, flags, bits(mode))?;
        out.put(made.into_raw_fd());
        Ok(())
    })
}

/// The same for `mkdirat(2)`.
///
/// # Safety
/// `notification` is NULL or a live handle; `name` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_mkdir(
    notification: *mut unotify_notification,
    directory: c_int,
    name: *const c_char,
    mode: libc::mode_t,
) -> unotify_status {
    call(|| {
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let directory = unsafe { lent_fd(directory, "directory") }?;
        // SAFETY: `name` is NULL or a string, as promised.
        notification.mkdir(directory, unsafe { c_str(name, "name") }?, bits(mode))
    })
}

/// The same for `mknodat(2)`.
///
/// # Safety
/// As `unotify_notification_mkdir`.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_mknod(
    notification: *mut unotify_notification,
    directory: c_int,
    name: *const c_char,
    mode: libc::mode_t,
    device: libc::dev_t,
) -> unotify_status {
    call(|| {
        // As the kernel takes it.
        let device = device as u32;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let directory = unsafe { lent_fd(directory, "directory") }?;
        // SAFETY: `name` is NULL or a string, as promised.
        let name = unsafe { c_str(name, "name") }?;
        notification.mknod(directory, name, bits(mode), device)
    })
}

/// What the kernel looks at of a mode.
fn bits(mode: libc::mode_t) -> u32 {
    (mode as u16).into()
}
