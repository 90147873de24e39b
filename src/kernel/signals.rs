//! Keeping signals away from one system call.

use super::syscall::syscall;
use std::cell::Cell;

thread_local! {
    /// Whether no signal comes to this thread.
    static NONE_COME: Cell<bool> = const { Cell::new(false) };
}

/// Says that no signal interrupts the calling thread outside of a receive, for as long as it lives:
/// all are blocked, but for the one that ends a receive and comes at no other time.
pub(super) fn none_come() {
    NONE_COME.set(true);
}

/// How long a set of signals is to the kernel, in bytes; the C library's is longer.
const SET: usize = size_of::<u64>();

/// Takes [`none_come`] back.
pub(super) fn some_come() {
    NONE_COME.set(false);
}

/// Runs `call` with every signal blocked on the calling thread, those between the threads of the C
/// library too. What comes meanwhile is delivered afterwards. `SIGKILL` and `SIGSTOP` cannot be
/// blocked.
///
/// Costs two system calls, but nothing on a thread that no signals come to ([`none_come`]).
#[inline]
pub(super) fn held<T>(call: impl FnOnce() -> T) -> T {
    if NONE_COME.get() {
        return call();
    }
    let all = u64::MAX;
    let mut before = 0;
    set(&all, &raw mut before);
    let result = call();
    set(&before, std::ptr::null_mut());
    result
}

#[inline(always)]
fn set(to: &u64, before: *mut u64) {
    let (to, before) = (std::ptr::from_ref(to) as usize, before as usize);
    let how = libc::SIG_SETMASK as usize;
    // SAFETY: both sets are as long as the kernel is told. It cannot fail then.
    let _ = unsafe { syscall(libc::SYS_rt_sigprocmask, [how, to, before, SET, 0, 0]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> u64 {
        let mut now = 0_u64;
        let (how, to) = (libc::SIG_SETMASK as usize, 0);
        let before = &raw mut now as usize;
        // SAFETY: nothing is set, and `now` is as long as the kernel is told.
        unsafe { syscall(libc::SYS_rt_sigprocmask, [how, to, before, SET, 0, 0]) }.unwrap();
        now
    }

    #[test]
    fn all_that_can_be_is_blocked_meanwhile_and_as_before_afterwards() {
        let before = blocked();
        let unblockable = (1 << (libc::SIGKILL - 1)) | (1 << (libc::SIGSTOP - 1));
        assert_eq!(held(blocked), !unblockable);
        assert_eq!(blocked(), before);
    }

    #[test]
    fn nothing_is_done_on_a_thread_that_no_signals_come_to() {
        std::thread::spawn(|| {
            none_come();
            let before = blocked();
            assert_eq!(held(blocked), before);
        })
        .join()
        .unwrap();
    }
}
