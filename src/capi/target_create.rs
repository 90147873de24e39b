//! The mirror of `target/create.rs`.

use super::boundary::{c_str, call, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use std::ffi::{c_char, c_int};
use std::os::fd::IntoRawFd;

/// Creates a file under `name` in `directory`, and opens it: for an `open(2)` with `O_CREAT`, after
/// unotify_notification_open_parent() and a decision on the directory. It comes out as if the
/// target had created it: `mode` less the target's umask, or as the directory's default access
/// control list says, owned by the target's user and group for files, or the group of a
/// set-group-id directory. There must be nothing there, as with `O_EXCL`. `flags` are those that
/// the target gave; `*fd` is close-on-exec.
///
/// **The supervisor's rights count**: check that the target may write to the directory. A
/// supervisor that may not act as another user owns what it makes. Makes a thread for the call
/// unless target and caller have the same umask, user and group.
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` to answer the target with;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` for a `name` that is empty, ".", "..", or has a slash.
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

/// Makes a directory as unotify_notification_create() does a file: for `mkdirat(2)`.
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

/// Makes a FIFO, a socket, a device or a regular file as unotify_notification_create() does: for
/// `mknodat(2)`, with `mode` and `device` as the target gave them. `EPERM` for a device without
/// `CAP_MKNOD`.
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
        notification.mknod(
            directory,
            unsafe { c_str(name, "name") }?,
            bits(mode),
            device,
        )
    })
}

/// Makes a symbolic link to `content`, owned as by unotify_notification_create(): for
/// `symlinkat(2)`.
///
/// # Safety
/// As `unotify_notification_mkdir`; `content` is NULL or a string.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_symlink(
    notification: *mut unotify_notification,
    content: *const c_char,
    directory: c_int,
    name: *const c_char,
) -> unotify_status {
    call(|| {
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let directory = unsafe { lent_fd(directory, "directory") }?;
        // SAFETY: both are NULL or strings, as promised.
        let (content, name) = unsafe { (c_str(content, "content")?, c_str(name, "name")?) };
        notification.symlink(content, directory, name)
    })
}

/// What the kernel looks at of a mode.
fn bits(mode: libc::mode_t) -> u32 {
    (mode as u16).into()
}
