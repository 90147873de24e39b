//! A pipe as a place that a library can write to which only knows descriptors.
//!
//! Unlike a file, in memory or not, it does not count against `RLIMIT_FSIZE`, beyond which a write
//! ends the process (`SIGXFSZ`).

use super::signals::SignalsBlocked;
use super::{check, fd_table, retry, Errno, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;

/// How much an unprivileged process may ask for, unless the system was told otherwise.
const LARGE: libc::c_int = 1 << 20;

/// `F_SETPIPE_SZ` and `F_GETPIPE_SZ` of `fcntl(2)`.
const F_SETPIPE_SZ: libc::c_int = 1031;
const F_GETPIPE_SZ: libc::c_int = 1032;

/// What `write` writes, in one `write(2)`, to the descriptor it is given. It may be called more
/// than once, and writes the same each time.
pub(crate) fn written<E>(
    mut write: impl FnMut(BorrowedFd<'_>) -> std::result::Result<(), E>,
) -> Result<std::result::Result<Vec<u8>, E>> {
    for large in [false, true] {
        let (reads, writes) = fd_table::pipe()?;
        if large && fcntl(&writes, F_SETPIPE_SZ, LARGE).is_err() {
            break;
        }
        let capacity = fcntl(&writes, F_GETPIPE_SZ, 0)? as usize;
        // What goes beyond is left out.
        fcntl(&writes, libc::F_SETFL, libc::O_NONBLOCK)?;
        if let Err(error) = write(writes.as_fd()) {
            return Ok(Err(error));
        }
        drop(writes);
        let bytes = read_all(&reads)?;
        if bytes.len() < capacity {
            return Ok(Ok(bytes));
        }
    }
    // There is no pipe that long for this user: somebody has to read meanwhile.
    let (reads, writes) = fd_table::pipe()?;
    let _whole = SignalsBlocked::new();
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("unotify-export".into())
            .spawn_scoped(scope, || read_all(&reads));
        let reader = reader.map_err(|e| Errno(e.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        let wrote = write(writes.as_fd());
        drop(writes);
        let bytes = reader.join().map_err(|_| Errno(libc::EIO))??;
        Ok(wrote.map(|()| bytes))
    })
}

fn fcntl(fd: &OwnedFd, what: libc::c_int, value: libc::c_int) -> Result<libc::c_long> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), what, value) }.into())
}

/// Everything up to the end.
fn read_all(reads: &OwnedFd) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0u8; 8192];
    loop {
        let got = retry(|| {
            // SAFETY: there is capacity for as many bytes.
            let got =
                unsafe { libc::read(reads.as_raw_fd(), part.as_mut_ptr().cast(), part.len()) };
            check(got as libc::c_long)
        })?;
        if got == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&part[..got as usize]);
    }
}
