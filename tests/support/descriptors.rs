//! Descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A descriptor that is known to be open.
pub(crate) fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: the tests pass descriptors that stay open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A descriptor that nobody else closes.
pub(crate) fn own(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: new, and this is its only owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A pipe: its reading end, its writing end.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: the call fills two descriptors.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(made, 0);
    (own(ends[0]), own(ends[1]))
}

/// What `poll(2)` tells of a descriptor that is waited for to be readable: 0 if nothing in time.
pub(crate) fn polled(fd: impl AsFd, limit: Duration) -> libc::c_short {
    let mut entry = libc::pollfd {
        fd: fd.as_fd().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which is ours.
    unsafe { libc::poll(&mut entry, 1, limit.as_millis() as i32) };
    entry.revents
}
