//! Calls that last until somebody else does something, ended as a receive is: opening, connecting.

use super::interrupt::{Mark, Receiver};
use super::{check, fd, socket, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// The path of a link to an open file: the handler makes it an empty one, by writing a time limit.
#[repr(C, align(8))]
struct Link([u8; 64]);

const _: () = assert!(align_of::<libc::timespec>() <= 8 && size_of::<libc::timespec>() <= 64);

impl Link {
    fn to(file: BorrowedFd<'_>) -> Self {
        let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let mut bytes = [0; 64];
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        Link(bytes)
    }
}

impl Receiver {
    /// Opens a file again, by a link that is spoiled if the signal comes before the kernel was
    /// entered, and waits for as long as that takes. Ended with `EINTR` as [`Receiver::receive`] is.
    pub(crate) fn open(
        &self,
        mark: &Mark,
        file: BorrowedFd<'_>,
        flags: i32,
        give_up: impl FnOnce() -> bool,
    ) -> Result<OwnedFd> {
        let mut link = Link::to(file);
        let receiving = self.receiving();
        receiving.limit.store((&raw mut link).cast(), Relaxed);
        let result = self.marked(mark, give_up, || {
            let path = (&raw const link).cast::<libc::c_char>();
            // SAFETY: it ends with a NUL, whether it is spoiled or not, and lives across the call.
            check(unsafe { libc::openat(libc::AT_FDCWD, path, flags) }.into()).map(fd::own)
        });
        receiving.limit.store(ptr::null_mut(), Relaxed);
        // SAFETY: initialised bytes. The handler, which may have changed it, is done.
        let spoiled = unsafe { (&raw const link.0[0]).read_volatile() } == 0;
        match result {
            Err(Errno(libc::ENOENT)) if spoiled => Err(Errno(libc::EINTR)),
            other => other,
        }
    }

    /// `connect(2)`, for as long as it takes; `EINTR` when it was ended. A signal that comes before
    /// the kernel was entered ends nothing, as a connection that is on its way is waited for whatever the
    /// address says: who interrupts has to [`insist`](Mark::insist).
    pub(crate) fn connect(
        &self,
        mark: &Mark,
        socket: BorrowedFd<'_>,
        address: &[u8],
        give_up: impl FnOnce() -> bool,
    ) -> Result<()> {
        self.marked(mark, give_up, || socket::connect(socket, address))
    }
}
