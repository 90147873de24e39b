//! Time as a descriptor.

use super::{check, fd, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A clock that a descriptor tells of.
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn new() -> Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: integers only.
        check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }.into())
            .map(|timer| Timer(fd::own(timer)))
    }

    /// Is readable after that time, or never; not before in any case.
    pub(crate) fn set(&self, after: Option<Duration>) -> Result<()> {
        // Zero would be never.
        let least = Duration::from_nanos(1);
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let time = libc::itimerspec {
            it_interval: zero,
            it_value: after.map_or(zero, |after| fd::timespec(after.max(least))),
        };
        // SAFETY: the structure lives across the call; the old one is not asked for.
        let set =
            unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &time, std::ptr::null_mut()) };
        check(set.into()).map(drop)
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
