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

/// Waits until `fd` is readable or hung up, at most until `deadline` (`None`: without limit).
/// `Ok(None)` when the time is up. Retries `EINTR`.
pub(crate) fn poll(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> Result<Option<Ready>> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let left = deadline.map(|d| timespec(d.saturating_duration_since(Instant::now())));
        let left_ptr = left.as_ref().map_or(std::ptr::null(), |t| t as *const _);
        // SAFETY: `entry` and `left` outlive the call, and one entry is what the count says.
        match check(unsafe { libc::ppoll(&mut entry, 1, left_ptr, std::ptr::null()) }.into()) {
            Ok(0) => return Ok(None),
            Ok(_) if entry.revents & libc::POLLNVAL != 0 => return Err(Errno(libc::EBADF)),
            Ok(_) => {
                return Ok(Some(Ready {
                    readable: entry.revents & libc::POLLIN != 0,
                    hung_up: entry.revents & (libc::POLLHUP | libc::POLLERR) != 0,
                }))
            }
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// What [`poll_beside`] saw: nothing at all when the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) first: Option<Ready>,
    pub(crate) second: bool,
}

/// [`poll`] of `fd`, which also ends when `second` is readable or hung up.
pub(crate) fn poll_beside(
    fd: BorrowedFd<'_>,
    second: Option<BorrowedFd<'_>>,
    deadline: Option<Instant>,
) -> Result<Beside> {
    let entry = |fd: i32| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // The kernel passes over a number that is negative.
    let mut entries = [
        entry(fd.as_raw_fd()),
        entry(second.map_or(-1, |second| second.as_raw_fd())),
    ];
    loop {
        let left = deadline.map(|d| timespec(d.saturating_duration_since(Instant::now())));
        let left_ptr = left.as_ref().map_or(std::ptr::null(), |t| t as *const _);
        // SAFETY: `entries` and `left` outlive the call, and two entries are what the count says.
        let polled = unsafe { libc::ppoll(entries.as_mut_ptr(), 2, left_ptr, std::ptr::null()) };
        match check(polled.into()) {
            Ok(_) if entries.iter().any(|e| e.revents & libc::POLLNVAL != 0) => {
                return Err(Errno(libc::EBADF))
            }
            Ok(_) => {
                let [first, second] = entries.map(|e| i32::from(e.revents));
                return Ok(Beside {
                    first: (first != 0).then(|| Ready {
                        readable: first & i32::from(libc::POLLIN) != 0,
                        hung_up: first & i32::from(libc::POLLHUP | libc::POLLERR) != 0,
                    }),
                    second: second != 0,
                });
            }
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
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
