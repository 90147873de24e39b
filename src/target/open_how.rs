//! How to open what a target names: what was asked for, in the kernel's terms.

use super::place::IN_ROOT;
use super::procfs;
use crate::kernel::{self, file, Errno};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What `open(2)` takes notice of. It ignores the rest, `openat2(2)` would refuse it.
const KNOWN_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_TMPFILE;

/// What goes together with `O_PATH`.
pub(super) const PATH_FLAGS: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;

/// What `F_SETFL` changes, but for `O_NONBLOCK`.
const CHANGEABLE_FLAGS: i32 = libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME;

/// How often a path is tried that somebody renames parts of.
pub(super) const TRIES: usize = 128;

/// How to open what a target names: `OpenHow::new(O_CREAT | O_WRONLY).mode(0o600)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct OpenHow {
    /// `O_*` flags, as of `open(2)`, which ignores unknown ones.
    pub flags: i32,
    /// Permissions of a file that is created; looked at with `O_CREAT` and `O_TMPFILE` only.
    pub mode: u32,
    /// Further `RESOLVE_*` flags of `openat2(2)`. With `RESOLVE_BENEATH` or `RESOLVE_IN_ROOT` the
    /// directory that the path starts from takes the place of the target's root;
    /// `RESOLVE_NO_XDEV` implies `RESOLVE_BENEATH` for a relative path.
    pub resolve: u64,
    /// An empty path is the directory descriptor itself (`AT_EMPTY_PATH`): what comes out is a
    /// duplicate of the target's descriptor, to which flags and mode have no meaning, or for
    /// `AT_FDCWD` its working directory opened with `O_PATH`.
    pub empty_path: bool,
}

impl OpenHow {
    /// With these `O_*` flags and nothing else.
    #[must_use]
    pub fn new(flags: i32) -> Self {
        OpenHow {
            flags,
            ..OpenHow::default()
        }
    }

    /// With [`OpenHow::mode`].
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        OpenHow { mode, ..self }
    }

    /// With [`OpenHow::resolve`].
    #[must_use]
    pub fn resolve(self, resolve: u64) -> Self {
        OpenHow { resolve, ..self }
    }

    /// With [`OpenHow::empty_path`].
    #[must_use]
    pub fn empty_path(self, empty_path: bool) -> Self {
        OpenHow { empty_path, ..self }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) how: OpenHow,
    /// What is to be taken away from the mode, if the opening thread's umask is not the target's.
    pub(super) umask: u32,
}

impl Asked {
    /// In the kernel's terms, so that it neither blocks nor gives anybody a terminal.
    pub(super) fn kernel_how(&self) -> file::OpenHow {
        let how = self.how;
        let flags = if how.flags & libc::O_PATH != 0 {
            how.flags & PATH_FLAGS
        } else {
            how.flags & KNOWN_FLAGS | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_LARGEFILE
        };
        file::OpenHow {
            flags: (flags | libc::O_CLOEXEC) as u64,
            mode: if creates(how.flags) {
                (how.mode & 0o7777 & !self.umask).into()
            } else {
                0
            },
            resolve: how.resolve | IN_ROOT,
        }
    }

    /// Lets what is open block if that was asked for.
    pub(super) fn set_blocking(&self, opened: OwnedFd) -> kernel::Result<OwnedFd> {
        if self.how.flags & (libc::O_NONBLOCK | libc::O_PATH) == 0 {
            file::set_flags(opened.as_fd(), self.how.flags & CHANGEABLE_FLAGS)?;
        }
        Ok(opened)
    }
}

/// Flags to create with what was asked for with these, in a directory that is known.
pub(super) fn to_create(flags: i32) -> i32 {
    let always = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_NOCTTY;
    flags & KNOWN_FLAGS | always | libc::O_CLOEXEC | libc::O_LARGEFILE
}

pub(super) fn creates(flags: i32) -> bool {
    flags & libc::O_PATH == 0
        && (flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE)
}

/// `openat2`, again while renames keep the kernel from being sure of `..`.
pub(super) fn open_again(
    dir: BorrowedFd<'_>,
    path: &CStr,
    how: file::OpenHow,
) -> kernel::Result<OwnedFd> {
    let mut outcome = Err(Errno(libc::EAGAIN));
    for _ in 0..TRIES {
        outcome = file::openat2(dir, path, how);
        if !matches!(outcome, Err(Errno(libc::EAGAIN))) || how.resolve & libc::RESOLVE_CACHED != 0 {
            break;
        }
    }
    outcome
}

/// Lets through what does not depend on who opens it, and blocks as the target asked for.
pub(super) fn checked(
    root: BorrowedFd<'_>,
    opened: OwnedFd,
    asked: &Asked,
) -> kernel::Result<OwnedFd> {
    if asked.how.flags & libc::O_PATH != 0 {
        if file::is_procfs(opened.as_fd())? {
            let stat = file::stat(opened.as_fd())?;
            return procfs::open_foreign(root, opened.as_fd(), &stat, asked.kernel_how());
        }
        return Ok(opened);
    }
    let stat = file::stat(opened.as_fd())?;
    if stat.is_controlling_terminal() {
        return Err(Errno(libc::ENXIO));
    }
    if stat.is_of_no_disk() && file::is_procfs(opened.as_fd())? {
        let opened = procfs::open_foreign(root, opened.as_fd(), &stat, asked.kernel_how())?;
        return asked.set_blocking(opened);
    }
    asked.set_blocking(opened)
}
