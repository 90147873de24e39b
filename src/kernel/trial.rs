//! A call to be answered by a supervisor that tries itself out.

use super::{check, fd, Result};
use std::os::fd::OwnedFd;

/// Makes a call (`getppid(2)`) that means nothing to the caller: what comes back is the answer.
pub(crate) fn ask() -> Result<libc::c_long> {
    // SAFETY: no arguments.
    check(unsafe { libc::syscall(libc::SYS_getppid) })
}

/// [`ask`] for an answer that is a descriptor.
pub(crate) fn ask_for_fd() -> Result<OwnedFd> {
    ask().map(fd::own)
}
