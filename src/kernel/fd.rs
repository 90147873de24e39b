//! Descriptors: waiting for them, naming them by number.

use super::{check, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// What `poll` saw on a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) readable: bool,
    pub(crate) hung_up: bool,
}

impl Ready {
    pub(crate) const READABLE: Self = Ready {
        readable: true,
        hung_up: false,
    };

    /// What `poll(2)` has reported of a listener; `None` when that is nothing. `POLLERR` alone is: a
    /// signal came while the kernel waited for the listener's lock, to look at it.
    pub(super) fn of_listener(revents: libc::c_short) -> Option<Self> {
        let ready = Ready {
            readable: revents & libc::POLLIN != 0,
            hung_up: revents & libc::POLLHUP != 0,
        };
        (ready.readable || ready.hung_up).then_some(ready)
    }
}

/// Waits until a listener is readable or hung up, at most until `deadline` (`None`: without limit).
/// `Ok(None)` when the time is up. Retries `EINTR`.
pub(crate) fn poll(listener: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<Option<Ready>> {
    poll_for(listener, libc::POLLIN, deadline)
}

/// The same for something that is written to.
pub(crate) fn poll_writable(
    fd: BorrowedFd<'_>,
    deadline: Option<Instant>,
) -> Result<Option<Ready>> {
    poll_for(fd, libc::POLLOUT, deadline)
}

fn poll_for(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    deadline: Option<Instant>,
) -> Result<Option<Ready>> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    loop {
        let left = deadline.map(|d| timespec(d.saturating_duration_since(Instant::now())));
        let left_ptr = left.as_ref().map_or(std::ptr::null(), |t| t as *const _);
        // SAFETY: `entry` and `left` outlive the call, and one entry is what the count says.
        match check(unsafe { libc::ppoll(&mut entry, 1, left_ptr, std::ptr::null()) }.into()) {
            Ok(0) => return Ok(None),
            Ok(_) if entry.revents & libc::POLLNVAL != 0 => return Err(Errno(libc::EBADF)),
            Ok(_) if entry.revents & libc::POLLOUT != 0 => return Ok(Some(Ready::READABLE)),
            Ok(_) => {
                if let Some(ready) = Ready::of_listener(entry.revents) {
                    return Ok(Some(ready));
                }
            }
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Puts something harmless in the place of an open descriptor, which is thereby closed.
pub(crate) fn replace(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers only.
    let harmless = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }.into()).map(own)?;
    // SAFETY: integers only. The number stays its owner's.
    check(unsafe { libc::dup3(harmless.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) }.into())
        .map(drop)
}

/// What a wait for two descriptors saw: nothing at all when the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) first: Option<Ready>,
    pub(crate) second: bool,
}

pub(super) fn timespec(d: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: d.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: d.subsec_nanos().into(),
    }
}

/// Takes ownership of a descriptor that a system call has just made.
pub(crate) fn own(raw: libc::c_long) -> OwnedFd {
    // SAFETY: the callers pass what a successful system call returned as a new descriptor.
    unsafe { OwnedFd::from_raw_fd(raw as i32) }
}
