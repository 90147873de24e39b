//! Relative paths, where it is sure that they stay below the target's root.

use super::open_how::{open_again, Asked};
use crate::held::Proc;
use crate::kernel::{self, file, Errno};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Opens a relative path below the directory it starts from, where that is the same as the target
/// would: nothing when it may not be.
///
/// The kernel is asked to stay below `start`, so what it opens lies below the root if `start` does. That
/// is sure where the root is the root of a mount, `start` is on that same mount, and the mount shows
/// its file system as a whole: a directory that is renamed out of a part of one keeps its mount.
/// It is also asked to stay on that mount, which is no `/proc`: so it does not matter who asks.
#[inline]
pub(super) fn open(
    proc: &Proc,
    root: BorrowedFd<'_>,
    start: BorrowedFd<'_>,
    path: &CStr,
    asked: &Asked,
) -> Option<kernel::Result<OwnedFd>> {
    let (root, from) = (file::stat(root).ok()?, file::stat(start).ok()?);
    let mount = root.unique_mount()?;
    if !root.is_mount_root
        || from.unique_mount() != Some(mount)
        || from.links == 0
        || !proc.is_whole(mount)
    {
        return None;
    }
    let mut how = asked.kernel_how();
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV;
    let opened = match open_again(start, path, how) {
        Ok(opened) => opened,
        // It leads up, elsewhere, or to the terminal of whoever asks.
        Err(Errno(libc::EXDEV | libc::EAGAIN | libc::ENXIO)) => return None,
        Err(errno) => return Some(Err(errno)),
    };
    if asked.how.flags & libc::O_PATH != 0 {
        return Some(Ok(opened));
    }
    match file::stat(opened.as_fd()) {
        Ok(stat) if stat.is_controlling_terminal() => None,
        Ok(_) => Some(asked.set_blocking(opened)),
        Err(errno) => Some(Err(errno)),
    }
}
