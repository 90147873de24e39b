//! What kills a child that was not told otherwise when the process that starts it is killed.
//!
//! A pipe whose end to read from sends `SIGKILL` to the child when the last end to write to is
//! closed (`F_SETOWN`, `F_SETSIG`, `O_ASYNC`). That is arranged in the open file, not in the child:
//! so the child need not, and cannot, call it off, and whoever starts it can.

use super::syscall::syscall;
use super::{check, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// `F_SETSIG` of `fcntl(2)`.
const F_SETSIG: libc::c_int = 10;

/// For the process that is to be killed: arranges it with the end to read from. Calls nothing but
/// bare system calls. `ECHILD` when nobody holds the other end any more, so that the signal does
/// not come.
pub(super) fn arm(end: RawFd) -> Result<()> {
    // SAFETY: no arguments.
    let own = unsafe { syscall(libc::SYS_getpid, [0; 6]) }?;
    for (what, value) in [
        (libc::F_SETOWN, own as usize),
        (F_SETSIG, libc::SIGKILL as usize),
        (libc::F_SETFL, libc::O_ASYNC as usize),
    ] {
        // SAFETY: integers only.
        unsafe {
            syscall(
                libc::SYS_fcntl,
                [end as usize, what as usize, value, 0, 0, 0],
            )
        }?;
    }
    let mut entry = libc::pollfd {
        fd: end,
        events: 0,
        revents: 0,
    };
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (entry, now) = (&raw mut entry as usize, &raw mut now as usize);
    // SAFETY: one entry, a time limit, no set of signals; all live across the call.
    let polled = unsafe { syscall(libc::SYS_ppoll, [entry, 1, now, 0, 0, 0]) }?;
    if polled == 0 {
        Ok(())
    } else {
        Err(Errno(libc::ECHILD))
    }
}

/// Calls it off, for good.
pub(crate) fn disarm(end: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, 0) }.into()).map(drop)
}
