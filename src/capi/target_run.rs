//! The mirror of `target/run_in.rs`.

use super::boundary::{call, invalid, unotify_status, Out};
use super::notification::{inner, unotify_notification};
use crate::target::Namespaces;
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;
use std::time::Duration;

/// Opens the target's root directory with `O_PATH`: for a container, its own file system.
///
/// # Safety
/// `notification` is NULL or a live handle; `fd` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open_root(
    notification: *mut unotify_notification,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let root = unsafe { inner(notification) }?.open_root()?;
        out.put(root.into_raw_fd());
        Ok(())
    })
}

/// What is mounted, with the target's root and working directory.
pub const UNOTIFY_NAMESPACE_MOUNT: u32 = 1 << 0;
/// Users: its root, if it has one, with all capabilities there.
pub const UNOTIFY_NAMESPACE_USER: u32 = 1 << 1;
/// Network.
pub const UNOTIFY_NAMESPACE_NET: u32 = 1 << 2;
const _: () = assert!(UNOTIFY_NAMESPACE_MOUNT == Namespaces::MOUNT.bits());
const _: () = assert!(UNOTIFY_NAMESPACE_USER == Namespaces::USER.bits());
const _: () = assert!(UNOTIFY_NAMESPACE_NET == Namespaces::NET.bits());

/// Returns 0, with `*value` and a descriptor in `*fd` (0 and -1 at first), or a positive error number.
/// **It may only do what is async-signal-safe.**
pub type unotify_run_function =
    Option<unsafe extern "C" fn(data: *mut c_void, value: *mut i64, fd: *mut c_int) -> c_int>;

/// Runs `function` in namespaces of the target (`UNOTIFY_NAMESPACE_*`), to mount what it asks for, or to
/// open a socket on its network: in a copy of this process, as after `fork(2)`, which is killed after
/// `timeout_ms`. What it gives goes to `*value` and `*fd` (each may be NULL). The rights are the
/// supervisor's. See "In a target's namespaces" in unotify(7).
///
/// Errors: `UNOTIFY_ERR_SYSTEM`, or what else it means, with the number that the function returned;
/// `UNOTIFY_ERR_PERMISSION` when the supervisor may not join them; `UNOTIFY_ERR_TIMEOUT`.
///
/// # Safety
/// `notification` is NULL or a live handle; `function` and `data` are usable during this; `value` and
/// `fd` are NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_run_in(
    notification: *mut unotify_notification,
    namespaces: u32,
    timeout_ms: c_int,
    function: unotify_run_function,
    data: *mut c_void,
    value: *mut i64,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        let namespaces = Namespaces::from_bits(namespaces)
            .ok_or_else(|| invalid(format!("`namespaces` has unknown bits: {namespaces:#x}")))?;
        let function = function.ok_or_else(|| invalid("`function` is null"))?;
        let limit = u64::try_from(timeout_ms).ok().filter(|&ms| ms > 0);
        let limit =
            limit.ok_or_else(|| invalid(format!("`timeout_ms` is {timeout_ms}, not positive")))?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        let mut there = || {
            let (mut value, mut fd) = (0, -1);
            // SAFETY: usable during this, as promised.
            match unsafe { function(data, &mut value, &mut fd) } {
                0 => Ok((value, (fd != -1).then_some(fd))),
                errnum => Err(errnum),
            }
        };
        let limit = Duration::from_millis(limit);
        // SAFETY: the function does what is async-signal-safe, as its documentation asks.
        let (given, opened) = unsafe { notification.run_there(namespaces, limit, &mut there) }?;
        // SAFETY: NULL or valid for writing, as promised.
        let (value, fd) = unsafe { (value.as_mut(), fd.as_mut()) };
        if let Some(value) = value {
            *value = given;
        }
        if let Some(fd) = fd {
            *fd = opened.map_or(-1, IntoRawFd::into_raw_fd);
        }
        Ok(())
    })
}
