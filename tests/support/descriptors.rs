//! Descriptors.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

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
