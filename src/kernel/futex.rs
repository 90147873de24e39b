//! Sleeping on a word of memory. Waking is async-signal-safe, which no lock of `std` is.

use super::{check, Errno};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `*word` is `expected`, at most for `limit`. Returns early now and then; the
/// caller looks again. Whether a signal that was handled on this thread ended it, which with a
/// limit every such signal does.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> bool {
    sleep(
        word,
        libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
        expected,
        limit,
    )
}

/// [`wait`] for another process, or the kernel, to wake.
pub(crate) fn wait_shared(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> bool {
    sleep(word, libc::FUTEX_WAIT, expected, limit)
}

fn sleep(word: &AtomicU32, how: libc::c_int, expected: u32, limit: Option<Duration>) -> bool {
    let limit = limit.map(super::fd::timespec);
    let limit = limit.as_ref().map_or(std::ptr::null(), |t| t as *const _);
    // SAFETY: the word and the time limit live across the call.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), how, expected, limit) };
    check(woken) == Err(Errno(libc::EINTR))
}

/// Wakes up to `count` sleepers.
pub(crate) fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel uses the address as a key only.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            count,
        );
    }
}
