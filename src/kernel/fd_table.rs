//! A thread's own descriptor table, and putting descriptors at chosen numbers in it.
//!
//! Descriptors are bare numbers here where they name what the table was copied with: their owners
//! live in another table.

use super::{check, fd, retry, Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// `CLOSE_RANGE_UNSHARE` of `close_range(2)` (Linux 5.9).
const CLOSE_RANGE_UNSHARE: libc::c_uint = 1 << 1;

/// Gives the calling thread a descriptor table of its own, a copy of the one it shares.
///
/// Container runtimes like to refuse `unshare(2)` altogether, because of its other flags; then an
/// empty `close_range(2)` does the same.
pub(crate) fn unshare() -> Result<()> {
    // SAFETY: integers only. Descriptors keep their numbers and stay open in both tables.
    let refused = match check(unsafe { libc::unshare(libc::CLONE_FILES) }.into()) {
        Ok(_) => return Ok(()),
        Err(errno) => errno,
    };
    // SAFETY: no descriptor has the number this closes, the highest there is.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            libc::c_uint::MAX,
            libc::c_uint::MAX,
            CLOSE_RANGE_UNSHARE,
        )
    })
    .map(drop)
    .map_err(|_| refused)
}

/// Closes every descriptor of the calling thread's table but one. The table is the thread's own
/// (see [`unshare`]), and nothing uses the others any more.
pub(crate) fn close_all_but(keep: Option<RawFd>) {
    let close = |first: libc::c_uint, last: libc::c_uint| {
        // SAFETY: nothing uses the table, as the callers promise.
        first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
    };
    // A number that nobody has stands for none.
    let kept = keep.map_or(libc::c_uint::MAX, |keep| keep as libc::c_uint);
    if (kept == 0 || close(0, kept - 1)) && close(kept.saturating_add(1), libc::c_uint::MAX) {
        return;
    }
    // Before Linux 5.9.
    // SAFETY: zero is a value of both fields, and the structure is ours; nothing uses the table.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        for number in 0..limit.rlim_cur.min(1 << 20) as RawFd {
            if Some(number) != keep {
                libc::close(number);
            }
        }
    }
}

/// Closes `number`, which is this table's and which no owner in this table closes.
pub(crate) fn close(number: RawFd) {
    // SAFETY: no owner in this table closes the number, as the callers promise.
    unsafe { libc::close(number) };
}

/// Duplicates `number` to the lowest free number from `least` on, close-on-exec. `EBADF` when it
/// is not open, `EINVAL` or `EMFILE` when the numbers are used up.
pub(crate) fn duplicate_from(number: RawFd, least: RawFd) -> Result<OwnedFd> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, least) }.into()).map(fd::own)
}

/// Makes `target` a duplicate of `source`, which is another number, and keeps it open across
/// `execve`. What was there is closed: the calling thread's table must be its own. Retries
/// `EINTR`; `EBADF` when `target` is out of range.
pub(crate) fn put(source: BorrowedFd<'_>, target: RawFd) -> Result<()> {
    // SAFETY: integers only; in a table of this thread's own nobody else loses a descriptor.
    retry(|| check(unsafe { libc::dup2(source.as_raw_fd(), target) }.into())).map(drop)
}

/// Keeps `number` open across `execve`. `EBADF` when it is not open.
pub(crate) fn keep_on_exec(number: RawFd) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop)
}

/// Whether `number` is open and will be closed by `execve`.
pub(crate) fn closes_on_exec(number: RawFd) -> bool {
    // SAFETY: integers only.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) }.into());
    flags.is_ok_and(|flags| flags & libc::c_long::from(libc::FD_CLOEXEC) != 0)
}

/// Whether `number` is open.
pub(crate) fn is_open(number: RawFd) -> bool {
    // SAFETY: integers only.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) }.into()).is_ok()
}

/// Whether `number` is open and its file of no kind that there is a name for, as those are that the
/// kernel makes without a place to be opened at (listeners, event descriptors, epoll's).
pub(crate) fn has_no_kind(number: RawFd) -> bool {
    // SAFETY: plain integers, for which zero is a value; `fstat` fills them in.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours.
    let looked = check(unsafe { libc::fstat(number, &mut found) }.into());
    looked.is_ok() && found.st_mode & libc::S_IFMT == 0
}

/// Opens `/dev/null` for reading and writing, close-on-exec.
pub(crate) fn open_null() -> Result<OwnedFd> {
    retry(|| {
        // SAFETY: the path is a NUL-terminated constant.
        let fd = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        check(fd.into())
    })
    .map(fd::own)
}

/// A pipe, close-on-exec: the end to read from and the end to write to.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for both numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    Ok((fd::own(ends[0].into()), fd::own(ends[1].into())))
}

/// The first of two descriptors, and the second, that is readable or hung up: waits until one is.
/// Retries `EINTR`.
pub(crate) fn wait_either(fds: [BorrowedFd<'_>; 2]) -> Result<[bool; 2]> {
    let mut entries = fds.map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: two entries, as the count says.
    retry(|| check(unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) }.into()))?;
    if entries.iter().any(|e| e.revents & libc::POLLNVAL != 0) {
        return Err(Errno(libc::EBADF));
    }
    Ok(entries.map(|e| e.revents != 0))
}
