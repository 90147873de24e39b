//! Where a target's paths begin: its root directory, and the directory a relative path is
//! relative to.

use super::proc_files::Entry;
use crate::held::Proc;
use crate::kernel::file::{self, OpenHow};
use crate::kernel::{self, Errno};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What the kernel is to respect on every path that is opened for a target: its root, and that
/// a link of `/proc` that leads anywhere at all is not a path.
pub(super) const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;

/// How often a directory that is being renamed is looked for again.
const TRIES: usize = 16;

const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;

/// The target's root directory.
#[inline]
pub(super) fn root(proc: &Proc, tid: libc::pid_t) -> kernel::Result<OwnedFd> {
    file::open(Some(proc.dir()), Entry::of(tid, "root").path(), DIRECTORY)
}

/// The directory a relative path starts from: the target's descriptor `dirfd`, or its working
/// directory (`AT_FDCWD`). `EBADF` when it has no such descriptor, `ENOTDIR` when that is no
/// directory.
///
/// Taken from `/proc/TID/fd`, which is the thread's own table on every kernel.
#[inline]
pub(super) fn start(proc: &Proc, tid: libc::pid_t, dirfd: RawFd) -> kernel::Result<OwnedFd> {
    if dirfd == libc::AT_FDCWD {
        return file::open(Some(proc.dir()), Entry::of(tid, "cwd").path(), DIRECTORY);
    }
    if dirfd < 0 {
        return Err(Errno(libc::EBADF));
    }
    match file::open(Some(proc.dir()), Entry::of_fd(tid, dirfd).path(), DIRECTORY) {
        // For a target that is there the descriptor is what is not.
        Err(Errno(libc::ENOENT)) => Err(Errno(libc::EBADF)),
        other => other,
    }
}

/// The path from `root` to the directory `start`, without a leading slash; empty when they are
/// the same.
///
/// The kernel resolves a path below a root only from that root (`RESOLVE_IN_ROOT` takes one
/// descriptor for both), so a relative path has to be made absolute. The names the kernel has
/// for both directories give the path; whether it leads to this very directory is then
/// tried out, since names alone prove nothing: they may be of another mount namespace, or old.
///
/// `EXDEV` when the directory is not below the root or cannot be reached by its name (something
/// is mounted over it), `ENOENT` when it was removed.
pub(super) fn locate(root: BorrowedFd<'_>, start: BorrowedFd<'_>) -> kernel::Result<Vec<u8>> {
    let wanted = file::id(start)?;
    if file::id(root)? == wanted {
        return Ok(Vec::new());
    }
    let mut outcome = Errno(libc::EXDEV);
    for _ in 0..TRIES {
        let Some(path) = below(&name(root)?, &name(start)?) else {
            return Err(Errno(libc::EXDEV));
        };
        outcome = match reach(root, &path) {
            Ok(reached) if file::id(reached.as_fd())? == wanted => return Ok(path),
            Ok(_) => Errno(libc::EXDEV),
            // Renamed since, or gone; the name of what is gone ends in " (deleted)".
            Err(errno @ Errno(libc::ENOENT | libc::EAGAIN)) => errno,
            Err(Errno(libc::ENOTDIR | libc::ELOOP)) => Errno(libc::EXDEV),
            Err(errno) => return Err(errno),
        };
    }
    Err(outcome)
}

/// The directory at a path without symbolic links below `root`.
pub(super) fn reach(root: BorrowedFd<'_>, path: &[u8]) -> kernel::Result<OwnedFd> {
    let path = match path {
        [] => c".".to_owned(),
        path => CString::new(path).map_err(|_| Errno(libc::ENOENT))?,
    };
    let how = OpenHow {
        flags: DIRECTORY as u64,
        mode: 0,
        resolve: IN_ROOT | libc::RESOLVE_NO_SYMLINKS,
    };
    file::openat2(root, &path, how)
}

/// The name the kernel has for what is open, as seen from the supervisor's root.
pub(super) fn name(file: BorrowedFd<'_>) -> kernel::Result<Vec<u8>> {
    let link = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    file::read_link(None, &CString::new(link).unwrap_or_default())
}

/// [`name`], with an open `/proc`.
pub(super) fn name_in(proc: BorrowedFd<'_>, file: BorrowedFd<'_>) -> kernel::Result<Vec<u8>> {
    file::read_link(Some(proc), Entry::of_own(file).path())
}

/// What is left of `path` below the directory `root`, both absolute.
pub(super) fn below(root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    match path.strip_prefix(root)? {
        [] => Some(Vec::new()),
        [b'/', rest @ ..] => Some(rest.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn only_whole_components_are_below() {
        assert_eq!(below(b"/", b"/a/b").as_deref(), Some(&b"a/b"[..]));
        assert_eq!(below(b"/a", b"/a/b").as_deref(), Some(&b"b"[..]));
        assert_eq!(below(b"/a", b"/a").as_deref(), Some(&b""[..]));
        assert_eq!(below(b"/", b"/").as_deref(), Some(&b""[..]));
        assert_eq!(below(b"/a", b"/ab"), None);
        assert_eq!(below(b"/a", b"/"), None);
        assert_eq!(below(b"/a", b"pipe:[1]"), None);
    }
}
