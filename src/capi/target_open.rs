//! The mirror of `target/open.rs`.

use super::boundary::{call, invalid, options, room, unotify_status, Options, Out};
use super::listener::lent_fd;
use super::notification::{inner, unotify_notification};
use crate::error::{Error, Result, Status};
use crate::target::OpenHow;
use std::ffi::{c_char, c_int, OsStr};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How to open what a target names. By default for reading.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct unotify_open_how {
    /// `sizeof(unotify_open_how)`.
    pub size: usize,
    /// `O_*`, as for `open(2)`, which ignores unknown ones.
    pub flags: u64,
    /// Permissions of a file that is created with `O_CREAT` or `O_TMPFILE`.
    pub mode: u64,
    /// `RESOLVE_*` of `openat2(2)`, from where the path starts: unotify(7).
    pub resolve: u64,
    /// `AT_EMPTY_PATH` or 0: see unotify(7).
    pub at_flags: u64,
}

// SAFETY: `repr(C)`, begins with a `usize`, and integers only.
unsafe impl Options for unotify_open_how {
    const NAME: &'static str = "unotify_open_how";
    fn zeroed() -> Self {
        unotify_open_how {
            size: size_of::<Self>(),
            flags: 0,
            mode: 0,
            resolve: 0,
            at_flags: 0,
        }
    }
}

impl unotify_open_how {
    pub(super) fn checked(self) -> Result<OpenHow> {
        let mut how = OpenHow::new(self.flags as u32 as i32); // unknown flags are ignored
        how.mode = u32::try_from(self.mode)
            .map_err(|_| invalid(format!("`how.mode` is {:#o}", self.mode)))?;
        how.resolve = self.resolve;
        how.empty_path = match self.at_flags {
            0 => false,
            flags if flags == libc::AT_EMPTY_PATH as u64 => true,
            flags => {
                return Err(invalid(format!(
                    "`how.at_flags` is {flags:#x}; it takes AT_EMPTY_PATH or 0"
                )))
            }
        };
        Ok(how)
    }
}

/// Opens the file whose path is at `path_addr` in the target's memory, as the target would: from
/// its root, relative to its working directory (`dirfd` is `AT_FDCWD`) or to its descriptor
/// `dirfd`. `how` may be NULL. Decide on what `*fd` *is* and hand that over with
/// unotify_notification_reply_fd(): nothing is left that the target could exchange. Nothing leads
/// out of its root: not `..` or an absolute link, not a magic link (`ELOOP`), not a directory that
/// is outside (`EXDEV`). **The supervisor's rights count.** `O_CREAT` and `O_TRUNC` act at once: to
/// decide first, use `O_PATH`, then reopen. `/proc/self` is the target. **The supervisor's own
/// files in any `/proc` are refused** (`ELOOP`), others' (`/proc/PID/mem`) not: see unotify(7).
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` that the path leads to, which is the one to answer
/// with; `UNOTIFY_ERR_FAULT` and `UNOTIFY_ERR_TOO_LONG` for the path;
/// `UNOTIFY_ERR_INVALID_ARGUMENT` with `EBADF` for `dirfd`; `UNOTIFY_ERR_UNSUPPORTED` before 5.6.
///
/// # Safety
/// `notification` is NULL or a live handle; `how` is NULL or as long as its `size`; `fd` is NULL or
/// valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open(
    notification: *mut unotify_notification,
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
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let opened = unsafe { inner(notification) }?.open(dirfd, path_addr, how)?;
        out.put(opened.into_raw_fd());
        Ok(())
    })
}

/// Opens the file that `fd` stands for again, whatever its name leads to by now: for what was
/// opened with `O_PATH`, once it is decided that the target may have it. `flags` are the target's,
/// less `O_CREAT`, `O_EXCL` and `O_NOFOLLOW`; `mode` is for `O_TMPFILE`.
///
/// Errors: `UNOTIFY_ERR_SYSTEM` with the `errno` to answer with, such as `ENXIO` for a socket or a
/// FIFO that nobody reads, `ELOOP` for a link or the supervisor's own `/proc`.
///
/// # Safety
/// `notification` is NULL or a live handle; `out` is NULL or valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_reopen(
    notification: *mut unotify_notification,
    fd: c_int,
    flags: u64,
    mode: u64,
    out: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `out` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(out, "out") }?;
        let mode = u32::try_from(mode).map_err(|_| invalid(format!("`mode` is {mode:#o}")))?;
        // Unknown flags are ignored.
        let flags = flags as u32 as i32;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        // SAFETY: used for this call only.
        let fd = unsafe { lent_fd(fd, "fd") }?;
        out.put(notification.reopen(fd, flags, mode)?.into_raw_fd());
        Ok(())
    })
}

/// Opens the directory that holds the last component of the path at `path_addr`, with `O_PATH`, and
/// copies that component into `name` (256 bytes are enough), for calls that make, remove or rename
/// it. It has no slash and is neither "." nor "..", but may be a link or a mount, at any time: use
/// it only with calls that neither follow nor open it, such as unotify_notification_create().
///
/// Errors: as unotify_notification_open(), `UNOTIFY_ERR_SYSTEM` with `EEXIST` for a path to "/",
/// "." or "..".
///
/// # Safety
/// `notification` is NULL or a live handle; `name` is valid for writing `cap` bytes; `fd` is NULL or
/// valid for writing.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_open_parent(
    notification: *mut unotify_notification,
    dirfd: c_int,
    path_addr: u64,
    name: *mut c_char,
    cap: usize,
    fd: *mut c_int,
) -> unotify_status {
    call(|| {
        // SAFETY: `fd` is NULL or valid for writing, as promised.
        let out = unsafe { Out::new(fd, "fd") }?;
        // SAFETY: `name` is valid for writing `cap` bytes, as promised.
        let room = unsafe { room(name.cast::<u8>(), cap, "name") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let (parent, name) = unsafe { inner(notification) }?.open_parent(dirfd, path_addr)?;
        put_path(Path::new(OsStr::from_bytes(name.to_bytes())), room)?;
        out.put(parent.into_raw_fd());
        Ok(())
    })
}

/// Copies the absolute path of what is at `path_addr` in the target's memory into `buf`, as the
/// target sees it, with links and `..`, and "(unreachable)" before what is outside its root. For
/// logs, not for deciding: it may lead elsewhere later.
///
/// Errors: as unotify_notification_open().
///
/// # Safety
/// `notification` is NULL or a live handle; `buf` is valid for writing `cap` bytes.
#[no_mangle]
pub unsafe extern "C" fn unotify_notification_read_path(
    notification: *mut unotify_notification,
    dirfd: c_int,
    path_addr: u64,
    buf: *mut c_char,
    cap: usize,
) -> unotify_status {
    call(|| {
        // SAFETY: `buf` is valid for writing `cap` bytes, as promised.
        let buf = unsafe { room(buf.cast::<u8>(), cap, "buf") }?;
        // SAFETY: `notification` is NULL or a live handle that no other thread uses, as promised.
        let notification = unsafe { inner(notification) }?;
        notification.with_path(dirfd, path_addr, |path| {
            put_path(OsStr::from_bytes(path).as_ref(), buf)
        })?
    })
}

/// Copies a path with its NUL, wholly or not at all.
pub(super) fn put_path(path: &Path, buf: &mut [u8]) -> Result<()> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= buf.len() {
        return Err(Error::new(
            Status::TooLong,
            format!("the path takes {} bytes and its NUL", bytes.len()),
        ));
    }
    buf[..bytes.len()].copy_from_slice(bytes);
    buf[bytes.len()] = 0;
    Ok(())
}
