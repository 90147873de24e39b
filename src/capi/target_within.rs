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

/// The directories that targets may open things in. Any number of threads may open with it at a
/// time; add to it before that.
#[derive(Debug)]
pub struct unotify_roots(Roots);

/// Open files for reading, and directories.
pub const UNOTIFY_RIGHT_READ: u32 = 1 << 0;

/// Open existing files for writing, and truncate them.
pub const UNOTIFY_RIGHT_WRITE: u32 = 1 << 1;

/// Make new files; to have them open for reading or writing takes that right too.
pub const UNOTIFY_RIGHT_CREATE: u32 = 1 << 2;

/// Every target sees the paths that this process sees: none changes its root directory or is in
/// another mount namespace, as under a filter that refuses `chroot(2)`, `pivot_root(2)`, `setns(2)`
/// and namespaces. That is not asked each time then, which saves a fifth of the time. Where it is not
/// true a target still gets nothing that is not allowed, but maybe another file than it named.
pub const UNOTIFY_ROOTS_SAME_PATHS: u32 = 1 << 0;

/// Makes a set of directories, empty yet: everything is refused. `flags` is 0 or
/// `UNOTIFY_ROOTS_SAME_PATHS`. Free it with unotify_roots_free().
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

/// Allows what lies in the directory `path`, or the single file `path`, links followed. `rights`
/// are `UNOTIFY_RIGHT_` flags; those of directories within each other add up. There is none for
/// executing, which is not decided on opening: what can be read can be mapped and run.
///
/// It is that very directory from here on, whatever becomes of its name, and it is kept open. What
/// is mounted below it belongs to it, but not what is mounted there later (before Linux 6.8: nothing
/// that is mounted below). "/" is everything that a target can name, also on mounts of its own.
///
/// Errors: `UNOTIFY_ERR_INVALID_ARGUMENT` for `rights`; `UNOTIFY_ERR_SYSTEM` with the `errno` of
/// opening, `ENOENT` without a `/proc`, `EXDEV` when something is mounted over it.
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

/// As unotify_notification_open(), for what lies in a directory of `roots` that allows it; everything
/// else is refused with `EACCES`. Give `*fd` away with unotify_notification_reply_fd().
///
/// The file itself is decided on, so that neither links, renaming or mounts nor another root or
/// working directory of the target lead around it. **A hard link is a file of the directory that it
/// lies in**: who can link a file into an allowed directory makes it allowed by that name. A file is only created or
/// truncated after it was decided, and not through a link that leads nowhere (`EEXIST`). A `/proc`
/// among the roots gives all that the supervisor may open there, but for its own.
///
/// Errors: as unotify_notification_open(); `UNOTIFY_ERR_SYSTEM` with `EACCES` for what is not
/// allowed.
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
