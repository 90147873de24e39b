//! The mirror of `target/identity.rs`.

use super::boundary::{call, report, room, unotify_status, Out, Report};
use super::notification::{inner, unotify_notification};
use super::target_open::put_path;
use crate::error::{Error, Status};
use std::ffi::c_char;

/// Who makes a call, as the supervisor's namespaces number it. Users and groups without a number
/// there are the overflow number (65534). Capabilities of another user namespace mean nothing.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct unotify_identity {
    /// `sizeof(unotify_identity)`, set by the caller.
    pub size: usize,
    /// The process (the thread group).
    pub tgid: libc::pid_t,
    /// The real user.
    pub uid: libc::uid_t,
    /// The effective user.
    pub euid: libc::uid_t,
    /// The user that access to files is decided for.
    pub fsuid: libc::uid_t,
    /// The real group.
    pub gid: libc::gid_t,
    /// The effective group.
    pub egid: libc::gid_t,
    /// The group that access to files is decided for.
    pub fsgid: libc::gid_t,
    /// What is taken away from the permissions of new files.
    pub umask: u32,
    /// Effective ones in its own user namespace, `1 << CAP_*`.
    pub capabilities: u64,
    /// 1 if that is the supervisor's, 0 also if it is unknown.
    pub same_user_namespace: u32,
    /// Always 0.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with the size, integers only, no padding.
unsafe impl Report for unotify_identity {
    const NAME: &'static str = "unotify_identity";
}

/// Fills in who the target is, read in one go.
///
/// # Safety
/// `notification` is NULL or a live handle; `identity` is NULL or as long as its `size`.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_identity(
    notification: *mut unotify_notification,
    identity: *mut unotify_identity,
) -> unotify_status {
    call(|| {
        let find = || {
            // SAFETY: `notification` is NULL or a live handle that no other thread uses, as
            // promised.
            let found = unsafe { inner(notification) }?.identity()?;
            Ok(unotify_identity {
                size: size_of::<unotify_identity>(),
                tgid: found.tgid,
                uid: found.uid,
                euid: found.euid,
                fsuid: found.fsuid,
                gid: found.gid,
                egid: found.egid,
                fsgid: found.fsgid,
                umask: found.umask,
                capabilities: found.capabilities,
                same_user_namespace: found.same_user_namespace.into(),
                reserved: 0,
            })
        };
        // SAFETY: `identity` is NULL or as long as its `size`, as promised.
        unsafe { report(identity, find) }
    })
}

/// Copies the target's supplementary groups, 65536 at most, to `out`, and their number to `*count`.
///
/// Errors: `UNOTIFY_ERR_TOO_LONG` when there are more than `cap`.
///
/// # Safety
/// `notification` is NULL or a live handle; `out` is valid for writing `cap` groups; `count` is
/// NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_groups(
    notification: *mut unotify_notification,
    out: *mut libc::gid_t,
    cap: usize,
    count: *mut usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `count` is NULL or valid for writing, as promised.
        let count = unsafe { Out::new(count, "count") }?;
        // SAFETY: `out` is valid for writing `cap` of them, as promised.
        let out = unsafe { room(out, cap, "out") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let groups = unsafe { inner(notification) }?.groups()?;
        let Some(place) = out.get_mut(..groups.len()) else {
            let message = format!("the target has {} groups", groups.len());
            return Err(Error::new(Status::TooLong, message));
        };
        place.copy_from_slice(&groups);
        count.put(groups.len());
        Ok(())
    })
}

/// Copies the path of the target's program into `buf`, as the supervisor sees it (`/proc/TID/exe`),
/// with " (deleted)" behind it if it has no name any more.
///
/// Errors: `UNOTIFY_ERR_TOO_LONG` beyond `cap` bytes.
///
/// # Safety
/// `notification` is NULL or a live handle; `buf` is valid for writing `cap` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_executable(
    notification: *mut unotify_notification,
    buf: *mut c_char,
    cap: usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `buf` is valid for writing `cap` bytes, as promised.
        let buf = unsafe { room(buf.cast::<u8>(), cap, "buf") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let path = unsafe { inner(notification) }?.executable()?;
        put_path(&path, buf)
    })
}
