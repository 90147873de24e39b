//! A call to be answered by a supervisor that tries itself out.

use super::{Errno, Result};
use std::os::fd::OwnedFd;

/// Makes a call (`getppid(2)`) that means nothing to the caller: what comes back is the answer.
pub(crate) fn ask() -> Result<i64> {
    // SAFETY: no arguments.
    match unsafe { libc::syscall(libc::SYS_getppid) } {
        -1 => Err(Errno::last()),
        value => Ok(value as i64),
    }
}

/// [`ask`] for an answer that is a descriptor.
pub(crate) fn ask_for_fd() -> Result<OwnedFd> {
    ask().map(|number| super::fd::own(number as libc::c_long))
}
