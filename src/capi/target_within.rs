//! The mirror of `target/roots.rs` and `target/within.rs`.

use super::boundary::{
    c_str, call, exclusive, infallible, invalid, options, reclaim, shared, unotify_status, Out,
};
use super::notification::{inner, unotify_notification};
use super::target_open::unotify_open_how;
use crate::target::{Rights, Roots};
use std::ffi::{c_char, c_int, OsStr};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;

/// Directories that targets may open things in: add to it before threads open with it.
#[derive(Debug)]
pub struct unotify_roots(Roots);

/// Open for reading.
pub const UNOTIFY_RIGHT_READ: u32 = 1 << 0;
/// Open for writing, and truncate.
pub const UNOTIFY_RIGHT_WRITE: u32 = 1 << 1;
/// Make new files.
pub const UNOTIFY_RIGHT_CREATE: u32 = 1 << 2;
/// No target changes its root or mounts: faster.
pub const UNOTIFY_ROOTS_SAME_PATHS: u32 = 1 << 0;

/// Makes an empty set. `flags` is 0 or `UNOTIFY_ROOTS_SAME_PATHS`: see unotify(7).
///
/// # Safety
/// `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_roots_new(
    flags: u32,
    out: *mut *mut unotify_roots,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        let roots = match flags {
            0 => Roots::new()?,
            UNOTIFY_ROOTS_SAME_PATHS => Roots::new()?.same_paths(),
            _ => {
                return Err(invalid(format!(
                    "`flags` is {flags:#x}; it takes UNOTIFY_ROOTS_SAME_PATHS or 0"
                )))
            }
        };
        out.put_boxed(unotify_roots(roots));
        Ok(())
    })
}

/// Allows what lies in the directory `path`, with what is mounted there now, or that single file;
/// "/" is everything. It is kept open, and its name does not matter afterwards. `rights` are
/// `UNOTIFY_RIGHT_*`; those of directories within each other add up.
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` of opening `path`.
///
/// # Safety
/// `roots` is NULL or a live handle that no other thread uses; `path` is NULL or NUL-terminated.
#[no_mangle]
pub unsafe extern "C" fn unotify_roots_add(
    roots: *mut unotify_roots,
    path: *const c_char,
    rights: u32,
) -> unotify_status {
    call(|| {
        // SAFETY: `roots` is NULL or a live handle that no other thread uses, as promised.
        let roots = unsafe { exclusive(roots, "roots") }?;
        // SAFETY: `path` is NULL or NUL-terminated, as promised.
        let path = unsafe { c_str(path, "path") }?;
        let rights = Rights::from_bits_retain(rights);
        roots.0.add(OsStr::from_bytes(path.to_bytes()), rights)
    })
}

/// Frees a set of directories.
///
/// # Safety
/// `roots` is NULL or a live handle that is not used again.
#[no_mangle]
pub unsafe extern "C" fn unotify_roots_free(roots: *mut unotify_roots) {
    // SAFETY: `roots` is NULL or a live handle that is not used again, as promised.
    infallible((), || drop(unsafe { reclaim(roots) }));
}

/// As unotify_notification_open(), for what lies in a directory of `roots` that allows it. It is
/// decided on the file itself, before it is created or truncated: no link, renaming, mount or other
/// root leads around that, but **a hard link is a file of the directory it lies in**.
///
/// Errors: as there; `UNOTIFY_ERR_SYSTEM` with `EACCES` for all else.
///
/// # Safety
/// `notification` and `roots` are NULL or live handles; `how` is NULL or as long as its `size`; `fd`
/// is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open_within(
    notification: *mut unotify_notification,
    roots: *const unotify_roots,
    dirfd: c_int,
    path_addr: u64,
    how: *const unotify_open_how,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `how` is NULL or as long as its `size`, as promised.
        let how = unsafe { options(how) }?.checked()?;
        // SAFETY: `roots` is NULL or a live handle that nobody changes meanwhile, as promised.
        let roots = unsafe { shared(roots, "roots") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        let opened = notification.open_within(&roots.0, dirfd, path_addr, how)?;
        out.put(opened.into_raw_fd());
        Ok(())
    })
}

/// The same and unotify_notification_reply_fd(), waiting as unotify_notification_reply_open().
///
/// # Safety
/// As unotify_notification_open_within().
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reply_open_within(
    notification: *mut unotify_notification,
    roots: *const unotify_roots,
    dirfd: c_int,
    path_addr: u64,
    how: *const unotify_open_how,
) -> unotify_status {
    call(|| {
        // SAFETY: `how` is NULL or as long as its `size`, as promised.
        let how = unsafe { options(how) }?.checked()?;
        // SAFETY: `roots` is NULL or a live handle that nobody changes meanwhile, as promised.
        let roots = unsafe { shared(roots, "roots") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        notification.reply_open_within(&roots.0, dirfd, path_addr, how)
    })
}
