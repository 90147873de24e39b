//! Descriptors for processes.

use super::{check, fd, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `PIDFD_THREAD` (Linux 6.9): the descriptor stands for one thread.
pub(crate) const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

/// `pidfd_open(2)` (Linux 5.3). Without [`PIDFD_THREAD`], `pid` must lead a thread group
/// (`EINVAL`, since 6.9 `ENOENT`, if it does not).
pub(crate) fn open(pid: libc::pid_t, flags: u32) -> Result<OwnedFd> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) }).map(fd::own)
}

/// `pidfd_getfd(2)` (Linux 5.6): a duplicate, close-on-exec, of that process's descriptor.
pub(crate) fn getfd(pidfd: BorrowedFd<'_>, target_fd: i32) -> Result<OwnedFd> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), target_fd, 0) })
        .map(fd::own)
}
