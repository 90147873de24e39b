//! The mirror of `target/descriptors.rs`.

use super::boundary::{call, invalid, unotify_status, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use crate::error::Result;
use std::ffi::c_int;
use std::os::fd::IntoRawFd;

/// Duplicates the target's descriptor `target_fd` (Linux 5.6: `pidfd_getfd(2)`). It is the same
/// open file: what is done to a socket through it is done to the target's.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` with `EBADF` when there is none; before 6.9
/// `UNOTIFY_ERR_UNSUPPORTED` for a thread that does not share its leader's descriptors.
///
/// # Safety
/// `notification` is NULL or a live handle; `fd` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_get_fd(
    notification: *mut unotify_notification,
    target_fd: c_int,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let got = unsafe { inner(notification) }?.get_fd(target_fd)?;
        out.put(got.into_raw_fd());
        Ok(())
    })
}

/// Gives the target a duplicate of `fd` (Linux 5.9): at the lowest free number if `target_fd` is
/// -1, else at `target_fd`, closing what was open there. `flags` is 0 or `O_CLOEXEC`. The number
/// goes to `*new_fd` (which may be NULL). The target goes on waiting.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` with `EBADF` also when `fd` was opened with `O_PATH`,
/// which the kernel does not pass (see unotify_notification_reopen()), or `target_fd` is beyond the
/// target's limit; `UNOTIFY_ERR_SYSTEM` with `EMFILE` when the target may not have more.
///
/// # Safety
/// `notification` is NULL or a live handle; `new_fd` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_add_fd(
    notification: *mut unotify_notification,
    fd: c_int,
    target_fd: c_int,
    flags: c_int,
    new_fd: *mut c_int,
) -> unotify_status {
    call(|| {
        let cloexec = cloexec(flags)?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        let at = (target_fd != -1).then_some(target_fd);
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let number = unsafe { inner(notification) }?.add_fd(fd, at, cloexec)?;
        // SAFETY: `new_fd` is NULL or valid for writing, as promised.
        if let Some(new_fd) = unsafe { new_fd.as_mut() } {
            *new_fd = number;
        }
        Ok(())
    })
}

/// Gives the target a duplicate of `fd` at the lowest free number, and lets its call return that
/// number. `flags` is 0 or `O_CLOEXEC`. **Signals are held back on this thread meanwhile**, some
/// microseconds; what stops or kills it in that moment can make the call return 0, the standard
/// input. **Before Linux 5.14** a target that a signal interrupts can keep a descriptor that its
/// call never returned. See "Answering with a descriptor" in unotify(7).
///
/// Errors: as unotify_notification_add_fd(); `UNOTIFY_ERR_BUSY` while another holder of the
/// listener does it.
///
/// # Safety
/// `notification` is NULL or a live handle.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_fd(
    notification: *mut unotify_notification,
    fd: c_int,
    flags: c_int,
) -> unotify_status {
    call(|| {
        let cloexec = cloexec(flags)?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        unsafe { inner(notification) }?
            .reply_fd(fd, cloexec)
            .map(drop)
    })
}

/// Opens a pidfd for the target's process, whichever of its threads calls (Linux 5.3).
///
/// # Safety
/// `notification` is NULL or a live handle; `fd` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open_pidfd(
    notification: *mut unotify_notification,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let pidfd = unsafe { inner(notification) }?.open_pidfd()?;
        out.put(pidfd.into_raw_fd());
        Ok(())
    })
}

/// Flags of a descriptor in the target.
fn cloexec(flags: c_int) -> Result<bool> {
    match flags {
        0 => Ok(false),
        flags if flags == libc::O_CLOEXEC => Ok(true),
        _ => Err(invalid(format!(
            "`flags` is {flags:#x}; it takes O_CLOEXEC or 0"
        ))),
    }
}
